# SPDX-License-Identifier: Apache-2.0
"""Calls of the emulated kernel's functions through the processor, and what they leave behind."""

import itertools
import struct
from dataclasses import dataclass

import pytest

from kmodd.kernel.emulated.machine.pseudo_filesystem import PseudoFilesystem
from tests.support.machine import Machine
from tests.support.require import require_emulator

require_emulator()

from kmodd.kernel.emulated.abi.function_table import FUNCTIONS, RECLAIMERS  # noqa: E402
from kmodd.kernel.emulated.hardware import addresses  # noqa: E402
from kmodd.kernel.emulated.hardware.x86_64 import ARGUMENTS  # noqa: E402
from kmodd.kernel.emulated.machine.crash import Crash  # noqa: E402

NULL_DEREFERENCE = "BUG: kernel NULL pointer dereference"

_PLACES = itertools.count(addresses.MODULES, 64)
_NOTES_SIZE = 32


def ask(machine: Machine, name: str, *arguments: int) -> int:
    """Call a function of the kernel's as code of the module "sample" does.

    Returns what its prototype makes of the register; Crash where it does not return.
    """
    with machine.running("sample"):
        on_stack = machine.calls.now.stack & ~15
        for number, word in enumerate(arguments[ARGUMENTS:]):
            machine.memory.put(on_stack + 8 * number, word)
        word = machine.invoke(machine.kernel_symbols.address(name), *arguments[:ARGUMENTS])
        machine.deferred.run()
    return FUNCTIONS[name].prototype.result.take(word)


def oops(machine: Machine, name: str, *arguments: int) -> str:
    """Call a function of the kernel's that must crash, and return the first line of the oops."""
    with pytest.raises(Crash) as crashed:
        ask(machine, name, *arguments)
    return crashed.value.why


def error_pointer(code: int) -> int:
    """Return what the kernel's ERR_PTR makes of -``code``."""
    return (1 << 64) - code


def text(machine: Machine, words: str) -> int:
    """Return the address of a string."""
    data = words.encode() + b"\0"
    address = machine.heap.allocate(len(data))
    machine.memory.write(address, data)
    return address


def pointers(machine: Machine, *values: int) -> int:
    """Return the address of a table of these pointers, which ends with 0."""
    address = machine.heap.allocate(8 * (len(values) + 1))
    machine.memory.write(address, struct.pack(f"<{len(values)}Q", *values))
    return address


def structure(machine: Machine, size: int, fields: dict[int, int]) -> int:
    """Return the address of ``size`` bytes of zeros with these words of 8 bytes at offsets."""
    address = machine.heap.allocate(size)
    for offset, value in fields.items():
        machine.memory.put(address + offset, value)
    return address


def held(machine: Machine, module: str = "sample") -> list[tuple[str, str]]:
    """Return the kinds and names of what a module has on its account."""
    return [(each.kind, each.name) for each in machine.ledger.held(module)]


def leave(machine: Machine, module: str = "sample") -> None:
    """Have a module be gone, and what it has never given back forgotten (Processor.drop)."""
    for entry in machine.ledger.close(module):
        reclaim = RECLAIMERS.get(entry.kind)
        if reclaim is not None:
            reclaim(machine, entry.key)
    machine.mounts.sysfs.forget(module)


def paths(tree: PseudoFilesystem) -> list[str]:
    """Return the paths of a tree's entries, sorted; a directory's ends in a slash."""
    return sorted(each.path + "/" * each.is_directory for each in tree.listing())


@dataclass(frozen=True, slots=True)
class Callback:
    """A function of the module's: ``address`` is where its code is."""

    machine: Machine
    address: int
    notes: int

    @property
    def calls(self) -> int:
        """How often it was called."""
        return self.machine.memory.number(self.notes + 24)

    @property
    def arguments(self) -> tuple[int, int, int]:
        """The first three arguments of the last call."""
        first, second, third = struct.unpack("<3Q", self.machine.memory.read(self.notes, 24))
        return first, second, third


def callback(machine: Machine, result: int = 0) -> Callback:
    """Return a function that notes its arguments and returns ``result``."""
    notes, place = machine.heap.allocate(_NOTES_SIZE), next(_PLACES)
    # mov $notes, %rax; mov %rdi, (%rax); mov %rsi, 8(%rax); mov %rdx, 16(%rax); incq 24(%rax);
    # mov $result, %rax; ret
    noting = bytes.fromhex("48893848897008488950 1048ff4018")
    machine.memory.write(
        place,
        b"\x48\xb8"
        + notes.to_bytes(8, "little")
        + noting
        + b"\x48\xb8"
        + (result & (1 << 64) - 1).to_bytes(8, "little")
        + b"\xc3",
    )
    return Callback(machine, place, notes)
