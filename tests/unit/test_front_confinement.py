# SPDX-License-Identifier: Apache-2.0
"""What a front has given up, and what it could not do if it would."""

import json
import os
import subprocess
import sys

from kmodd.front.confinement import OPEN_FILES

SCRIPT = """
import errno, json, os, resource, socket, sys
from kmodd.front.confinement import give_up_privileges

os.mkdir("/tmp/kmodd-test-%d" % os.getpid())
refused = give_up_privileges(1 << 30)

def tried(act):
    try:
        act()
    except OSError as error:
        return errno.errorcode[error.errno]
    return ""

print(json.dumps({
    "refused": refused,
    "read": tried(lambda: os.open("/etc/passwd", os.O_RDONLY)),
    "list": tried(lambda: os.listdir("/etc")),
    "make": tried(lambda: os.open("/tmp/kmodd-test-file", os.O_CREAT | os.O_WRONLY)),
    "remove": tried(lambda: os.rmdir("/tmp/kmodd-test-%d" % os.getpid())),
    "execute": tried(lambda: os.execv(sys.executable, [sys.executable, "-c", ""])),
    "become": tried(lambda: os.setresuid(0, 0, 0)),
    "files": resource.getrlimit(resource.RLIMIT_NOFILE),
    "data": resource.getrlimit(resource.RLIMIT_DATA),
    "pair": tried(lambda: socket.socketpair()),
    "uid": os.getresuid(),
    "groups": os.getgroups(),
}))
"""


def confined() -> dict[str, object]:
    ran = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True)
    found: dict[str, object] = json.loads(ran.stdout)
    return found


def test_a_front_opens_makes_and_executes_nothing() -> None:
    found = confined()
    assert [found[what] for what in ("read", "list", "make", "remove", "execute")] == ["EACCES"] * 5
    assert found["pair"] == ""


def test_a_front_of_roots_is_nobody_and_stays_it() -> None:
    found = confined()
    assert found["data"] == [1 << 30] * 2
    files = found["files"]
    assert isinstance(files, list)
    assert max(files) <= OPEN_FILES
    if os.geteuid() == 0:
        assert found["become"] == "EPERM"
        assert found["groups"] == []
        uids = found["uid"]
        assert isinstance(uids, list)
        assert len(set(uids)) == 1
        assert uids[0] not in (0, 65534)
