# SPDX-License-Identifier: Apache-2.0
"""The module "sample": calls of the emulated kernel's functions, and what it leaves behind."""

from collections.abc import Mapping

from kmodd.kernel.emulated.hardware import addresses
from kmodd.modulefile import ModuleFile
from tests.support.elf_writer import ModuleSpec, write_module
from tests.support.machine import Machine
from tests.support.require import require_emulator

require_emulator()

from kmodd.kernel.emulated.abi.function_table import FUNCTIONS, RECLAIMERS  # noqa: E402  # after the emulator
from kmodd.kernel.emulated.machine.crash import Crash  # noqa: E402
from kmodd.kernel.emulated.machine.image import ModuleImage  # noqa: E402
from kmodd.kernel.emulated.modules.kallsyms import FunctionNames  # noqa: E402
from kmodd.kernel.emulated.modules.symbol_table import SymbolColumns  # noqa: E402

__all__ = [
    "CODE",
    "Crash",
    "add_module",
    "call_code",
    "enter",
    "error",
    "held",
    "put_arguments",
    "put_calls",
    "put_code",
    "put_text",
    "run",
    "settle",
    "unload",
]

CODE = addresses.MODULES
"""Where the code of the module "sample" is."""

_PAGE = 4096
_MOVES = ("48bf", "48be", "48ba", "48b9", "49b8", "49b9")
"""x86 code: movabs to rdi, rsi, rdx, rcx, r8 and r9; the number follows."""


def run(machine: Machine, name: str, *arguments: int) -> int:
    """Have the module "sample" call a function; return the result as its prototype says it."""
    with machine.running("sample"):
        return enter(machine, name, *arguments)


def enter(machine: Machine, name: str, *arguments: int) -> int:
    """Call a function within a system call that is under way; work that it puts off is done."""
    for number, word in enumerate(arguments[6:]):
        machine.memory.put((machine.calls.now.stack & ~15) + 8 * number, word)
    word = machine.invoke(machine.kernel_symbols.address(name), *arguments)
    machine.deferred.run()
    return FUNCTIONS[name].prototype.result.take(word)


def settle(machine: Machine) -> None:
    """Let what was begun go on, and the machine's time pass."""
    with machine.running("sample"):
        machine.tasks.settle()


def held(machine: Machine) -> list[str]:
    """Return what the module has on its account, the oldest first."""
    return [each.name or each.kind for each in machine.ledger.held("sample")]


def unload(machine: Machine) -> list[str]:
    """Take the module away, and return what it had not given back."""
    left = held(machine)
    for entry in machine.ledger.close("sample"):
        if entry.kind in RECLAIMERS:
            RECLAIMERS[entry.kind](machine, entry.key)
    return left


def error(number: int) -> int:
    """Return the pointer that stands for an errno (ERR_PTR)."""
    return (1 << 64) - number


def put_text(machine: Machine, address: int, text: bytes) -> int:
    """Store a string with its NUL; return where it is."""
    machine.memory.write(address, text + b"\0")
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
