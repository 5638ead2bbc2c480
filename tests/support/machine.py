# SPDX-License-Identifier: Apache-2.0
"""The emulated machine with no kernel around it, and its functions called as modules call them."""

from collections.abc import Callable

from kmodd.kernel.base import Requested
from kmodd.kernel.emulated.machine.services import Services
from kmodd.kernel.emulated.reporting.log import Level
from tests.support.require import require_emulator

require_emulator()

# Declares the kernel's functions.
import kmodd.kernel.emulated.functions.everything  # noqa: E402, F401
from kmodd.kernel.emulated.abi.function_table import FUNCTIONS  # noqa: E402
from kmodd.kernel.emulated.hardware import addresses  # noqa: E402
from kmodd.kernel.emulated.hardware.events import Trapped  # noqa: E402
from kmodd.kernel.emulated.hardware.x86_64 import ARGUMENTS  # noqa: E402
from kmodd.kernel.emulated.machine.machine import Machine  # noqa: E402

__all__ = ["ROOM", "Machine", "call", "new_machine"]

ROOM = addresses.DATA + addresses.DATA_SIZE // 2
"""Memory that nothing else uses."""

_STACK = ROOM + (1 << 20)


def new_machine(
    lines: list[str] | None = None, request: Callable[[str, bool], Requested] | None = None
) -> Machine:
    """Return a machine whose log is ``lines``, and whose requests for modules are answered so."""

    def printk(_level: Level, text: str) -> None:
        if lines is not None:
            lines.append(text.rstrip("\n"))

    return Machine(
        Services(
            printk=printk,
            taint=lambda _letter: None,
            taints=lambda: "",
            hold=lambda _name: True,
            release=lambda _name: None,
            modules=lambda: "",
            kernel_release="6.1.0",
            request=request or (lambda _name, _wait: Requested()),
        )
    )


def call(machine: Machine, name: str, *arguments: int) -> int:
    """Call a function of the kernel's as the module "sample"; work that it puts off is done."""
    words = (*arguments, *[0] * ARGUMENTS)
    for number, word in enumerate(arguments[ARGUMENTS:]):
        machine.memory.put(_STACK + 8 + 8 * number, word)
    with machine.running("sample"):
        machine.calls.now.trap = Trapped(0, words[:ARGUMENTS], (_STACK, 0, 0, 0, 0, 0, 0))
        result = FUNCTIONS[name](machine, words[:ARGUMENTS])
        machine.deferred.run()
    return result
