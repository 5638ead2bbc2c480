# SPDX-License-Identifier: Apache-2.0
"""The program in Rust that kmodd-api(7) shows, compiled by Debian's compiler and crates."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from kmodctl import protos
from tests.support.daemon import Daemon
from tests.support.manual import example
from tests.support.require import require

CRATES = Path("/usr/share/cargo/registry")
"""Where Debian has Rust's crates, as sources."""

FILES = {"Cargo.toml": "[package]", "build.rs": "fn main", "src/main.rs": "use hyper_util"}
"""The files of the package, and how each begins on the page."""

SETTINGS = f"""\
[source.crates-io]
replace-with = "debian"

[source.debian]
directory = "{CRATES}"
"""


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page's program, compiled."""
    if not any(CRATES.glob("tonic-build-*")):
        # Not required, where all else is: Debian 12 has no tonic.
        pytest.skip("the example in Rust needs librust-tonic-{,build-}dev of Debian 13")
    cargo = require("cargo", "the example in Rust needs cargo")
    require("protoc", "the example in Rust needs protobuf-compiler")
    work = tmp_path_factory.mktemp("rust")
    (work / "src").mkdir()
    for name, beginning in FILES.items():
        (work / name).write_text(example("kmodd-api.7", beginning))
    (work / "cargo").mkdir()
    (work / "cargo/config.toml").write_text(SETTINGS)
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(work),
        "CARGO_HOME": str(work / "cargo"),
        "CARGO_PROFILE_DEV_DEBUG": "false",
        "PROTOS": str(protos.directory()),
    }
    built = subprocess.run(
        [cargo, "build", "--quiet", "--offline"],
        env=environment,
        cwd=work,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (built.returncode, built.stderr) == (0, "")
    loader = (work / "target/debug/loader").rename(work / "loader")
    shutil.rmtree(work / "target")
    return loader


def test_it_loads_a_module_or_tells_why_not_and_lists(program: Path, daemon: Daemon) -> None:
    def run(name: str) -> "subprocess.CompletedProcess[str]":
        words = [str(program), str(daemon.socket), name]
        return subprocess.run(words, capture_output=True, text=True, check=False, timeout=120)

    loaded = run("world")
    assert loaded.returncode == 0, loaded.stderr
    with daemon.client() as client:
        listing = [f"{each.name} {each.size_bytes}" for each in client.list_modules()]
    assert [each.split()[0] for each in listing] == ["world", "greet"]
    assert loaded.stdout.splitlines() == ['loaded world ["world"]', *listing]
    failed = run("nosuch")
    assert failed.stderr.endswith(": MODULE_NOT_FOUND, errno 2\n")
    assert (failed.stdout, failed.returncode) == ("", 1)
