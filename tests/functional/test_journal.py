# SPDX-License-Identifier: Apache-2.0
"""A daemon whose stderr is a journal's, asked for by journalctl."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from kmodd.log_kinds import LogKind
from tests.support.require import require
from tests.support.tree import ModuleTree

SYSTEMD = Path(__file__).parents[2] / "systemd"
JOURNALD = Path("/lib/systemd/systemd-journald")
CATALOG = "/usr/lib/systemd/catalog"

BEGIN = """
mkdir -p /run/systemd/journald.conf.d /run/log/journal
printf '[Journal]\\nStorage=volatile\\nReadKMsg=no\\n' > /run/systemd/journald.conf.d/own.conf
"$1" & journald=$!
shift
for _ in $(seq 600); do [ -S /run/systemd/journal/stdout ] && break; sleep 0.1; done
journalctl --update-catalog
"$@"
kill $journald
"""
"""Starts a journal, and what is to write into it."""

AS_A_SERVICE = """
import os, socket, sys
stream = socket.socket(socket.AF_UNIX)
stream.connect("/run/systemd/journal/stdout")
stream.sendall(b"of a service\\n\\n6\\n1\\n0\\n0\\n0\\n")
os.dup2(stream.fileno(), 2)
status = os.fstat(2)
os.environ["JOURNAL_STREAM"] = f"{status.st_dev}:{status.st_ino}"
os.execv(sys.argv[1], sys.argv[1:])
"""
"""Executes a program with what systemd has a service write its errors to (systemd.exec(5))."""

CALLS = """
kmodctl modprobe world 2>&1
kmodctl modprobe hello 2>&1
kmodctl modprobe 'no such
PRIORITY=0' 2>&1
journalctl --sync
for match in KMODD_MODULE=greet KMODD_MODULE=hello KMODD_RESULT=MODULE_NOT_FOUND PRIORITY=0
do journalctl --output=json "$match" || true; echo end
done
journalctl -x --output=short MESSAGE_ID=$1
"""


@pytest.fixture
def told(modules_root: ModuleTree, tmp_path: Path) -> list[str]:
    """What CALLS write, part by part."""
    bwrap = require("bwrap", "a journal of one's own needs the package bubblewrap")
    require(JOURNALD.exists(), "a journal of one's own needs the package systemd")
    require(os.geteuid() == 0, "a journal of one's own takes root")
    script = tmp_path / "as_a_service.py"
    script.write_text(AS_A_SERVICE)
    command = [
        *(bwrap, "--die-with-parent", "--unshare-pid", "--dev-bind", "/", "/", "--proc", "/proc"),
        *("--tmpfs", "/run", "--tmpfs", CATALOG, "--tmpfs", "/var/lib/systemd/catalog"),
        *("--ro-bind", str(SYSTEMD / "kmodd.catalog"), f"{CATALOG}/kmodd.catalog"),
        *("sh", "-uc", BEGIN, "begin", str(JOURNALD)),
        *(sys.executable, str(script), sys.executable, "-m", "kmodd", "run"),
        *("--root", str(modules_root.root), "--log-level", "info", "--deny", "hello=not here"),
        *("--", "sh", "-uc", CALLS, "calls", LogKind.LOAD_REFUSED.value),
    ]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout.split("end\n")


def entries(part: str) -> list[dict[str, Any]]:
    found = [json.loads(line) for line in part.splitlines() if line.startswith("{")]
    return [each for each in found if each["SYSLOG_IDENTIFIER"] == "kmodd"]


def test_the_journal_is_asked_for_a_module_and_says_what_it_means(told: list[str]) -> None:
    greet, hello, missing, forged, explained = told
    (loaded,) = entries(greet)
    assert (loaded["_TRANSPORT"], loaded["PRIORITY"]) == ("journal", "6")
    assert loaded["MESSAGE_ID"] == LogKind.MODULES_LOADED.value
    assert loaded["KMODD_MODULE"] == ["greet", "world"]
    assert loaded["KMODD_UID"] == str(os.geteuid())
    assert f"operation={loaded['KMODD_OPERATION']} " in loaded["MESSAGE"]
    (refused,) = entries(hello)
    assert (refused["PRIORITY"], refused["KMODD_RESULT"]) == ("4", "MODULE_DENIED")
    (asked,) = entries(missing)
    assert asked["PRIORITY"] == "6"
    assert r"no such\nPRIORITY=0" in asked["MESSAGE"]
    assert entries(forged) == []
    assert "A module was not let into the kernel: hello" in explained
    assert "a [[deny]] in kmodd.toml" in explained
