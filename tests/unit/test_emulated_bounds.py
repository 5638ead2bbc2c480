# SPDX-License-Identifier: Apache-2.0
"""The memory that the process of the emulated kernel may have, where it is less from the start."""

import resource
import subprocess
import sys
from pathlib import Path

import pytest

from kmodd.kernel.emulated import IsolatedKernel
from kmodd.kernel.emulated.process.confinement import ADDRESS_SPACE_MAX
from tests.support.elf_writer import ModuleSpec
from tests.support.emulated import RELEASE, load, vmlinux
from tests.support.require import require_emulator

ENOUGH, TOO_LITTLE = 4 << 30, 1 << 30
"""Bytes of addresses, with which the emulated machine can be made or not."""

LOADS_ONE = f"""
import sys
from kmodd.errors import KernelError
from kmodd.kernel.emulated import IsolatedKernel
from tests.support.elf_writer import ModuleSpec
from tests.support.emulated import load, vmlinux
one = IsolatedKernel({RELEASE!r}, vmlinux, run_code=sys.argv[1] == "code")
try:
    load(one, ModuleSpec())
except KernelError as error:
    print(error.errno, error.message)
with open(f"/proc/{{one.pid}}/limits") as limits:
    print(*next(line for line in limits if line.startswith("Max address space")).split()[3:5])
print(*(line.text for line in one.read_log() if "panic" in line.text))
one.close()
"""


def loaded_below(limit: int, *, kind: str, code: str = "code") -> list[str]:
    """Load a module where nothing may map more than ``limit`` bytes, and return what is said."""
    command = [sys.executable, "-c", LOADS_ONE, code]
    shell = ["/bin/sh", "-c", f'ulimit -{kind}v {limit >> 10}; exec "$@"', "sh", *command]
    ran = subprocess.run(shell, capture_output=True, text=True, check=True)
    return ran.stdout.splitlines()


@pytest.mark.parametrize("kind", ["", "S"])
def test_a_bound_that_is_lower_already_stays(kind: str) -> None:
    require_emulator()
    assert loaded_below(ENOUGH, kind=kind) == [f"{ENOUGH} {ENOUGH}", ""]


def test_where_the_machine_has_no_room_a_load_is_refused_and_nothing_panics() -> None:
    require_emulator()
    said = "12 no room for a machine with 2700 MiB of addresses (ulimit -v)"
    assert loaded_below(TOO_LITTLE, kind="") == [said, f"{TOO_LITTLE} {TOO_LITTLE}", ""]


def test_modules_whose_code_is_not_run_need_no_such_room() -> None:
    told = loaded_below(TOO_LITTLE, kind="", code="none")
    assert told == [f"{TOO_LITTLE} {TOO_LITTLE}", ""]


def test_the_machine_has_room_where_nobody_said_anything() -> None:
    if resource.getrlimit(resource.RLIMIT_AS)[0] != resource.RLIM_INFINITY:
        pytest.skip("what this runs in has a bound of its own")
    one = IsolatedKernel(RELEASE, vmlinux)
    load(one, ModuleSpec())
    limits = Path(f"/proc/{one.pid}/limits").read_text().splitlines()
    (line,) = (each for each in limits if each.startswith("Max address space"))
    assert line.split()[3:5] == [str(ADDRESS_SPACE_MAX)] * 2
    one.close()
