# SPDX-License-Identifier: Apache-2.0
"""The agents that are checked in are those that their source makes."""

import platform
import subprocess
from pathlib import Path

import pytest

from kmodd.kernel.vm.agent import agent_of
from kmodd.kernel.vm.agent.build import PREFIXES, compile_agent, compiler
from kmodd.modulefile.elf import ElfMachine
from tests.support.played_guest import played_guest
from tests.support.require import require

COMPILED_BY = "12.2.0"
"""The version of the compilers, those of Debian 12; others make other bytes."""

SIZE_MAX = 16 << 10
"""Bytes of an agent."""

MACHINES = {
    "aarch64": ElfMachine.AARCH64,
    "ppc64le": ElfMachine.PPC64,
    "riscv64": ElfMachine.RISCV,
    "s390x": ElfMachine.S390,
    "x86_64": ElfMachine.X86_64,
}


@pytest.mark.parametrize("machine", PREFIXES)
def test_an_agent_is_what_its_source_makes(machine: str, tmp_path: Path) -> None:
    require(compiler(machine), f"compiling the agent for {machine} takes {compiler(machine)}")
    version = subprocess.run(
        [compiler(machine), "-dumpfullversion"], capture_output=True, text=True, check=True
    ).stdout.strip()
    compile_agent(machine, tmp_path / "agent")
    if machine == platform.machine():
        with played_guest(tmp_path / "agent") as guest:
            assert guest.system.exists(tmp_path)
    if version != COMPILED_BY:
        pytest.skip(f"the agents are compiled with gcc {COMPILED_BY}, and this is {version}")
    assert (tmp_path / "agent").read_bytes() == agent_of(machine).read_bytes()


@pytest.mark.parametrize(("machine", "number"), MACHINES.items())
def test_an_agent_is_a_small_static_program_of_its_machine(machine: str, number: int) -> None:
    agent = agent_of(machine)
    contents = agent.read_bytes()
    assert int.from_bytes(contents[18:20], "big" if contents[5] == 2 else "little") == number
    assert len(contents) < SIZE_MAX
    assert agent.stat().st_mode & 0o111
    assert b"/lib" not in contents
    assert {*MACHINES} == {*PREFIXES}


def test_there_is_no_agent_for_any_other_machine() -> None:
    assert not agent_of("vax").exists()
