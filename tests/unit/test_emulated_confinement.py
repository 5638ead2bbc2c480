# SPDX-License-Identifier: Apache-2.0
"""What the process of the emulated kernel has given up, and what it could not do if it would."""

import ast
import errno
import json
import logging
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from kmodd.confinement import strangers
from kmodd.kernel.base import InsertFlags
from kmodd.kernel.emulated import IsolatedKernel
from kmodd.kernel.emulated.process import boot
from kmodd.kernel.emulated.process.confinement import STEPS, THREADS_MAX
from kmodd.modulefile import Compression
from tests.support.compression import compress
from tests.support.daemon import may_give_up_all, status_of, wait_until
from tests.support.elf_writer import ModuleSpec, write_module
from tests.support.emulated import RELEASE, load, log, vmlinux
from tests.support.require import require, require_emulator

GIVE_UP = """
import ctypes, errno, json, os, resource, socket, sys, threading
from pathlib import Path
from kmodd.kernel.emulated.process import confinement as its
from kmodd import system_calls as calls

libc = ctypes.CDLL(None, use_errno=True)
here, there = socket.socketpair()
unbound = socket.socket(socket.AF_UNIX)
file = os.open(sys.executable, os.O_RDONLY)
status = os.open("/proc/self/status", os.O_RDONLY)

def tell(what):
    os.write(1, json.dumps(what).encode())
    os._exit(0)

def give_up_system_calls_alone():
    libc.prctl(38, 1, 0, 0, 0)  # PR_SET_NO_NEW_PRIVS, which a filter needs
    return its.give_up_system_calls()

def fields():
    lines = os.pread(status, 1 << 16, 0).decode().splitlines()
    return {name: value.split() for name, _, value in (line.partition(":") for line in lines)}
"""
"""How a script begins that confines itself."""

TRIED = {
    "open": "os.open('/etc/passwd', os.O_RDONLY)",
    "make a file": "os.open('/tmp/x', os.O_CREAT | os.O_WRONLY)",
    "look a file up": "os.stat('/etc/passwd')",
    "look up by descriptor": "os.fstat(file)",
    "list": "os.listdir('/')",
    "remove": "os.unlink('/tmp/x')",
    "change directory": "os.chdir('/')",
    "change root": "os.chroot('/')",
    "make a file in memory": "os.memfd_create('x')",
    "change a file's mode": "os.fchmod(file, 0o777)",
    "write elsewhere": "os.truncate(file, 0)",
    "make a socket": "socket.socket(socket.AF_UNIX)",
    "make a socket of a network": "socket.socket(socket.AF_INET)",
    "make a pair of sockets": "socket.socketpair()",
    "connect": "unbound.connect('/run/x')",
    "listen": "unbound.listen()",
    "fork": "os.fork()",
    "begin a program": "os.posix_spawn(sys.executable, ['x'], {})",
    "become a program": "os.execv(sys.executable, ['x'])",
    "signal its parent": "os.kill(parent, 0)",
    "signal itself": "os.kill(os.getpid(), 0)",
    "have a descriptor's signals sent": "fcntl.fcntl(file, fcntl.F_SETOWN, 1)",
    "live on without its lifeline": "fcntl.fcntl(file, fcntl.F_SETFL, 0)",
    "use a device": "fcntl.ioctl(file, 0x5401, bytes(60))",
    "raise a bound": "resource.setrlimit(resource.RLIMIT_NOFILE, (9, 9))",
    "become a user": "os.setresuid(0, 0, 0)",
}
"""What a process might do that has fallen into wrong hands, as Python."""

TRIES = f"""
import fcntl
parent = os.getppid()
its.give_up_privileges()
kept = its.give_up_system_calls()
came = {{}}
for what, code in {TRIED!r}.items():
    try:
        came[what] = repr(eval(code))
    except OSError as error:
        came[what] = error.errno
    except ValueError as error:  # setrlimit's EPERM
        came[what] = 1 if "not allowed" in str(error) else repr(error)
tell([kept, came])
"""


def run(script: str, *through: str) -> Any:
    """Run a script that tells something, and return that."""
    command = [*through, sys.executable, "-c", GIVE_UP + script]
    ran = subprocess.run(command, capture_output=True, check=False, timeout=60)
    assert (ran.returncode, ran.stderr) == (0, b"")
    return json.loads(ran.stdout)


def require_root() -> None:
    require(may_give_up_all(), "only root has all these privileges to give up")


def test_a_kernel_that_has_run_code_has_no_privilege_left() -> None:
    require_emulator()
    one = IsolatedKernel(RELEASE, vmlinux)
    load(one, ModuleSpec())
    assert one.pid is not None
    status = status_of(one.pid)
    assert (status["NoNewPrivs"], status["Seccomp"]) == (["1"], ["2"])
    for name in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
        assert int(status[name][0], 16) == 0, name
    limits = Path(f"/proc/{one.pid}/limits").read_text()
    found = {line[:25].strip(): line[25:].split()[:2] for line in limits.splitlines()}
    assert found["Max core file size"] == found["Max file size"] == ["0", "0"]
    assert all(0 < int(each) <= THREADS_MAX for each in found["Max open files"])
    one.close()


@pytest.mark.parametrize("compression", list(Compression))
def test_it_reads_modules_of_every_compression(compression: Compression, tmp_path: Path) -> None:
    one = IsolatedKernel(RELEASE, vmlinux, run_code=False)
    path = tmp_path / "sample.ko"
    path.write_bytes(compress(write_module(ModuleSpec()), compression))
    with path.open("rb") as file:
        one.finit_module(file.fileno(), "", InsertFlags.NONE)
    assert [module.name for module in one.modules()] == ["sample"]
    one.close()


def test_a_kernel_of_roots_is_nobody_and_nowhere() -> None:
    require_root()
    one = IsolatedKernel(RELEASE, vmlinux)
    load(one, ModuleSpec())
    pid = one.pid
    assert pid is not None
    status = status_of(pid)
    user = str(strangers(pid)[0])
    assert (status["Uid"], status["Gid"], status["Groups"]) == ([user] * 4, [user] * 4, [])
    assert int(status["CapBnd"][0], 16) == 0
    assert os.readlink(f"/proc/{pid}/ns/net") != os.readlink("/proc/self/ns/net")
    assert os.readlink(f"/proc/{pid}/root").endswith("/fdinfo")
    assert os.readlink(f"/proc/{pid}/cwd") == os.readlink(f"/proc/{pid}/root")
    one.close()


def test_two_kernels_of_roots_are_of_two_users() -> None:
    require_root()
    kernels = [IsolatedKernel(RELEASE, vmlinux) for _ in range(2)]
    users = set()
    for one in kernels:
        load(one, ModuleSpec())
        assert one.pid is not None
        users.update(status_of(one.pid)["Uid"])
        one.close()
    assert len(users) == 2


def test_it_can_do_nothing_with_files_networks_and_processes() -> None:
    kept, came = run(TRIES)
    assert [place for place, _ in kept] == []
    assert came == dict.fromkeys(TRIED, errno.EPERM)


def test_the_filter_alone_refuses_all_of_that() -> None:
    script = TRIES.replace("its.give_up_privileges()", "")
    kept, came = run(script.replace("its.give_up_system_calls()", "give_up_system_calls_alone()"))
    assert kept == []
    assert came == dict.fromkeys(TRIED, errno.EPERM)


def test_without_the_filter_it_has_no_rights_either() -> None:
    require_root()
    script = TRIES.replace("its.give_up_system_calls()", "[]")
    for what in ("fork", "begin a program", "become a program"):
        script = script.replace(repr(TRIED[what]), "'None'")
    _, came = run(script)
    for what in ("open", "look a file up", "remove", "connect"):
        assert came[what] == errno.ENOENT, what
    for what in ("change root", "signal its parent", "become a user"):
        assert came[what] == errno.EPERM, what
    assert came["make a file"] in (errno.ENOENT, errno.EACCES)


def test_no_system_call_is_overlooked() -> None:
    script = """
own = calls.architecture()
given = ("clone", "clone3", "prctl", "tgkill")
allowed = {calls.NUMBERS[name][own.column] for name in (*its.CALLS, *given)}
its.give_up_privileges()
its.give_up_system_calls()
came = {}
# Those of the system's own uprobes go past all filters, and end a process that is not probed.
probes = {335, 336} if own.column == 0 else set()
for number in range(1200):
    if number not in allowed | probes:
        ctypes.set_errno(0)
        returned = libc.syscall(ctypes.c_long(number), *[ctypes.c_long(0)] * 6)
        came.setdefault(f"{returned} {ctypes.get_errno()}", []).append(number)
tell(came)
"""
    came = run(script)
    refused, unknown = came.pop(f"-1 {errno.EPERM}"), came.pop(f"-1 {errno.ENOSYS}")
    assert came == {}
    assert len(refused) > 300
    assert min(unknown) > max(refused)


def test_it_can_do_what_a_kernel_needs() -> None:
    script = """
import array, mmap, signal, time
sent = array.array("i", [file])
there.sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, sent)])
its.give_up_privileges()
kept = its.give_up_system_calls()
done = []
for number in range(64):
    thread = threading.Thread(target=done.append, args=(number,))
    thread.start()
    thread.join()
there.sendall(b"y")
_, [(_, _, rights)], _, _ = here.recvmsg(1, socket.CMSG_SPACE(4))
(passed,) = array.array("i", rights)
magic = os.pread(passed, 4, 0)
os.close(passed)
memory = mmap.mmap(-1, 64 << 20, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
memory[:4] = magic
time.sleep(0.001)
threading.Event().wait(0.001)
said = here.recvmsg(1)[0].decode()
tell([kept, len(done), memory[1:4].decode(), said, len(os.urandom(8)), time.monotonic() > 0])
"""
    assert run(script) == [[], 64, "ELF", "y", 8, True]


def test_a_crash_ends_it_as_ever() -> None:
    script = GIVE_UP + "give_up_system_calls_alone(); os.abort()"
    ran = subprocess.run([sys.executable, "-c", script], check=False, timeout=60)
    assert ran.returncode == -6


def test_what_cannot_be_given_up_keeps_nothing_else() -> None:
    script = """
if os.geteuid() == 0:
    os.setgroups([])
    os.setresuid(12345, 12345, 12345)
kept = its.give_up_privileges() + its.give_up_system_calls()
found = fields()
tell([kept, *(found[name][0] for name in ("CapEff", "CapPrm", "NoNewPrivs", "Seccomp"))])
"""
    kept, effective, permitted, no_new_privileges, seccomp = run(script)
    names = [STEPS[place][0] for place, _ in kept]
    of_root = ["a network of its own", "no files", "an empty bounding set", "no groups"]
    assert names == [*of_root, "a user of its own"]
    assert {code for _, code in kept} == {errno.EPERM}
    assert int(effective, 16) == int(permitted, 16) == 0
    assert (no_new_privileges, seccomp) == ("1", "2")


def test_where_all_of_it_is_refused_the_process_lives_on() -> None:
    script = """
give_up_system_calls_alone()
tell(its.give_up_privileges() + its.give_up_system_calls())
"""
    assert run(script) == [[place, errno.EPERM] for place in range(len(STEPS))]


def test_a_machine_without_filters_of_its_kind_does_without() -> None:
    script = """
calls.ARCHITECTURES.clear()
its.give_up_privileges()
kept = its.give_up_system_calls()
tell([kept, *(fields()[name][0] for name in ("NoNewPrivs", "Seccomp"))])
"""
    assert run(script) == [[[len(STEPS) - 1, errno.ENOSYS]], "1", "0"]


def test_a_container_with_few_users_has_one_that_is_nobodys() -> None:
    require_root()
    script = """
pid, (seen, told) = os.getpid(), os.pipe()
if not os.fork():
    os.read(seen, 1)
    for kind in ("uid", "gid"):
        Path(f"/proc/{pid}/{kind}_map").write_text("0 100000 65536")
    os._exit(0)
if libc.unshare(0x10000000):  # CLONE_NEWUSER
    tell("no user namespaces")
os.write(told, b"x")
os.wait()
os.setresgid(0, 0, 0)
os.setresuid(0, 0, 0)
tell([pid, its.give_up_privileges(), *os.getresuid(), *os.getresgid()])
"""
    found = run(script)
    require(found != "no user namespaces", "a container needs user namespaces")
    pid, kept, *users = found
    user = strangers(pid)[1]
    assert 65520 <= user <= 65533
    assert users == [user] * 6
    assert kept == []


def test_what_was_not_given_up_is_logged_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    message = json.dumps({"is": "up", "undone": [[0, errno.EPERM], [10, errno.ENOSYS]]}).encode()
    said = len(message).to_bytes(4, "big") + message
    script = f"import socket, sys\nsocket.socket(fileno=int(sys.argv[1])).sendall({said!r})\n"
    monkeypatch.setattr(
        boot, "command", lambda end, *_, **__: [sys.executable, "-c", script, str(end)]
    )
    caplog.set_level(logging.DEBUG, "kmodd.kernel.emulated")
    one = IsolatedKernel(RELEASE, vmlinux)
    wait_until(lambda: sum(line.startswith("Kernel panic") for line in log(one)) == 5)
    one.close()
    lines = [each.message for each in caplog.records if each.levelno == logging.DEBUG]
    assert lines == [
        "the emulated kernel's process was refused: a network of its own"
        " (Operation not permitted), a filter of system calls (Function not implemented)"
    ]


def test_a_root_that_may_kill_nobody_ends_it_all_the_same() -> None:
    require_root()
    setpriv = require("setpriv", "dropping a capability needs the package util-linux")
    script = f"""
import logging, select
from kmodd.kernel.emulated import IsolatedKernel, Vmlinux
logging.disable()
one = IsolatedKernel({RELEASE!r}, lambda: Vmlinux({RELEASE!r}), run_code=False)
one.details("nosuch")
ended = os.pidfd_open(one.pid)
try:
    os.kill(one.pid, 0)
    refused = 0
except OSError as error:
    refused = error.errno
one._panic(one._boot, "it is wanted no more")
tell([refused, len(select.select([ended], [], [], 30)[0])])
"""
    assert run(script, setpriv, "--bounding-set", "-kill") == [errno.EPERM, 1]


def imports_of_functions(source: str) -> set[str]:
    """Return what the functions of a source import."""
    functions = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.FunctionDef)]
    within = [node for function in functions for node in ast.walk(function)]
    plain = {each.name for node in within if isinstance(node, ast.Import) for each in node.names}
    return plain | {node.module or "" for node in within if isinstance(node, ast.ImportFrom)}


def test_nothing_is_left_to_be_imported() -> None:
    require_emulator()
    script = """
from kmodd.kernel.emulated.process import child
child.import_all(runs_code=True, tries=True)
tell({name: getattr(module, "__file__", None) or "" for name, module in sys.modules.items()})
"""
    files = run(script)
    ours = {name: Path(file) for name, file in files.items() if name.startswith("kmodd.")}
    late = {}
    for name, file in ours.items():
        late[name] = imports_of_functions(file.read_text()) - files.keys()
    daemons = {"kmodd.kernelimage.kept": {"kmodd.kernelimage.reading"}}
    assert {name: missing for name, missing in late.items() if missing} == daemons
    assert "kmodd.modulefile.zstd_frames" in ours


def test_an_import_that_was_forgotten_fails_by_its_name() -> None:
    script = """
from kmodd.kernel.emulated.process import child
child.import_all(runs_code=False)
try:
    import wave
except ModuleNotFoundError as error:
    tell(error.name)
"""
    assert run(script) == "wave"


def test_a_socket_pair_is_all_that_it_is_told_by() -> None:
    """The first byte from the daemon is read when all is given up: the process waits for it."""
    end, other = socket.socketpair()
    lifeline, writer = os.pipe()
    command = boot.command(other.fileno(), lifeline, runs_code=False)
    process = subprocess.Popen(command, pass_fds=(other.fileno(), lifeline))
    wait_until(lambda: status_of(process.pid)["Seccomp"] == ["2"])
    end.close()
    other.close()
    os.close(writer)
    os.close(lifeline)
    assert process.wait(60) in (0, -9)
