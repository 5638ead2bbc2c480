# SPDX-License-Identifier: Apache-2.0
"""The emulated kernel in a process of its own, and what becomes of it when that dies."""

import errno
import gzip
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from kmodd.errors import KernelError, Reason
from kmodd.kernel.base import InsertFlags
from kmodd.kernel.emulated import CoreSymbol, IsolatedKernel, Vmlinux
from kmodd.kernel.emulated.process import boot
from tests.support.elf_writer import ModuleSpec, write_module
from tests.support.emulated import (
    CORE,
    RELEASE,
    exporting,
    importing,
    kernel,
    load,
    log,
    refusal,
    vmlinux,
)
from tests.support.param_writer import Param
from tests.support.require import require

SECONDS = 30.0


class Isolated(IsolatedKernel):
    """A kernel whose Vmlinux the test can change."""

    def __init__(self, **options: Any) -> None:
        self.core = vmlinux()
        super().__init__(RELEASE, lambda: self.core, **options)

    def calls(self) -> int:
        """How many calls the kernel has not answered yet."""
        return len(self._boot._calls) if self._boot else 0


@pytest.fixture
def isolated() -> Iterator[Isolated]:
    one = Isolated()
    yield one
    one.close()


def test_a_kernel_that_is_not_up_yet_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    asleep = [sys.executable, "-c", "import time; time.sleep(3600)"]
    monkeypatch.setattr(boot, "command", lambda *_, **__: asleep)
    monkeypatch.setattr("kmodd.kernel.emulated.process.isolated.END_SECONDS", 3600.0)
    with ThreadPoolExecutor(1) as pool:
        one = Isolated()
        pid = pid_of(one)
        closing = pool.submit(one.close)
        try:
            closing.result(SECONDS)
        except TimeoutError:
            os.kill(pid, signal.SIGKILL)
            raise


def pid_of(one: IsolatedKernel) -> int:
    pid = one.pid
    assert pid is not None
    return pid


def until(condition: Callable[[], object]) -> None:
    """Wait until it holds; fail where it does not within half a minute."""
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def stop(pid: int) -> None:
    """Stop the process in its tracks."""
    os.kill(pid, signal.SIGSTOP)
    until(lambda: Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].startswith("T"))


def panic(one: IsolatedKernel) -> list[str]:
    """Wait for the next boot and return the lines of the panic before it."""
    until(lambda: sum(line.startswith("Linux version") for line in log(one)) == 2)
    lines = log(one)
    start = next(at for at, line in enumerate(lines) if line.startswith("Kernel panic"))
    return lines[start : lines.index(lines[0], start)]


def test_it_does_what_the_kernel_in_this_process_does(tmp_path: Path) -> None:
    isolated = Isolated(run_code=False)
    path = tmp_path / "owner.ko.gz"
    path.write_bytes(gzip.compress(write_module(exporting("owner", "owner_do"))))
    params = ModuleSpec(name="params", parameters=(Param("count", initial=b"\1\0\0\0"),))
    answers = []
    for one in (isolated, kernel()):
        with path.open("rb") as file:
            one.finit_module(file.fileno(), "", InsertFlags.NONE)
        load(one, importing("owner_do", license="Proprietary"))
        load(one, params, "count=5")
        with pytest.raises(KernelError) as refused:
            one.delete_module("owner")
        error = refused.value
        bad = refusal(one, write_module(importing("nosuch", name="bad")))
        answers.append(
            [
                [module.proc_line() for module in one.modules()],
                one.module("owner"),
                one.details("params"),
                one.details("nosuch"),
                one.identity(),
                (error.errno, error.reason, error.detail, error.message),
                (bad.errno, bad.reason, bad.symbol, bad.module, bad.log),
                [(record.level, record.text) for record in one.read_log()],
            ]
        )
        one.delete_module("user")
        one.delete_module("owner")
        assert [module.name for module in one.modules()] == ["params"]
    isolated.close()
    assert answers[0] == answers[1]


def test_what_the_kernel_offers_may_grow(isolated: Isolated) -> None:
    refusal(isolated, write_module(importing("later")))
    isolated.core = vmlinux(symbols={**CORE, "later": CoreSymbol(None)})
    load(isolated, importing("later"))


def test_the_command_line_reaches_it() -> None:
    one = Isolated(command_line="module_blacklist=evil")
    assert refusal(one, write_module(ModuleSpec(name="evil"))).errno == errno.EPERM
    one.close()


def test_a_file_that_is_not_open_is_refused_here(isolated: Isolated) -> None:
    fd = os.open("/dev/null", os.O_RDONLY)
    os.close(fd)
    with pytest.raises(KernelError) as refused:
        isolated.finit_module(fd, "", InsertFlags.NONE)
    assert refused.value.errno == errno.EBADF
    assert len(log(isolated)) == 1


def test_many_callers_at_once_get_each_their_answer(isolated: Isolated) -> None:
    images = [write_module(ModuleSpec(name=f"m{number}")) for number in range(64)]
    with ThreadPoolExecutor(16) as threads:
        list(threads.map(lambda image: isolated.init_module(image, "", InsertFlags.NONE), images))
    assert {module.name for module in isolated.modules()} == {f"m{n}" for n in range(64)}


def test_its_death_is_a_panic_and_a_new_boot(isolated: Isolated) -> None:
    load(isolated, ModuleSpec(license=None))
    before, boot_id = log(isolated), isolated.boot_id
    assert isolated.identity().taints == "P"
    os.kill(pid_of(isolated), signal.SIGSEGV)
    line = "Kernel panic - not syncing: the kernel's process was ended by SIGSEGV"
    assert panic(isolated) == [line, f"---[ end {line} ]---"]
    assert log(isolated)[: len(before)] == before
    assert isolated.boot_id != boot_id
    assert isolated.modules() == ()
    assert isolated.module("sample") is None
    assert isolated.identity().taints == ""
    load(isolated, ModuleSpec())
    assert [module.name for module in isolated.modules()] == ["sample"]


def test_sequences_go_on_and_the_clock_begins_anew(isolated: Isolated) -> None:
    time.sleep(0.2)
    load(isolated, ModuleSpec(license=None))
    os.kill(pid_of(isolated), signal.SIGKILL)
    panic(isolated)
    records = isolated.read_log()
    assert [record.sequence for record in records] == list(range(len(records)))
    assert records[-1].microseconds < records[1].microseconds


def test_a_call_under_way_fails_with_the_panic() -> None:
    one = Isolated(call_seconds=SECONDS)
    load(one, ModuleSpec(name="first"))
    stop(pid_of(one))
    with ThreadPoolExecutor(2) as threads:
        calls = [threads.submit(load, one, ModuleSpec(name=name)) for name in ("a", "b")]
        until(lambda: one.calls() == 2)
        os.kill(pid_of(one), signal.SIGKILL)
        errors = [call.exception(SECONDS) for call in calls]
    for error in errors:
        assert isinstance(error, KernelError)
        assert (error.reason, error.errno) == (Reason.KERNEL_PANIC, errno.EIO)
        assert error.log[0].startswith("Kernel panic - not syncing: ")
        assert error.message.endswith("boots anew, and every module that was loaded is gone")
    assert one.modules() == ()
    one.close()


def test_a_call_that_does_not_end_is_a_panic() -> None:
    one = Isolated()
    one.details("nosuch")
    # Not from the start: on a busy machine its boot may take longer.
    one._call_seconds = 0.3
    stop(pid_of(one))
    with pytest.raises(KernelError) as refused:
        load(one, ModuleSpec())
    line = "Kernel panic - not syncing: hung_task: a system call took more than 0.3 seconds"
    assert refused.value.log == (line,)
    assert log(one)[log(one).index(line) + 1] == f"---[ end {line} ]---"
    one.close()


NONSENSE = [
    b"\xff\xff\xff\xff",
    b"\0\0\0\2{]",
    b"\0\0\0\2[]",
    b"\0\0\0\5",
    b'\0\0\0\x0c{"is":"what"',
    b'\0\0\0\x0d{"is":"what"}',
    b'\0\0\0\x33{"is":"answer","id":99,"error":null,"taint_mask":0}',
    b'\0\0\0\x22{"is":"log","level":9,"text":"x"}',
    b'\0\0\0\x22{"is":"log","level":"3","text":"x"}',
    b'\0\0\0\x2c{"is":"changed","modules":[["x"]],"gone":[]}',
    b'\0\0\0\x23{"is":"changed","modules":{},"gone"}',
    b'\0\0\0\x0b{"is":"up"}',
    b'\0\0\0\x19{"is":"up","undone":[9]}',
    b'\0\0\0\x1d{"is":"up","undone":[[99,1]]}',
    b'\0\0\0\x3b{"is":"request","call":9,"number":1,"name":"x","wait":true}',
    b'\0\0\0\x38{"is":"request","call":9,"number":1,"name":"x","wait":1}',
]


@pytest.mark.parametrize("said", NONSENSE)
def test_a_kernel_that_talks_nonsense_panics(said: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    script = (
        "import socket, sys, time\n"
        "end = socket.socket(fileno=int(sys.argv[1]))\n"
        f"end.sendall({said!r})\n"
        "end.shutdown(socket.SHUT_WR)\n"
        "time.sleep(60)\n"
    )
    genuine = boot.command
    monkeypatch.setattr(
        boot, "command", lambda end, *_, **__: [sys.executable, "-c", script, str(end)]
    )
    one = Isolated()
    monkeypatch.setattr(boot, "command", genuine)
    (line, _) = panic(one)
    assert line.startswith("Kernel panic - not syncing: the kernel's process talks nonsense: ")
    load(one, ModuleSpec())
    one.close()


def test_last_words_are_logged_and_a_kernel_that_never_comes_up_is_not_booted_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    script = "import sys; sys.exit('no such luck')"
    monkeypatch.setattr(boot, "command", lambda *_, **__: [sys.executable, "-c", script])
    one = Isolated()

    def panics() -> list[str]:
        return [line for line in log(one) if line.startswith("Kernel panic")]

    until(lambda: len(panics()) == 5)
    time.sleep(0.3)
    assert (len(panics()), one.pid) == (5, None)
    assert panics()[0].endswith("the kernel's process ended with status 1")
    assert log(one).count("no such luck") == 5
    with pytest.raises(KernelError) as refused:
        load(one, ModuleSpec())
    assert refused.value.errno == errno.EIO
    one.close()


def test_a_process_that_ends_before_it_is_told_anything_has_its_last_words(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    genuine, script = boot.Boot._send_vmlinux, "import sys; sys.exit('no such luck')"

    def send_to_nobody(self: boot.Boot, what: Vmlinux) -> None:
        self._process.wait()
        genuine(self, what)

    monkeypatch.setattr(boot.Boot, "_send_vmlinux", send_to_nobody)
    monkeypatch.setattr(boot, "command", lambda *_, **__: [sys.executable, "-c", script])
    one = Isolated()
    until(lambda: sum(line.startswith("Kernel panic") for line in log(one)) == 5)
    line = "Kernel panic - not syncing: the kernel's process ended with status 1"
    assert log(one)[1:4] == [line, "no such luck", f"---[ end {line} ]---"]
    one.close()


class _Asked:
    """Where a kernel is told what it is, once ``tells`` is set."""

    def __init__(self) -> None:
        self.tells = threading.Event()

    def __call__(self) -> Vmlinux:
        assert self.tells.wait(SECONDS)
        return vmlinux()


def test_one_that_has_to_read_the_tree_first_boots_behind() -> None:
    asked = _Asked()
    one = IsolatedKernel(RELEASE, asked, treeless=Vmlinux(RELEASE))
    boot_id = one.boot_id
    assert one.modules() == ()
    assert one.runs_init == (not one.why_not_run)
    assert one.pid is None
    with ThreadPoolExecutor() as threads:
        reading = threads.submit(one.read_log)
        loading = threads.submit(load, one, ModuleSpec())
        time.sleep(0.05)
        assert not reading.done()
        assert not loading.done()
        asked.tells.set()
        assert "Linux version" in reading.result(SECONDS)[0].text
        loading.result(SECONDS)
    assert [each.name for each in one.modules()] == ["sample"]
    assert one.boot_id == boot_id
    one.close()


def test_one_that_is_halted_before_it_knows_what_it_is_never_boots() -> None:
    asked = _Asked()
    one = IsolatedKernel(RELEASE, asked, treeless=Vmlinux(RELEASE))
    one.close()
    asked.tells.set()
    with pytest.raises(KernelError) as refused:
        one.delete_module("sample")
    assert refused.value.reason is Reason.SHUTTING_DOWN
    assert one.pid is None


def test_what_is_told_of_the_structures_needs_no_tree() -> None:
    why = "nothing tells of the structures"
    one = IsolatedKernel("6.9.0", _Asked(), treeless=Vmlinux("6.9.0", untold=why))
    assert why in one.why_not_run
    one.close()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signals_that_mean_the_daemon_are_not_for_it(isolated: Isolated, number: int) -> None:
    load(isolated, ModuleSpec())
    pid = pid_of(isolated)
    assert os.getsid(pid) == pid
    os.kill(pid, number)
    load(isolated, ModuleSpec(name="after"))
    assert pid_of(isolated) == pid


def test_it_has_no_files_but_its_own(tmp_path: Path) -> None:
    require(os.geteuid() == 0, "the process shows its files to root alone")
    inherited = os.open(tmp_path, os.O_RDONLY)
    os.set_inheritable(inherited, True)
    one = Isolated()
    load(one, ModuleSpec())
    files = {os.readlink(link) for link in Path(f"/proc/{one.pid}/fd").iterdir()}
    kinds = sorted(file.partition(":")[0] for file in files)
    assert kinds == ["/dev/null", "pipe", "pipe", "socket"]
    os.close(inherited)
    one.close()


PARENT = """
import time
from kmodd.kernel.emulated import IsolatedKernel, Vmlinux
kernel = IsolatedKernel("6.1.0", lambda: Vmlinux("6.1.0"))
assert kernel.details("nosuch") is None
print(kernel.pid, flush=True)
time.sleep(600)
"""


@pytest.mark.parametrize("stopped", [False, True])
def test_it_dies_with_the_daemon_whatever_it_is_doing(stopped: bool) -> None:
    daemon = subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True)
    assert daemon.stdout is not None
    pid = int(daemon.stdout.readline())
    watched = os.pidfd_open(pid)
    if stopped:
        stop(pid)
    daemon.kill()
    daemon.wait()
    daemon.stdout.close()
    assert select.select([watched], [], [], SECONDS)[0]
    os.close(watched)


def test_a_halted_kernel_leaves_nothing_and_answers_no_more() -> None:
    before = sorted(os.listdir("/proc/self/fd"))
    one = Isolated()
    load(one, ModuleSpec())
    watched = os.pidfd_open(pid_of(one))
    one.close()
    one.close()
    assert select.select([watched], [], [], 0)[0]
    os.close(watched)
    assert one.modules() == ()
    with pytest.raises(KernelError) as refused:
        one.delete_module("sample")
    assert refused.value.reason is Reason.SHUTTING_DOWN
    assert one.wait_log(10**9, SECONDS) == ()
    assert sorted(os.listdir("/proc/self/fd")) == before


def test_a_message_that_nobody_takes_does_not_hold_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(boot, "SEND_SECONDS", 1)
    one = Isolated()
    load(one, ModuleSpec())
    stop(pid_of(one))
    one.core = vmlinux(symbols={f"symbol_{number}": CoreSymbol(number) for number in range(90_000)})
    with pytest.raises(KernelError) as refused:
        load(one, ModuleSpec(name="next"))
    assert "cannot be reached" in refused.value.message
    one.close()
