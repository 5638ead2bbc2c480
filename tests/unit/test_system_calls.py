# SPDX-License-Identifier: Apache-2.0
"""The filters of system calls, run by a processor of BPF of the test's own, on both architectures.

There are two, of the emulated kernel's process and of the front. The numbers are compared with
those of the kernel's headers.
"""

import errno
import re
import socket
import struct
from functools import cache
from pathlib import Path

import pytest

from kmodd import system_calls as its
from kmodd.front import confinement as front
from kmodd.kernel.emulated.process import confinement as emulated
from tests.support.require import require

PID = 4711

HEADERS = {
    "x86_64": ("/usr/include/x86_64-linux-gnu/asm/unistd_64.h", r"#define __NR_(\w+) (\d+)$"),
    "aarch64": ("/usr/include/asm-generic/unistd.h", r"#define __NR(?:3264)?_(\w+)\s+(\d+)$"),
}

ALLOWED = "allowed"

CLONE_THREAD, SIGCHLD = 0x10000, 17

FILTERS = {
    "emulated": (emulated.CALLS, ()),
    "front": (front.CALLS, front.ONLY),
}
"""What each leaves to its process, beside what those with threads need."""

WHOSE = [(machine, whose) for machine in HEADERS for whose in FILTERS]

SOCKETS = ("connect", "bind", "listen", "accept4")
"""What is dangerous as such, and what a front is for: its network is empty, or it is no root."""

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


def program_of(machine: str, whose: str) -> list[tuple[int, int, int, int]]:
    allowed, only = FILTERS[whose]
    on = its.ARCHITECTURES[machine, 64]
    program = its.filter_program(on, allowed, (*only, *its.of_threads(PID)))
    return list(struct.iter_unpack("=HBBI", program))


def answer(machine: str, whose: str, number: int, *arguments: int, audit: int | None = None) -> str:
    """What the filter of a machine says of a call: "allowed", "killed" or the name of an errno."""
    on = its.ARCHITECTURES[machine, 64]
    program = program_of(machine, whose)
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
    ours = {name: each[column] for name, each in its.NUMBERS.items()}
    assert ours == {name: known.get(name) for name in its.NUMBERS}


@pytest.mark.parametrize(("machine", "whose"), WHOSE)
def test_what_is_dangerous_is_refused(machine: str, whose: str) -> None:
    known = numbers(machine)
    given = SOCKETS if whose == "front" else ()
    there = [name for name in DANGEROUS if name in known and name not in given]
    assert len(there) >= 50
    assert {name: answer(machine, whose, known[name]) for name in there} == dict.fromkeys(
        there, "EPERM"
    )


@pytest.mark.parametrize(("machine", "whose"), WHOSE)
def test_what_is_not_named_is_refused(machine: str, whose: str) -> None:
    known = numbers(machine)
    allowed = {name for name, number in known.items() if answer(machine, whose, number) == ALLOWED}
    assert allowed == {name for name in FILTERS[whose][0] if name in known}


@pytest.mark.parametrize(("machine", "whose"), WHOSE)
def test_a_thread_may_be_made_and_no_process(machine: str, whose: str) -> None:
    known = numbers(machine)
    thread = 0x3D0F00  # what a C library makes one with
    assert thread & CLONE_THREAD
    assert answer(machine, whose, known["clone"], thread) == ALLOWED
    assert answer(machine, whose, known["clone"], thread & ~CLONE_THREAD) == "EPERM"
    assert answer(machine, whose, known["clone"], SIGCHLD) == "EPERM"
    assert answer(machine, whose, known["clone"], CLONE_THREAD << 32) == "EPERM"
    assert answer(machine, whose, known["clone3"], thread) == "ENOSYS"


@pytest.mark.parametrize(("machine", "whose"), WHOSE)
def test_a_name_may_be_given_and_nothing_else_of_the_kind(machine: str, whose: str) -> None:
    prctl = numbers(machine)["prctl"]
    told = {option for option in range(1, 100) if answer(machine, whose, prctl, option) == ALLOWED}
    assert told == {15}  # PR_SET_NAME


@pytest.mark.parametrize(("machine", "whose"), WHOSE)
def test_a_signal_may_be_sent_to_this_process_alone(machine: str, whose: str) -> None:
    tgkill = numbers(machine)["tgkill"]
    assert answer(machine, whose, tgkill, PID, PID, 6) == ALLOWED
    for other in (0, 1, PID + 1, PID - 1, (1 << 32) - 1):
        assert answer(machine, whose, tgkill, other, other, 6) == "EPERM"


@pytest.mark.parametrize("machine", HEADERS)
def test_a_front_may_have_sockets_of_one_family_and_ask_nothing_else_of_what_is_open(
    machine: str,
) -> None:
    known = numbers(machine)

    def told(name: str, argument: int, values: range) -> set[int]:
        before = (3,) * argument
        return {
            each
            for each in values
            if answer(machine, "front", known[name], *before, each) == ALLOWED
        }

    assert told("socket", 0, range(50)) == {socket.AF_UNIX}
    assert told("ioctl", 1, range(0x5400, 0x5500)) == {0x5421}  # FIONBIO
    assert told("ioctl", 1, range(0x8900, 0x8A00)) == set()  # of networks
    assert told("fcntl", 1, range(1100)) == {1, 2, 3, 4, 1030}  # no locks, owners and leases


@pytest.mark.parametrize(("machine", "whose"), WHOSE)
def test_what_is_newer_than_the_filter_is_unknown(machine: str, whose: str) -> None:
    newest = max(its._NEWEST, 450)
    unknown = [newest + 1, 1000, 1 << 30, (1 << 32) - 1]
    assert {answer(machine, whose, number) for number in unknown} == {"ENOSYS"}
    assert answer(machine, whose, newest) == "EPERM"


@pytest.mark.parametrize("whose", FILTERS)
def test_no_call_is_made_by_another_name(whose: str) -> None:
    """Neither as one of x32, which has bit 30 set, nor as one of 32 bits, nor of elsewhere."""
    write, i386, aarch64, arm = 1, 0x40000003, 0xC00000B7, 0x40000028
    assert answer("x86_64", whose, write) == ALLOWED
    assert answer("x86_64", whose, write | 1 << 30) == "ENOSYS"
    assert answer("x86_64", whose, write, audit=i386) == "killed"
    assert answer("x86_64", whose, write, audit=aarch64) == "killed"
    assert answer("aarch64", whose, 64, audit=arm) == "killed"


@pytest.mark.parametrize(("machine", "whose"), WHOSE)
def test_no_call_reads_past_the_program(machine: str, whose: str) -> None:
    program = program_of(machine, whose)
    for at, (code, if_true, if_false, _) in enumerate(program):
        assert at + 1 + max(if_true, if_false) < len(program) or code == 0x06
    assert program[-1][0] == 0x06
    assert len(program) <= 4096  # BPF_MAXINSNS
