# SPDX-License-Identifier: Apache-2.0
"""Every way to be refused ends as it did on a real kernel (crafted.json): errno, log, listing."""

import json
import os
import re
from collections.abc import Iterator
from typing import Any

import pytest

from kmodd.errors import KernelError
from kmodd.kernel.emulated import Builtins, CoreSymbol, EmulatedKernel, MachineType, Sample, Vmlinux
from kmodd.kernel.emulated.execution.cpu import IdleCpu
from kmodd.kernel.emulated.modules.struct_module import StructModule
from tests.conformance.realkernel.crafted import (
    CORE_CRCS,
    GPL_ONLY,
    NAMESPACE,
    NAMESPACED,
    SESSIONS,
    Call,
    Insert,
    Session,
)
from tests.conformance.realkernel.record import RECORDING
from tests.support.elf_writer import VERMAGIC

CASES = [
    pytest.param(session.name, number, id=f"{session.name}: {call.title}")
    for session in SESSIONS
    for number, call in enumerate(session.calls)
]
RESULTS_OF_INIT = {"failing": -5, "odd": 5}
"""What the init functions of crafted.py return, for want of a processor that runs them."""


class KnowingCpu(IdleCpu):
    """Runs nothing, but knows what the modules' init functions would return."""

    def init(self, mod: StructModule) -> int:
        return RESULTS_OF_INIT.get(mod.name, 0)


def debian_kernel(command_line: str = "") -> EmulatedKernel:
    """Boot what Debian's 6.1.0-56-amd64 is to the modules of crafted.py."""
    symbols = {name: CoreSymbol(crc) for name, crc in CORE_CRCS.items()}
    symbols[GPL_ONLY] = CoreSymbol(CORE_CRCS[GPL_ONLY], gpl_only=True)
    symbols[NAMESPACED] = CoreSymbol(CORE_CRCS[NAMESPACED], gpl_only=True, namespace=NAMESPACE)
    vmlinux = Vmlinux(
        VERMAGIC.split()[0],
        vermagic=VERMAGIC,
        sample=Sample(
            MachineType(64, "little", 62),
            key=b"key",
            retpoline=True,
            compiler="GCC: (Debian 12.2.0)",
        ),
        symbols=symbols,
        builtins=Builtins(frozenset({"printk"}), frozenset({"printk"})),
    )
    return EmulatedKernel(
        vmlinux.release, lambda: vmlinux, command_line=command_line, cpu=KnowingCpu()
    )


def make(kernel: EmulatedKernel, call: Call) -> int:
    """Make the call and return its errno."""
    fd = os.memfd_create("image")
    try:
        if isinstance(call, Insert):
            os.write(fd, call.image)
            kernel.finit_module(fd, call.parameters, call.flags)
        else:
            kernel.delete_module(call.name, force=call.force)
    except KernelError as error:
        return error.errno
    finally:
        os.close(fd)
    return 0


def answers(session: Session) -> Iterator[dict[str, Any]]:
    """Yield the emulated kernel's answers in the form of the recording."""
    kernel = debian_kernel(session.command_line)
    seen = kernel.read_log()[-1].sequence
    for call in session.calls:
        errno = make(kernel, call)
        records = kernel.read_log(seen)
        seen = records[-1].sequence if records else seen
        lines = [re.sub(r" 0x[0-9a-f]+", "", module.proc_line()) for module in kernel.modules()]
        log = [[record.level, record.text] for record in records]
        sysfs = dict(pair for module in kernel.modules() for pair in files(kernel, module.name))
        yield {
            "title": call.title,
            "errno": errno,
            "log": log,
            "modules": lines,
            "sysfs": sysfs,
        }


def files(kernel: EmulatedKernel, name: str) -> Iterator[tuple[str, str]]:
    """Yield the files of a module's directory in /sys/module that are not empty."""
    details = kernel.details(name)
    assert details is not None
    found = {
        "coresize": str(details.core_size),
        "initsize": str(details.init_size),
        "initstate": {"Live": "live", "Loading": "coming", "Unloading": "going"}[
            details.module.state.value
        ],
        "refcnt": str(details.module.refcount),
        "srcversion": details.source_version,
        "taint": details.module.taints,
        "version": details.version,
        **{f"parameters/{each.name}": each.value for each in details.parameters},
    }
    for file, content in found.items():
        if content:
            yield f"{name}/{file}", content


@pytest.fixture(scope="module")
def emulated() -> dict[str, list[dict[str, Any]]]:
    return {session.name: list(answers(session)) for session in SESSIONS}


@pytest.fixture(scope="module")
def recorded() -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = json.loads(RECORDING.read_text())
    return found


@pytest.mark.parametrize(("session", "number"), CASES)
def test_a_call_ends_as_on_a_real_kernel(
    session: str, number: int, emulated: dict[str, Any], recorded: dict[str, Any]
) -> None:
    assert emulated[session][number] == recorded[session][number]
