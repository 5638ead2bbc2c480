# SPDX-License-Identifier: Apache-2.0
"""The filter of system calls, run by a processor of BPF of the test's own, on both architectures.

Its numbers are compared with those of the kernel's headers.
"""

import errno
import re
import struct
from functools import cache
from pathlib import Path

import pytest

from kmodd.kernel.emulated.process import system_call_filter as its
from tests.support.require import require

PID = 4711

HEADERS = {
    "x86_64": ("/usr/include/x86_64-linux-gnu/asm/unistd_64.h", r"#define __NR_(\w+) (\d+)$"),
    "aarch64": ("/usr/include/asm-generic/unistd.h", r"#define __NR(?:3264)?_(\w+)\s+(\d+)$"),
}

ALLOWED = "allowed"

CLONE_THREAD, SIGCHLD = 0x10000, 17

DANGEROUS = (
    *(
        "openat",
        "openat2",
        "newfstatat",
        "fstat",
        "open_by_handle_at",
        "execve",
        "execveat",
        "statx",
        "unlinkat",
    ),
    *("socket", "socketpair", "connect", "bind", "listen", "accept4", "dup3", "fcntl", "ioctl"),
    *("kill", "tkill", "rt_sigqueueinfo", "ptrace", "process_vm_readv", "process_vm_writev"),
    *("pidfd_open", "pidfd_getfd", "pidfd_send_signal", "setresuid", "setgroups", "capset"),
    *("mount", "umount2", "unshare", "setns", "chroot", "pivot_root", "init_module"),
    *("finit_module", "delete_module", "kexec_load", "bpf", "perf_event_open", "userfaultfd"),
    *("io_uring_setup", "io_uring_enter", "memfd_create", "add_key", "keyctl", "shmget", "seccomp"),
    *("prlimit64", "setrlimit", "personality", "reboot", "landlock_restrict_self"),
)


@cache
def numbers(machine: str) -> dict[str, int]:
    """The calls of an architecture by name, from the kernel's headers."""
    header, pattern = HEADERS[machine]
    require(Path(header).exists(), "the numbers are in the package linux-libc-dev")
    return {
        name.removeprefix("3264_"): int(number)
        for name, number in re.findall(pattern, Path(header).read_text(), re.MULTILINE)
    }


def answer(machine: str, number: int, *arguments: int, audit: int | None = None) -> str:
    """What the filter of a machine says of a call: "allowed", "killed" or the name of an errno."""
    on = its.ARCHITECTURES[machine, 64]
    program = list(struct.iter_unpack("=HBBI", its.filter_program(on, PID)))
    padded = (*arguments, 0, 0, 0, 0, 0, 0)[:6]
    architecture = on.audit if audit is None else audit
    data = struct.pack("<IIQ6Q", number, architecture, 0, *padded)
    at = held = 0
    while True:
        code, if_true, if_false, value = program[at]
        at += 1
        match code:
            case 0x20:  # BPF_LD | BPF_W | BPF_ABS
                (held,) = struct.unpack_from("<I", data, value)
            case 0x15:  # BPF_JMP | BPF_JEQ
                at += if_true if held == value else if_false
            case 0x35:  # BPF_JMP | BPF_JGE
                at += if_true if held >= value else if_false
            case 0x45:  # BPF_JMP | BPF_JSET
                at += if_true if held & value else if_false
            case 0x06:  # BPF_RET
                break
            case _:
                pytest.fail(f"an instruction {code:#x}")
    kinds = {0x7FFF0000: ALLOWED, 0x80000000: "killed"}
    return kinds.get(value) or errno.errorcode[value & 0xFFFF]


@pytest.mark.parametrize("machine", HEADERS)
def test_the_numbers_are_those_of_the_kernels_headers(machine: str) -> None:
    known, column = numbers(machine), its.ARCHITECTURES[machine, 64].column
    ours = {
        **its.CALLS,
        "clone": its.CLONE,
        "clone3": its.CLONE3,
        "prctl": its.PRCTL,
        "tgkill": its.TGKILL,
        "seccomp": its.SECCOMP,
    }
    assert {name: each[column] for name, each in ours.items()} == {
        name: known.get(name) for name in ours
    }


@pytest.mark.parametrize("machine", HEADERS)
def test_what_is_dangerous_is_refused(machine: str) -> None:
    known = numbers(machine)
    there = [name for name in DANGEROUS if name in known]
    assert len(there) > 50
    assert {name: answer(machine, known[name]) for name in there} == dict.fromkeys(there, "EPERM")


@pytest.mark.parametrize("machine", HEADERS)
def test_what_is_not_named_is_refused(machine: str) -> None:
    known = numbers(machine)
    allowed = {name for name, number in known.items() if answer(machine, number) == ALLOWED}
    assert allowed == {name for name in its.CALLS if name in known}


@pytest.mark.parametrize("machine", HEADERS)
def test_a_thread_may_be_made_and_no_process(machine: str) -> None:
    known = numbers(machine)
    thread = 0x3D0F00  # what a C library makes one with
    assert thread & CLONE_THREAD
    assert answer(machine, known["clone"], thread) == ALLOWED
    assert answer(machine, known["clone"], thread & ~CLONE_THREAD) == "EPERM"
    assert answer(machine, known["clone"], SIGCHLD) == "EPERM"
    assert answer(machine, known["clone"], CLONE_THREAD << 32) == "EPERM"
    assert answer(machine, known["clone3"], thread) == "ENOSYS"


@pytest.mark.parametrize("machine", HEADERS)
def test_a_name_may_be_given_and_nothing_else_of_the_kind(machine: str) -> None:
    prctl = numbers(machine)["prctl"]
    told = {option for option in range(1, 100) if answer(machine, prctl, option) == ALLOWED}
    assert told == {15}  # PR_SET_NAME


@pytest.mark.parametrize("machine", HEADERS)
def test_a_signal_may_be_sent_to_this_process_alone(machine: str) -> None:
    tgkill = numbers(machine)["tgkill"]
    assert answer(machine, tgkill, PID, PID, 6) == ALLOWED
    for other in (0, 1, PID + 1, PID - 1, (1 << 32) - 1):
        assert answer(machine, tgkill, other, other, 6) == "EPERM"


@pytest.mark.parametrize("machine", HEADERS)
def test_what_is_newer_than_the_filter_is_unknown(machine: str) -> None:
    newest = max(its._NEWEST, 450)
    unknown = [newest + 1, 1000, 1 << 30, (1 << 32) - 1]
    assert {answer(machine, number) for number in unknown} == {"ENOSYS"}
    assert answer(machine, newest) == "EPERM"


def test_no_call_is_made_by_another_name() -> None:
    """Neither as one of x32, which has bit 30 set, nor as one of 32 bits, nor of elsewhere."""
    write, i386, aarch64, arm = 1, 0x40000003, 0xC00000B7, 0x40000028
    assert answer("x86_64", write) == ALLOWED
    assert answer("x86_64", write | 1 << 30) == "ENOSYS"
    assert answer("x86_64", write, audit=i386) == "killed"
    assert answer("x86_64", write, audit=aarch64) == "killed"
    assert answer("aarch64", 64, audit=arm) == "killed"


@pytest.mark.parametrize("machine", HEADERS)
def test_no_call_reads_past_the_program(machine: str) -> None:
    program = list(
        struct.iter_unpack("=HBBI", its.filter_program(its.ARCHITECTURES[machine, 64], 1))
    )
    for at, (code, if_true, if_false, _) in enumerate(program):
        assert at + 1 + max(if_true, if_false) < len(program) or code == 0x06
    assert program[-1][0] == 0x06
    assert len(program) <= 4096  # BPF_MAXINSNS
