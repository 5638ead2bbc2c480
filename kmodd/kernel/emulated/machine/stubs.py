# SPDX-License-Identifier: Apache-2.0
"""The functions that modules have called and that nobody has modelled."""

from collections.abc import Callable

from kmodd.kernel.emulated.reporting.log import Level


class Stubs:
    """Their names by module, in the order of the first calls; for who holds the machine."""

    def __init__(self, printk: Callable[[Level, str], None]) -> None:
        self._printk = printk
        self._called: dict[str, dict[str, None]] = {}
        self._new: dict[str, None] = {}

    def note(self, module: str, name: str, why: str = "") -> None:
        """Say, once for each module, that a function is not modelled, or why not here."""
        known = self._called.setdefault(module, {})
        if name not in known:
            known[name] = None
            self._new[module] = None
            self._printk(Level.DEBUG, f"kmodd: {module}: stubbed: {name}{why and f' ({why})'}")

    def called_by(self, module: str) -> tuple[str, ...]:
        """Return the names of those that ``module`` has called."""
        return tuple(self._called.get(module, ()))

    def take_new(self) -> tuple[str, ...]:
        """Return the modules that have called more of them since the last time."""
        new, self._new = tuple(self._new), {}
        return new

    def forget(self, module: str) -> None:
        """Forget a module that is gone."""
        self._called.pop(module, None)
        self._new.pop(module, None)
