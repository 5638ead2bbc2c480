# SPDX-License-Identifier: Apache-2.0
"""The images of the Containerfile: built by buildah, or where that is not, its steps carried out.

Both begin with a bare system of Debian's, and pip installs from files.
"""

import json
import re
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from tests.support.buildah import Buildah
from tests.support.containerfile import BareBuild, stages_of
from tests.support.daemon import running_daemon
from tests.support.modules import module_tree
from tests.support.systems import system_of

ROOT = Path(__file__).parents[2]
STAGES = stages_of((ROOT / "Containerfile").read_text())

Run = Callable[[str, Sequence[str]], subprocess.CompletedProcess[str]]

ASK = "kmodctl list wor* && kmodctl modprobe -v world && kmodctl lsmod"

SHOW = "id -u && kmodctl modprobe -v world && kmodctl lsmod && kmodctl dmesg"


@pytest.fixture
def outside(tmp_path: Path) -> Iterator[Path]:
    """The directory of the socket of a daemon outside."""
    with running_daemon(module_tree(tmp_path / "outside").root) as daemon:
        yield daemon.socket.parent


@pytest.fixture
def run(outside: Path, trixie_wheels: Path, tmp_path: Path) -> Run:
    """Runs a command in the image of a stage."""
    system = system_of("trixie")
    try:
        builder = Buildah(tmp_path / "buildah")
    except OSError:
        shared = {"wheels": trixie_wheels, "socket": outside}
        work = tmp_path / "stages"
        work.mkdir()
        pip = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": "/tmp/wheels"}
        return BareBuild(STAGES, system, ROOT, work, shared, pip).run
    settings = tmp_path / "pip.conf"
    settings.write_text("[global]\nno-index = true\nfind-links = /tmp/wheels\n")
    builder.add_base(system.root)
    for stage in ("client", "demo"):
        builder.build(ROOT, stage, {settings: "/etc/pip.conf", trixie_wheels: "/tmp/wheels"})
    return lambda stage, words: builder.run(stage, words, {outside: "/tmp/socket"})


def test_the_images_are_a_client_and_a_demonstration(run: Run) -> None:
    asked = run("client", ["env", "KMODD_SOCKET=/tmp/socket/kmodd.sock", "sh", "-ec", ASK])
    assert (asked.returncode, asked.stderr) == (0, "")
    listed, *rest = asked.stdout.splitlines()
    assert listed == "world"
    assert [line.split()[0] for line in rest] == ["insmod", "insmod", "Module", "world", "greet"]
    steps = dict(STAGES["demo"].steps)
    shown = run("demo", [*json.loads(steps["ENTRYPOINT"]), "--", "sh", "-ec", SHOW])
    assert shown.returncode == 0, shown.stderr
    assert "insmod /opt/demo/lib/modules/6.1.0-56-amd64/world.ko" in shown.stdout
    assert re.search(r"^greet +\d+ +1 world$", shown.stdout, re.MULTILINE)
    assert "greet: hello, from the world\n" in shown.stdout
    assert json.loads(steps["CMD"])[0] == "--"
    assert run("client", [*json.loads(dict(STAGES["client"].steps)["ENTRYPOINT"]), "-h"]).stdout
