# SPDX-License-Identifier: Apache-2.0
"""What of the linux kernel needs no kernel of one's own; the rest is in tests/realkernel."""

import errno
import itertools
import os
from pathlib import Path

import pytest

from kmodd.errors import KernelError, Reason
from kmodd.kernel.base import (
    InsertFlags,
    LoadedModule,
    LogRecord,
    ModuleNote,
    ModuleSection,
    ModuleState,
)
from kmodd.kernel.linux import LinuxKernel
from kmodd.kernel.linux.kmsg import KEPT, Kmsg, parse_record
from kmodd.kernel.linux.this_machine import THIS_MACHINE
from kmodd.kernel.linux.verdicts import (
    closed_parameter,
    lines_about,
    load_failure,
    parameter_failure,
    unload_failure,
)
from kmodd.kernel.proc_modules import parse_modules, read_snapshot
from kmodd.modulefile import Compression
from tests.support.require import require

LINES = """\
world 16384 0 - Live 0xffffffffc0b3e000 (OE)
greet 16384 1 world, Live 0xffffffffc0b39000 (OE)
noexit 12288 0 [permanent], Live 0x0000000000000000 (POE)
half_way 20480 1 a,b,[permanent], Loading 0xffffffffc0a00000 (OE+)
late 4096 -1 - Unloading 0xffffffffc0a10000 (-)
"""


def fake_kernel(place: Path, **files: str) -> LinuxKernel:
    """A kernel whose /proc and /sys hold ``files``, with dots for slashes."""
    for name, text in files.items():
        path = place / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return LinuxKernel(proc=place / "proc", sysfs=place / "sys", log_device=place / "kmsg")


def test_every_line_of_a_listing_reads_back_as_it_was() -> None:
    modules = parse_modules(LINES)
    assert [module.proc_line() for module in modules] == LINES.splitlines()


def test_states_counts_holders_and_marks_are_told_apart() -> None:
    _, greet, noexit, halfway, late = parse_modules(LINES)
    assert (greet.holders, greet.refcount, greet.permanent) == (("world",), 1, False)
    assert (noexit.holders, noexit.permanent, noexit.taints) == ((), True, "POE")
    assert (halfway.holders, halfway.permanent) == (("a", "b"), True)
    assert (halfway.state, halfway.taints) == (ModuleState.COMING, "OE")
    assert (late.state, late.refcount) == (ModuleState.GOING, -1)


def test_a_kernel_that_cannot_unload_makes_every_module_permanent() -> None:
    assert parse_modules("a 4096 - - Live 0x0\n") == (
        LoadedModule(name="a", size=4096, refcount=0, holders=(), permanent=True),
    )


def test_the_details_of_a_module_are_those_of_its_sysfs_directory(tmp_path: Path) -> None:
    kernel = fake_kernel(
        tmp_path,
        proc__modules=LINES,
        sys__module__greet__coresize="16384\n",
        sys__module__greet__initsize="0\n",
        sys__module__greet__version="1.0\n",
        sys__module__greet__parameters__times="3\n",
    )
    for name, text in ((".text", "0xffffffffc0a10000\n"), (".bss", "0x0000000000000000\n")):
        (tmp_path / "sys/module/greet/sections").mkdir(exist_ok=True)
        (tmp_path / "sys/module/greet/sections" / name).write_text(text)
    (tmp_path / "sys/module/greet/sections/.closed").mkdir()
    (tmp_path / "sys/module/greet/notes").mkdir()
    (tmp_path / "sys/module/greet/notes/.note.Linux").write_bytes(b"\4\0\xff")
    details = kernel.details("greet")
    assert details is not None
    assert details.sections == (
        ModuleSection(".bss", 0),
        ModuleSection(".closed", 0),
        ModuleSection(".text", 0xFFFFFFFFC0A10000),
    )
    assert details.notes == (ModuleNote(".note.Linux", b"\4\0\xff"),)
    assert (details.core_size, details.init_size) == (16384, 0)
    assert (details.version, details.source_version) == ("1.0", None)
    assert [(each.name, each.value) for each in details.parameters] == [("times", "3")]
    assert kernel.details("nosuch") is None


def test_a_module_that_goes_while_it_is_read_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kernel = fake_kernel(tmp_path, proc__modules=LINES)
    listings = [LINES, ""]
    monkeypatch.setattr(
        "kmodd.kernel.linux.this_machine.read_snapshot", lambda _path: listings.pop(0).encode()
    )
    assert kernel.details("greet") is None


def test_a_module_that_comes_in_anothers_place_is_read_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kernel = fake_kernel(tmp_path, proc__modules=LINES)
    later = LINES.replace("greet 16384", "greet 20480").replace("c0b39000", "c0b3a000")
    listings = [LINES, later, later]
    monkeypatch.setattr(
        "kmodd.kernel.linux.this_machine.read_snapshot", lambda _path: listings.pop(0).encode()
    )
    details = kernel.details("greet")
    assert details is not None
    assert details.module.size == 20480


def test_a_name_of_any_bytes_hides_no_other_module() -> None:
    names = ("x y z - Live 0x0", "a\nb c d e Live f", "a\u2028b", "a\x1cb", "a\rb")
    text = "".join(f"{name} 16384 0 - Live 0x0\n" for name in (*names, "greet"))
    found = [module.name for module in parse_modules(text)]
    assert found[-1] == "greet"
    assert "a\u2028b" in found


@pytest.fixture
def with_greet(tmp_path: Path) -> LinuxKernel:
    """A kernel with a module that has parameters."""
    (tmp_path / "sys/module/greet/parameters").mkdir(parents=True)
    (tmp_path / "sys/module/greet/parameters/hidden").symlink_to(tmp_path / "outside")
    (tmp_path / "sys/module/world").mkdir()
    (tmp_path / "sys/module/world/parameters").symlink_to(tmp_path)
    return fake_kernel(
        tmp_path,
        outside="as it was",
        proc__modules=LINES,
        sys__module__greet__parameters__times="3\n",
        sys__module__greet__parameters__lines="one\ntwo\n",
    )


def test_a_parameter_is_set_by_one_write_to_its_file(
    with_greet: LinuxKernel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[bytes] = []
    genuine = os.write

    def write(fd: int, data: bytes) -> int:
        written.append(data)
        return genuine(fd, data)

    monkeypatch.setattr(os, "write", write)
    with_greet.set_parameter("greet", "times", "42")
    with_greet.set_parameter("greet", "times", "")
    assert written == [b"42", b"\n"]
    assert (tmp_path / "sys/module/greet/parameters/times").read_bytes() == b"\n2"
    details = with_greet.details("greet")
    assert details is not None
    assert {each.name: each.value for each in details.parameters}["lines"] == "one\ntwo"


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("greet", "nosuch"),
        ("greet", ""),
        ("greet", ".."),
        ("greet", "../../../../outside"),
        ("greet", "hidden"),
        ("greet", "times/"),
        ("greet", "a\0b"),
        ("greet", "x" * 300),
        ("world", "outside"),
    ],
)
def test_no_name_leads_out_of_the_modules_directory(
    with_greet: LinuxKernel, tmp_path: Path, module: str, name: str
) -> None:
    with pytest.raises(KernelError) as refused:
        with_greet.set_parameter(module, name, "1")
    assert refused.value.reason is Reason.PARAMETER_NOT_FOUND
    assert (tmp_path / "outside").read_text() == "as it was"


@pytest.mark.parametrize("module", ["nosuch", "", "..", "../module/greet"])
def test_a_module_that_is_not_loaded_has_no_parameters(
    with_greet: LinuxKernel, module: str
) -> None:
    with pytest.raises(KernelError) as refused:
        with_greet.set_parameter(module, "times", "1")
    assert (refused.value.reason, refused.value.errno) == (Reason.MODULE_NOT_LOADED, errno.ENOENT)


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (errno.EINVAL, Reason.INVALID_PARAMETER),
        (errno.ERANGE, Reason.INVALID_PARAMETER),
        (errno.EPERM, Reason.KERNEL_REFUSED),
        (errno.EBUSY, Reason.KERNEL_REFUSED),
    ],
)
def test_the_errno_of_a_parameters_setter_is_kept(
    with_greet: LinuxKernel, monkeypatch: pytest.MonkeyPatch, code: int, reason: Reason
) -> None:
    def write(_fd: int, _data: bytes) -> int:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "write", write)
    with pytest.raises(KernelError) as refused:
        with_greet.set_parameter("greet", "times", "often")
    assert (refused.value.reason, refused.value.errno) == (reason, code)


def test_a_parameter_whose_module_has_gone_meanwhile_is_none_of_a_loaded_module(
    with_greet: LinuxKernel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write(_fd: int, _data: bytes) -> int:
        (tmp_path / "proc/modules").write_text("")
        raise OSError(errno.ENODEV, os.strerror(errno.ENODEV))

    monkeypatch.setattr(os, "write", write)
    with pytest.raises(KernelError) as refused:
        with_greet.set_parameter("greet", "times", "often")
    assert (refused.value.reason, refused.value.errno) == (Reason.MODULE_NOT_LOADED, errno.ENOENT)


def test_what_the_kernel_says_of_a_parameter_comes_with_the_failure() -> None:
    lines = ("times: can only take 4 arguments", "greet: no", "other: times up", "unrelated: x")
    error = parameter_failure(errno.EINVAL, "greet", "times", "1,2,3,4,5", lines)
    assert error.log == lines[:3]
    assert closed_parameter(errno.EROFS, "greet", "times", loaded=True).errno == errno.EROFS


def test_the_taints_are_those_of_the_kernels_bits(tmp_path: Path) -> None:
    # Proprietary, out of tree, unsigned; and a bit that no kernel has yet.
    mask = 1 << 0 | 1 << 12 | 1 << 13 | 1 << 40
    kernel = fake_kernel(tmp_path, proc__sys__kernel__tainted=f"{mask}\n")
    assert (kernel.identity().taint_mask, kernel.identity().taints) == (mask, "POE")


def test_a_listing_that_changes_between_two_reads_is_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "modules").write_text(LINES)
    answers = [b"new\n", b"old\n", b"", b"old\n", b"older\n", b"", b"old\n", b"older\n", b""]
    monkeypatch.setattr(os, "read", lambda _fd, _size: answers.pop(0))
    assert read_snapshot(tmp_path / "modules") == b"old\nolder\n"


@pytest.mark.parametrize(
    ("raw", "record"),
    [
        (b"6,339,5140900,-;NET: ready\n", LogRecord(339, 6, 5140900, "NET: ready")),
        (
            b"30,340,5690716,-,caller=T1;udevd[80]: started\n SUBSYSTEM=x\n DEVICE=+y\n",
            LogRecord(340, 6, 5690716, "udevd[80]: started"),
        ),
        (b"4,1,2,-;a\\x09b\\x5cc \\xc3\\xa4;d\n", LogRecord(1, 4, 2, "a\tb\\c ä;d")),
        (b"3,7,8,c;\n", LogRecord(7, 3, 8, "")),
        (b"nonsense\n", None),
        (b"1,2;x\n", None),
        (b"a,b,c,-;x\n", None),
    ],
)
def test_records_of_the_log_are_read_as_the_kernel_writes_them(
    raw: bytes, record: LogRecord | None
) -> None:
    assert parse_record(raw) == record


def test_a_log_that_may_not_be_read_says_so(tmp_path: Path) -> None:
    log = Kmsg(tmp_path / "nowhere", THIS_MACHINE)
    with pytest.raises(KernelError, match="the kernel log cannot be read") as caught:
        log.read(-1)
    assert caught.value.errno == errno.ENOENT
    with log.window() as window:
        assert window.lines() is None


def test_a_log_that_grows_quicker_than_it_is_read_is_read_for_a_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "kmsg").touch()
    log = Kmsg(tmp_path / "kmsg", THIS_MACHINE)
    numbers = itertools.count()
    monkeypatch.setattr(os, "read", lambda _fd, _size: b"6,%d,0,-;again\n" % next(numbers))
    with log.window() as window:
        assert window.lines() == ("again",) * KEPT
    assert len(log.read(-1)) == KEPT


def test_lines_of_other_modules_do_not_explain_a_failure() -> None:
    log = (
        "ext4: Unknown symbol crc16 (err -2)",
        "ext4_more: loaded",
        "snd-pcm: noise",
        "Loading of unsigned module is rejected",
        "BUG: kernel NULL pointer dereference, address: 0000000000000008",
    )
    assert lines_about("ext4", log) == (log[0], *log[3:])
    assert lines_about("snd_pcm", log) == (log[2], *log[3:])


@pytest.mark.parametrize(
    ("code", "lines", "reason", "symbol"),
    [
        (errno.ENOENT, ["m: Unknown symbol f (err -2)"], Reason.UNKNOWN_SYMBOL, "f"),
        (errno.ENOENT, None, Reason.UNKNOWN_SYMBOL, ""),
        (errno.ENOENT, [], Reason.KERNEL_REFUSED, ""),
        (errno.ENOENT, ["other: Unknown symbol f (err -2)"], Reason.KERNEL_REFUSED, ""),
        (
            errno.EINVAL,
            ["m: disagrees about version of symbol f", "m: Unknown symbol f (err -22)"],
            Reason.SYMBOL_VERSION_MISMATCH,
            "f",
        ),
        (
            errno.ENOEXEC,
            ["m: disagrees about version of symbol module_layout"],
            Reason.SYMBOL_VERSION_MISMATCH,
            "module_layout",
        ),
        (errno.EINVAL, ["m: `x' invalid for parameter `n'"], Reason.INVALID_PARAMETER, ""),
        (errno.EINVAL, ["m: it does not work"], Reason.KERNEL_REFUSED, ""),
        (errno.ENOEXEC, ["m: version magic 'a' should be 'b'"], Reason.INVALID_MODULE_FORMAT, ""),
        (errno.EEXIST, [], Reason.MODULE_ALREADY_LOADED, ""),
        (errno.EBUSY, [], Reason.MODULE_BUSY, ""),
        (errno.EIO, ["m: Unknown symbol f (err -2)"], Reason.KERNEL_REFUSED, ""),
        (errno.EKEYREJECTED, [], Reason.KERNEL_REFUSED, ""),
        (errno.ENOSYS, [], Reason.KERNEL_REFUSED, ""),
    ],
)
def test_an_errno_and_its_log_lines_give_the_reason(
    code: int, lines: list[str] | None, reason: Reason, symbol: str
) -> None:
    error = load_failure(code, "m", lines)
    assert (error.reason, error.errno, error.symbol, error.module) == (reason, code, symbol, "m")
    assert error.message


@pytest.mark.parametrize(
    ("code", "reason", "words"),
    [
        (errno.ENOENT, Reason.MODULE_NOT_LOADED, "not loaded"),
        (errno.EAGAIN, Reason.MODULE_IN_USE, "in use by a b"),
        (errno.EBUSY, Reason.MODULE_BUSY, "permanent"),
        (errno.EPERM, Reason.KERNEL_REFUSED, "no CAP_SYS_MODULE"),
        (errno.ENOSYS, Reason.KERNEL_REFUSED, "cannot unload"),
    ],
)
def test_an_unload_that_fails_says_why(code: int, reason: Reason, words: str) -> None:
    error = unload_failure(code, "m", ["a", "b"], why="this process has no CAP_SYS_MODULE")
    assert (error.reason, error.errno, error.detail) == (reason, code, "a b")
    assert words in error.message


def test_the_kernels_own_decompression_is_used_where_it_has_one(tmp_path: Path) -> None:
    assert fake_kernel(tmp_path / "a").compressions == {Compression.NONE}
    kernel = fake_kernel(tmp_path / "b", sys__module__compression="xz\n")
    assert kernel.compressions == {Compression.NONE, Compression.XZ}


def test_a_kernel_without_modules_lists_none_and_says_so(tmp_path: Path) -> None:
    kernel = fake_kernel(tmp_path, proc__self__status="CapEff:\t000001ffffffffff\n")
    assert kernel.modules() == ()
    assert kernel.module("ext4") is None
    assert kernel.limits()[0] == kernel.refusal() == "the kernel is built without modules"


def test_what_the_kernel_will_refuse_is_known_beforehand(tmp_path: Path) -> None:
    kernel = fake_kernel(
        tmp_path,
        proc__modules="",
        proc__self__status="CapEff:\t0000000400000000\n",
        proc__sys__kernel__modules_disabled="1\n",
        sys__kernel__security__lockdown="none [integrity] confidentiality\n",
        sys__module__module__parameters__sig_enforce="Y\n",
    )
    assert kernel.limits()[:3] == (
        "this process has no CAP_SYS_MODULE",
        "the kernel is locked down and loads signed modules only",
        "the kernel loads no module without a valid signature (sig_enforce)",
    )


def test_a_kernel_that_takes_signed_modules_refuses_not_all(tmp_path: Path) -> None:
    files = {
        "proc__modules": "",
        "proc__self__status": "CapEff:\t000001ffffffffff\n",
        "sys__kernel__security__lockdown": "none [integrity] confidentiality\n",
    }
    assert fake_kernel(tmp_path, **files).refusal() == ""
    files["proc__sys__kernel__modules_disabled"] = "1\n"
    assert "modules are disabled" in fake_kernel(tmp_path, **files).refusal()


def test_a_kernel_with_nothing_against_us_has_no_limits(tmp_path: Path) -> None:
    kernel = fake_kernel(
        tmp_path,
        kmsg="",
        proc__modules="",
        proc__self__status="CapEff:\t000001ffffffffff\n",
        proc__sys__kernel__modules_disabled="0\n",
        sys__kernel__security__lockdown="[none] integrity confidentiality\n",
        sys__module__module__parameters__sig_enforce="N\n",
    )
    assert kernel.limits() == ()


@pytest.mark.parametrize("flags", [InsertFlags.NONE, InsertFlags.IGNORE_VERMAGIC])
def test_this_machines_kernel_takes_no_nonsense(tmp_path: Path, flags: InsertFlags) -> None:
    (tmp_path / "nonsense.ko").write_bytes(b"nonsense")
    kernel = LinuxKernel()
    with (tmp_path / "nonsense.ko").open("rb") as file, pytest.raises(KernelError) as caught:
        kernel.finit_module(file.fileno(), "", flags)
    assert caught.value.errno in (errno.ENOEXEC, errno.EPERM, errno.ENOSYS)
    with pytest.raises(KernelError):
        kernel.init_module(b"nonsense", "", flags)
    with pytest.raises(KernelError) as caught:
        kernel.delete_module("kmodd_no_such_module")
    assert caught.value.errno in (errno.ENOENT, errno.EPERM, errno.ENOSYS)
    kernel.close()


def test_a_nul_never_reaches_the_kernel() -> None:
    with pytest.raises(KernelError) as caught:
        LinuxKernel().init_module(b"x", "a\0b", InsertFlags.NONE)
    assert caught.value.reason is Reason.INVALID_PARAMETER


def test_this_machines_log_is_read_where_it_may_be() -> None:
    kernel = LinuxKernel()
    hidden = [limit for limit in kernel.limits() if "the kernel log cannot be read" in limit]
    require(not hidden, f"reading this machine's log: {hidden}")
    records = kernel.read_log()
    sequences = [record.sequence for record in records]
    assert sequences == sorted(set(sequences))
    if records:
        assert kernel.read_log(records[0].sequence)[: len(records) - 1] == records[1:]
        assert kernel.wait_log(records[-2].sequence, 5.0)[0] == records[-1]
    kernel.close()
    assert kernel.wait_log(sequences[-1] if sequences else -1, 60.0) == ()
