# SPDX-License-Identifier: Apache-2.0
"""Debian's own tools with kmodctl beneath: dpkg, DKMS, kernel-install, and a kernel's removal."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.daemon import wait_until
from tests.support.dkms import (
    ASKED,
    DAEMON,
    MODULE,
    SUITE,
    link,
    made_by_kmod,
    packages,
    published,
    steps,
    unlink,
)
from tests.support.real_system import ENVIRONMENT, RealSystem, changing
from tests.support.systems import system_of

PATIENCE = 300.0
"""Seconds for what the daemon is to do."""

KEPT = ("fs", "crypto", "lib", "net/9p")
"""What stays of the kernel's modules: depmod takes seconds for all of them."""

FEWER = """
cd /lib/modules/*/kernel && mkdir /kept && for each in {kept}; do
    mkdir -p "/kept/$(dirname "$each")" && mv "$each" "/kept/$each"
done
rm -rf ./* && mv /kept/* . && rmdir /kept
"""

WITHOUT_IMAGE = "mkdir -p /etc/kernel/install.d && ln -s /dev/null /etc/kernel/install.d/{plugin}"
"""The initial RAM disk is another test's."""

OF_OTHERS = ("var/lib/dpkg/", "var/log/", "var/cache/", "etc/", "tmp/", "var/lib/dkms/mok")
"""What dpkg and DKMS write for themselves."""


@pytest.fixture(scope="module")
def system(package: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealSystem]:
    """A bare Debian 13 with a kernel, its headers and DKMS; kmodctl is kmod's tools there."""
    root, work = system_of(SUITE).root, tmp_path_factory.mktemp("system")
    files = packages(tmp_path_factory.mktemp("dkms") / "packages", package)
    with changing(root, work, files) as running:
        running.sh(FEWER.format(kept=" ".join(KEPT)))
        running.sh(WITHOUT_IMAGE.format(plugin="55-initrd.install"))
        link(running)
        yield running


@pytest.fixture(scope="module")
def release(system: RealSystem) -> str:
    return system.sh("ls /lib/modules").strip()


@pytest.fixture(scope="module")
def daemon(
    system: RealSystem, release: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[None]:
    """The daemon of the package, with an emulated kernel; its log is shown with a failure."""
    words = system.words(*DAEMON, "--release", release)
    log = tmp_path_factory.mktemp("daemon") / "log"
    with log.open("w") as file, subprocess.Popen(words, env=ENVIRONMENT, stderr=file) as process:
        wait_until(lambda: "published" in system.sh("kmodctl status || :", ASKED), seconds=PATIENCE)
        yield
        assert process.poll() is None, log.read_text()
        process.terminate()
    sys.stderr.write(log.read_text())


@pytest.mark.usefixtures("daemon")
def test_databases_are_right_at_the_end_of_each_step_and_go_with_the_kernel(
    system: RealSystem, release: str
) -> None:
    tree = f"lib/modules/{release}"
    before = system.sh(f"find /{tree} -name '*.ko*'")
    doing = steps(release)
    del doing["the initial RAM disk is made anew"]
    removal = doing.pop("the kernel is removed")
    has_module = []
    for command in doing.values():
        system.run(*command, environment=ASKED)
        now, right = published(system, release), made_by_kmod(system, release)
        assert {name: now.get(name) for name in right} == right, command
        has_module.append(MODULE in system.sh(f"cat /{tree}/modules.dep"))
    assert has_module == [True, True, True, False]
    assert system.sh(f"find /{tree} -name '*.ko*'") == before
    system.run("kernel-install", "remove", release, environment=ASKED)
    wait_until(lambda: "modules.dep\n" in system.sh(f"ls /{tree}"), seconds=PATIENCE)
    system.run(*removal, environment=ASKED)
    wait_until(lambda: not (system.root / "usr" / tree).exists(), seconds=PATIENCE)


def test_the_package_takes_its_links_with_it(system: RealSystem) -> None:
    unlink(system)
    assert system.sh("dpkg-divert --list '*/sbin/*'") == ""
    assert system.sh("modprobe --version").startswith("kmod version")
    left = system.files()
    assert [name for name in left if "kmodd" in name and not name.startswith(OF_OTHERS)] == []
    assert [name for name in left if name.startswith("etc/") and "kmodd" in name] == []
