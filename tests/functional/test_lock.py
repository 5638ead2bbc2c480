# SPDX-License-Identifier: Apache-2.0
"""The service's environment: locked, installed as it is locked, told of in a bill of materials."""

import importlib.util
import json
import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

import kmodd
from tests.support.release import clean_environment
from tests.support.require import require
from tests.support.sources import PROJECT

SYSTEMD = PROJECT / "systemd"
LOCKS = ("requirements.txt", "build-requirements.txt")
TOOLS = "package/requirements.txt"


def run(*command: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Run a command away from the project, with the interpreter's own packages alone."""
    return subprocess.run(
        command,
        env={**clean_environment(), **environment},
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("name", [*LOCKS, TOOLS])
def test_a_lock_pins_all_with_hashes_and_names_no_host(name: str) -> None:
    text = (SYSTEMD / name).read_text()
    assert "://" not in text
    assert "index" not in text
    pins = re.split(r"(?m)^(?=[a-z])", text)[1:]
    for pin in pins:
        assert re.match(r"[a-z0-9-]+==\S+", pin)
        assert "--hash=sha256:" in pin


def test_the_locks_are_what_the_project_asks_for() -> None:
    require(importlib.util.find_spec("uv") is not None, "making a lock needs uv")
    made = run(sys.executable, str(SYSTEMD / "lock.py"), "--check")
    require("error sending request" not in made.stderr, "making a lock needs uv's index")
    assert made.returncode == 0, made.stderr


def test_the_service_is_installed_from_the_locks_alone(tmp_path: Path) -> None:
    environment = tmp_path / "kmodd"
    assert run(sys.executable, "-m", "venv", str(environment)).returncode == 0
    pip = str(environment / "bin/pip")
    locks = [word for name in LOCKS for word in ("-r", str(SYSTEMD / name))]
    done = run(pip, "install", "-q", "--require-hashes", *locks)
    require("Failed to establish a new connection" not in done.stderr, "pip needs its index")
    assert done.returncode == 0, done.stderr
    done = run(pip, "install", "-q", "--no-deps", "--no-build-isolation", str(PROJECT))
    assert done.returncode == 0, done.stderr
    assert run(pip, "check").stdout.startswith("No broken requirements")
    said = run(str(environment / "bin/kmodd"), "--version").stdout
    assert kmodd.__version__ in said
    assert run(str(environment / "bin/kmodd"), "check-config", "--help").returncode == 0


def test_the_bill_of_materials_has_what_is_locked_and_is_always_the_same(tmp_path: Path) -> None:
    require(importlib.util.find_spec("cyclonedx") is not None, "it needs cyclonedx-python-lib")
    texts = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        command = (sys.executable, str(SYSTEMD / "sbom.py"), str(tmp_path / name))
        made = run(*command, SOURCE_DATE_EPOCH="1700000000")
        assert made.returncode == 0, made.stderr
        (file,) = (tmp_path / name).iterdir()
        texts.append(file.read_bytes())
    assert file.name == f"kmodd-{kmodd.__version__}.cdx.json"
    assert texts[0] == texts[1]

    bill = json.loads(texts[0])
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.6")
    assert bill["metadata"]["component"]["purl"] == f"pkg:pypi/kmodd@{kmodd.__version__}"
    locked = re.findall(r"(?m)^([a-z0-9-]+)==(\S+)", (SYSTEMD / LOCKS[0]).read_text())
    assert [(part["name"], part["version"]) for part in bill["components"]] == locked
    needed = {each["ref"]: each.get("dependsOn", []) for each in bill["dependencies"]}
    (grpcio,) = (part for part in needed if part.startswith("pkg:pypi/grpcio@"))
    assert grpcio in needed[f"pkg:pypi/kmodd@{kmodd.__version__}"]
    assert [part.partition("@")[0] for part in needed[grpcio]] == ["pkg:pypi/typing-extensions"]


FOUND = {"id": "PYSEC-1", "fix_versions": ["2"], "aliases": [], "description": ""}


@pytest.mark.parametrize(
    ("parts", "words", "is_bad"),
    [
        ([{"name": "a", "version": "1", "vulns": []}], ["1 of 1 were looked up"], False),
        (
            [{"name": "a", "version": "1", "vulns": [FOUND]}],
            ["a 1: PYSEC-1, mended in ['2']", "1 of 1 were looked up"],
            True,
        ),
        (
            [{"name": "a", "skip_reason": "not found"}],
            ["0 of 1 were looked up", "nothing is said of a"],
            False,
        ),
    ],
)
def test_a_known_vulnerability_fails_and_silence_is_told(
    parts: list[dict[str, object]], words: list[str], is_bad: bool
) -> None:
    verdict = runpy.run_path(str(SYSTEMD / "audit.py"))["verdict"]
    assert verdict(json.dumps({"dependencies": parts}), "") == (words, is_bad)


@pytest.mark.parametrize(
    ("errors", "is_bad"), [("x\nConnectionError: no", False), ("x\nKeyError: no", True), ("", True)]
)
def test_who_is_not_reached_is_no_failure_but_all_else_is(errors: str, is_bad: bool) -> None:
    verdict = runpy.run_path(str(SYSTEMD / "audit.py"))["verdict"]
    assert verdict("", errors)[1] == is_bad
