# SPDX-License-Identifier: Apache-2.0
"""The functions that modules have called and that nobody has modelled."""

from collections.abc import Callable

from kmodd.kernel.emulated.abi.function_table import UNLIKE, word_of
from kmodd.kernel.emulated.abi.stub_values import stub_value
from kmodd.kernel.emulated.machine.heap import Heap
from kmodd.kernel.emulated.reporting.log import Level

OBJECTS_MAX = 1 << 20
"""Bytes of the objects that one module gets; behind them there is no memory."""

NOT_KNOWN = "what it returns is not known"


class Stubs:
    """Their names by module, in the order of the first calls, and the objects that were given in
    their place; for who holds the machine.

    The objects are the stubs': they are on no module's account, and go with the module.
    """

    def __init__(self, printk: Callable[[Level, str], None], heap: Heap) -> None:
        self._printk = printk
        self._heap = heap
        self._called: dict[str, dict[str, None]] = {}
        self._new: dict[str, None] = {}
        self._objects: dict[str, list[int]] = {}
        self._bytes: dict[str, int] = {}

    def answer(self, module: str, name: str, why: str = "") -> int:
        """Return what a function gives that is not modelled, or not here (``why``), and say so."""
        value = stub_value(name, word_of(name))
        why = why or UNLIKE.get(name, "") or ("" if value.is_known else NOT_KNOWN)
        self._note(module, name, why)
        return self._make(module, value.object_size) if value.object_size else value.number

    def _note(self, module: str, name: str, why: str) -> None:
        """Say, once for each module, that a function is not modelled."""
        known = self._called.setdefault(module, {})
        if name not in known:
            known[name] = None
            self._new[module] = None
            self._printk(Level.DEBUG, f"kmodd: {module}: stubbed: {name}{why and f' ({why})'}")

    def _make(self, module: str, size: int) -> int:
        taken = self._bytes.get(module, 0) + size
        if taken > OBJECTS_MAX:
            return 0
        self._bytes[module] = taken
        made = self._heap.allocate(size)
        self._objects.setdefault(module, []).append(made)
        return made

    def called_by(self, module: str) -> tuple[str, ...]:
        """Return the names of those that ``module`` has called."""
        return tuple(self._called.get(module, ()))

    def take_new(self) -> tuple[str, ...]:
        """Return the modules that have called more of them since the last time."""
        new, self._new = tuple(self._new), {}
        return new

    def forget(self, module: str) -> None:
        """Forget a module that is gone, and free what it was given."""
        self._called.pop(module, None)
        self._new.pop(module, None)
        self._bytes.pop(module, None)
        for each in self._objects.pop(module, ()):
            self._heap.free(each)
