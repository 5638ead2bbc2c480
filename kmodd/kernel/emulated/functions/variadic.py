# SPDX-License-Identifier: Apache-2.0
"""The arguments of variadic functions, and the texts that they are formatted into."""

from collections.abc import Iterator

from kmodd.kernel.emulated.abi.printf import Arguments, format_text, va_list
from kmodd.kernel.emulated.hardware.x86_64 import ARGUMENTS
from kmodd.kernel.emulated.machine.machine import Machine


def variadic_arguments(machine: Machine, fixed: int) -> Iterator[int]:
    """Yield the arguments of the running function behind the first ``fixed`` ones."""
    trap = machine.calls.now.trap
    assert trap is not None
    yield from trap.arguments[fixed:]
    at = trap.stack + 8 + 8 * max(0, fixed - ARGUMENTS)
    while True:
        yield machine.memory.number(at)
        at += 8


def formatted(machine: Machine, template: int, fixed: int) -> bytes:
    """Return the text of the running function's format; ``fixed`` counts what comes before."""
    text = machine.memory.string(template)
    return format_text(machine, text, Arguments(variadic_arguments(machine, fixed)))


def formatted_list(machine: Machine, template: int, values: int) -> bytes:
    """Return the text of a format whose arguments are a ``va_list``."""
    text = machine.memory.string(template)
    return format_text(machine, text, Arguments(va_list(machine.memory, values)))
