# SPDX-License-Identifier: Apache-2.0
"""The module "sample": calls of the emulated kernel's functions, and what it leaves behind."""

import itertools
import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

from kmodd.kernel.emulated.hardware import addresses
from kmodd.kernel.emulated.machine.pseudo_filesystem import PseudoFilesystem
from kmodd.modulefile import ModuleFile
from tests.support.elf_writer import ModuleSpec, write_module
from tests.support.machine import Machine
from tests.support.require import require_emulator

require_emulator()

from kmodd.kernel.emulated.abi.function_table import (  # noqa: E402
    DEFAULT_VERSION,
    FUNCTIONS,
    RECLAIMERS,
    adopt,
)
from kmodd.kernel.emulated.abi.structures.declaring import Structure  # noqa: E402
from kmodd.kernel.emulated.hardware.x86_64 import ARGUMENTS  # noqa: E402
from kmodd.kernel.emulated.machine.crash import Crash  # noqa: E402
from kmodd.kernel.emulated.machine.image import ModuleImage  # noqa: E402
from kmodd.kernel.emulated.modules.kallsyms import FunctionNames  # noqa: E402
from kmodd.kernel.emulated.modules.symbol_table import SymbolColumns  # noqa: E402

__all__ = [
    "CODE",
    "NULL_DEREFERENCE",
    "Callback",
    "Crash",
    "add_module",
    "call_code",
    "callback",
    "enter",
    "error_pointer",
    "having",
    "held",
    "laid_out",
    "oops",
    "paths",
    "put_arguments",
    "put_calls",
    "put_code",
    "put_pointers",
    "put_structure",
    "put_text",
    "run",
    "settle",
    "unload",
]

CODE = addresses.MODULES
"""Where the code of the module "sample" is."""

NULL_DEREFERENCE = "BUG: kernel NULL pointer dereference"

_PAGE = 4096
_CALLBACKS = itertools.count(CODE + _PAGE, 64)
_NOTES_SIZE = 32
_MOVES = ("48bf", "48be", "48ba", "48b9", "49b8", "49b9")
"""x86 code: movabs to rdi, rsi, rdx, rcx, r8 and r9; the number follows."""


def run(machine: Machine, name: str, *arguments: int) -> int:
    """Have the module "sample" call a function; return the result as its prototype says it.

    Raises Crash where the function does not return.
    """
    with machine.running("sample"):
        return enter(machine, name, *arguments)


def enter(machine: Machine, name: str, *arguments: int) -> int:
    """Call a function within a system call that is under way; work that it puts off is done."""
    on_stack = machine.calls.now.stack & ~15
    for number, word in enumerate(arguments[ARGUMENTS:]):
        machine.memory.put(on_stack + 8 * number, word)
    word = machine.invoke(machine.kernel_symbols.address(name), *arguments[:ARGUMENTS])
    machine.deferred.run()
    return FUNCTIONS[name].prototype.result.take(word)


@contextmanager
def having(**prototypes: str) -> Iterator[None]:
    """Have the kernel's functions be as these words say (kernelimage.prototypes), for a while."""
    adopt(DEFAULT_VERSION, "6.1.0", prototypes)
    try:
        yield
    finally:
        adopt(DEFAULT_VERSION, "6.1.0", {})


@contextmanager
def laid_out(structure: Structure, **numbers: int) -> Iterator[None]:
    """Have a structure the fields of a later kernel than 6.1, for a while."""
    structure.__dict__.update(numbers)
    try:
        yield
    finally:
        structure.adopt(None)


def oops(machine: Machine, name: str, *arguments: int) -> str:
    """Call a function that must crash, and return the first line of the oops."""
    with pytest.raises(Crash) as crashed:
        run(machine, name, *arguments)
    return crashed.value.why


def settle(machine: Machine) -> None:
    """Let what was begun go on, and the machine's time pass."""
    with machine.running("sample"):
        machine.tasks.settle()


def held(machine: Machine, module: str = "sample") -> list[tuple[str, str]]:
    """Return the kinds and names of what a module has on its account, the oldest first."""
    return [(each.kind, each.name) for each in machine.ledger.held(module)]


def unload(machine: Machine, module: str = "sample") -> list[tuple[str, str]]:
    """Take a module away (Processor.drop), and return what it had not given back."""
    left = held(machine, module)
    for entry in machine.ledger.close(module):
        if entry.kind in RECLAIMERS:
            RECLAIMERS[entry.kind](machine, entry.key)
    machine.mounts.sysfs.forget(module)
    return left


def paths(tree: PseudoFilesystem) -> list[str]:
    """Return the paths of a tree's entries, sorted; a directory's ends in a slash."""
    return sorted(each.path + "/" * each.is_directory for each in tree.listing())


def error_pointer(code: int) -> int:
    """Return what the kernel's ERR_PTR makes of -``code``."""
    return (1 << 64) - code


def put_text(machine: Machine, text: str | bytes, at: int | None = None) -> int:
    """Store a string with its NUL, in memory of its own if not told where; return its address."""
    data = (text.encode() if isinstance(text, str) else text) + b"\0"
    address = machine.heap.allocate(len(data)) if at is None else at
    machine.memory.write(address, data)
    return address


def put_pointers(machine: Machine, *values: int) -> int:
    """Store a table of these pointers, which ends with 0; return its address."""
    address = machine.heap.allocate(8 * (len(values) + 1))
    machine.memory.write(address, struct.pack(f"<{len(values)}Q", *values))
    return address


def put_structure(machine: Machine, size: int, fields: dict[int, int]) -> int:
    """Store ``size`` bytes of zeros with these words of 8 bytes at offsets; return the address."""
    address = machine.heap.allocate(size)
    for offset, value in fields.items():
        machine.memory.put(address + offset, value)
    return address


def put_arguments(machine: Machine, address: int, *words: int) -> int:
    """Store a ``va_list`` of these arguments, all of them on the stack; return where it is."""
    machine.memory.put(address, 48, 4)
    machine.memory.put(address + 8, address + 24)
    for number, word in enumerate(words):
        machine.memory.put(address + 24 + 8 * number, word)
    return address


def put_code(machine: Machine, code: str, at: int = 0) -> int:
    """Store x86 code, in hexadecimal, among the module's; return where it is."""
    machine.memory.write(CODE + at, bytes.fromhex(code))
    machine.cpu.forget_code()
    return CODE + at


def call_code(machine: Machine, name: str, *arguments: int) -> str:
    """Return x86 code that calls a function with these numbers; the stack must be aligned."""
    loads = (
        move + argument.to_bytes(8, "little", signed=argument < 0).hex()
        for move, argument in zip(_MOVES, arguments, strict=False)
    )
    address = machine.kernel_symbols.address(name).to_bytes(8, "little").hex()
    return "".join(loads) + f"48b8{address}ffd0"


def put_calls(machine: Machine, *calls: tuple[str | int, ...], at: int = 0) -> int:
    """Store code that makes calls, each a function and its arguments, and returns the last result.

    What is passed to it is passed on to the first, as far as that has no arguments of its own.
    """
    code = "".join(call_code(machine, str(name), *map(int, rest)) for name, *rest in calls)
    return put_code(machine, f"4883ec08{code}4883c408c3", at)


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
    notes, place = machine.heap.allocate(_NOTES_SIZE), next(_CALLBACKS)
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


def add_module(machine: Machine, exports: Mapping[str, int] | None = None) -> ModuleImage:
    """Let the machine know of a module "sample" of one page, whose functions have no names."""
    symbols = SymbolColumns(ModuleFile.parse(write_module(ModuleSpec())))
    image = ModuleImage(
        name="sample",
        start=CODE,
        end=CODE + _PAGE,
        init_start=0,
        init_end=0,
        text_end=CODE + _PAGE,
        init_text_end=0,
        functions=FunctionNames(symbols, (), ()),
        exports=exports or {},
    )
    machine.add_image(image)
    return image
