# SPDX-License-Identifier: Apache-2.0
"""The second process of a command that has but one thread: a fork, which is done without, too."""

import json
import subprocess
import sys

import pytest

from kmodd.config.depmod import DepmodConfig
from kmodd.database.rebuild import rebuild
from tests.support.sources import PROJECT
from tests.support.tree import ModuleTree

ASKED = """
import json, os, signal, sys, time
from kmodd.database.assistant import Assistant, AssistantError
from kmodd.database import forked

print("said before", end="")
with Assistant(forks=True) as assistant:
    child = assistant.submit(os.getpid).result()
    told = {
        "parent": assistant.submit(os.getppid).result() == os.getpid(),
        "session": assistant.submit(os.getsid, 0).result() == child,
        "long": assistant.submit(bytes.upper, b"a" * (3 << 20)).result() == b"A" * (3 << 20),
        "subprocess": "subprocess" in sys.modules,
    }
    if sys.argv[1:] == ["killed"]:
        os.kill(child, signal.SIGKILL)
    elif sys.argv[1:] == ["failing"]:
        assistant.submit(sys.exit, 5)
    else:
        assistant.submit(time.sleep, 600)
    try:
        assistant.submit(os.getpid).result() if sys.argv[1:] else None
    except AssistantError as error:
        told["error"] = str(error) in ("it has ended", "[Errno 32] Broken pipe")
try:
    os.waitpid(-1, 0)
except ChildProcessError:
    told["left"] = 0
told["open"] = len(os.listdir("/proc/self/fd"))
print(json.dumps(told), file=sys.stderr)
"""


@pytest.mark.parametrize("fate", ["", "killed", "failing"])
def test_a_fork_serves_and_leaves_nothing_behind(fate: str) -> None:
    command = [sys.executable, "-c", ASKED, *filter(None, [fate])]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=True)
    # What its parent had not yet written is not written twice.
    assert done.stdout == "said before"
    *_, told = done.stderr.splitlines()
    expected = {"parent": True, "session": True, "long": True, "subprocess": False, "left": 0}
    # The three of the process, and the directory that is read.
    assert json.loads(told) == expected | {"open": 4} | ({"error": True} if fate else {})


DEPMOD = """
import sys
from kmodd.database import forked, reading, rebuild, scan
from kmodd.oneshot.depmod import Order, depmod

rebuild.CORES, reading.MANY, scan.MANY = 2, 1, 1
fork, forks = forked.fork, []
forked.fork = lambda: forks.append(fork()) or forks[-1]
assert depmod(Order(base=sys.argv[1], release=sys.argv[2])) == 0
print(len(forks), "subprocess" in sys.modules)
"""


def test_depmod_for_one_call_forks(modules_root: ModuleTree) -> None:
    directory, release = modules_root.directory, modules_root.release
    expected = rebuild(str(directory), release, config=DepmodConfig()).files
    command = [sys.executable, "-c", DEPMOD, str(modules_root.root), release]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=True)
    assert done.stdout == "1 False\n"
    assert {name: (directory / name).read_bytes() for name in expected} == dict(expected)
