# SPDX-License-Identifier: Apache-2.0
"""The table of modules: names, states, references, exported symbols, addresses."""

import errno
import threading
from collections.abc import Callable, Iterable
from typing import NamedTuple

from kmodd.errors import Reason
from kmodd.kernel.base import LoadedModule
from kmodd.kernel.emulated.modules.address_ranges import AddressRanges
from kmodd.kernel.emulated.modules.struct_module import BASE_REFERENCE, State, StructModule
from kmodd.kernel.emulated.release.vmlinux import CoreSymbol
from kmodd.kernel.emulated.reporting.refusal import Refusal

MODULES_VADDR = 0xFFFFFFFFC0000000
MODULES_END = 0xFFFFFFFFFF000000
"""Where x86-64 places modules (Documentation/x86/x86_64/mm.rst)."""

GUARD = 4096
"""Bytes that are left free behind a module, as behind every vmalloc area."""

OWNER_PATIENCE = 30.0
"""Seconds that a load waits for a module that it needs to finish its init (resolve_symbol_wait)."""


class Export(NamedTuple):
    """A symbol that a module exports."""

    symbol: CoreSymbol
    owner: StructModule


Changed = Callable[[Iterable[LoadedModule], Iterable[str]], None]
"""Told of the modules whose listing is new, and of the names that are gone, in order."""


class ModuleTable:
    """The modules of one kernel.

    ``mutex`` is the kernel's ``module_mutex`` and ``module_wq`` in one: it guards every field and
    every StructModule in the table, and is notified when a load or an unload ends. What readers
    look at (``listing``, ``listed``) is swapped as one reference and needs no lock. ``changed`` is
    called with the mutex held, once for all that a step has changed.
    """

    def __init__(self, changed: Changed | None = None) -> None:
        self.mutex = threading.Condition()
        self._modules: dict[str, StructModule] = {}
        self._exports: dict[str, Export] = {}
        self._ranges = AddressRanges(MODULES_VADDR, MODULES_END, GUARD)
        self._listed: dict[str, LoadedModule] = {}
        self._listing: tuple[LoadedModule, ...] | None = ()
        self._untold: dict[str, LoadedModule | None] = {}
        self._changed = changed

    def listing(self) -> tuple[LoadedModule, ...]:
        """Return the modules that anybody can see, the newest first."""
        listing = self._listing
        if listing is None:
            with self.mutex:
                newest_first = reversed(self._modules)
                listing = tuple(self._listed[name] for name in newest_first if name in self._listed)
                self._listing = listing
        return listing

    def listed(self, name: str) -> LoadedModule | None:
        """Return one module, if anybody can see it."""
        return self._listed.get(name)

    def find(self, name: str) -> StructModule | None:
        """Return the module of that name in any state, UNFORMED too; with the mutex held."""
        return self._modules.get(name)

    def exporter(self, symbol: str) -> Export | None:
        """Find the module that exports ``symbol``; with the mutex held."""
        return self._exports.get(symbol)

    def check_name(self, name: str) -> None:
        """Refuse a name that is taken; wait while it may become free (module_patient_check_exists).

        With the mutex held, which waiting gives up. Raises Refusal: EEXIST for a module that is
        live, EBUSY where a load of it just failed or it is being unloaded.
        """
        old = self._modules.get(name)
        if old is None:
            return
        if old.state in (State.COMING, State.UNFORMED):
            self.tell()
            self.mutex.wait_for(lambda: self._is_settled(name))
            old = self._modules.get(name)
        if old is not None and old.state is State.LIVE:
            raise Refusal(
                Reason.MODULE_ALREADY_LOADED, errno.EEXIST, f"module {name} is loaded already"
            )
        raise Refusal(Reason.MODULE_BUSY, errno.EBUSY, f"module {name} is being loaded or unloaded")

    def add_unformed(self, mod: StructModule) -> None:
        """Reserve the module's name and memory; with the mutex held.

        Raises Refusal: ENOMEM where there is no room for it, and what ``check_name`` raises.
        """
        self.check_name(mod.name)
        mod.address = self._take_range(mod.name, mod.layout.core)
        if mod.layout.init:
            try:
                mod.init_address = self._take_range(mod.name, mod.layout.init)
            except Refusal:
                self._give_back(mod.address, mod.layout.core)
                raise
        # One reference of its own, and one while init runs (module_unload_init).
        mod.count = BASE_REFERENCE + 1
        self._modules[mod.name] = mod

    def use(self, user: StructModule, owner: StructModule) -> int:
        """Make ``user`` hold ``owner``; return 0 or an errno (ref_module). With the mutex held."""
        if user in owner.users:
            return 0
        if owner.state is State.COMING:
            return errno.EBUSY
        if owner.state is not State.LIVE or not owner.count:
            return errno.ENOENT
        owner.count += 1
        owner.users.insert(0, user)
        user.uses.append(owner)
        self._show(owner)
        return 0

    def make_coming(self, mod: StructModule) -> None:
        """Let others see the module and its symbols; with the mutex held."""
        mod.state = State.COMING
        self._exports |= {name: Export(symbol, mod) for name, symbol in mod.exports.items()}
        self._show(mod)
        self.tell()

    def make_live(self, mod: StructModule) -> None:
        """The module's init has succeeded; its memory for init goes. With the mutex held."""
        mod.state = State.LIVE
        mod.count -= 1
        self._give_back_init(mod)
        self._show(mod)
        self.tell()
        self.mutex.notify_all()

    def make_going(self, mod: StructModule) -> None:
        """The module's init has failed, or its exit is about to run; with the mutex held."""
        mod.state = State.GOING
        self._show(mod)
        self.tell()

    def drop(self, mod: StructModule) -> None:
        """Give back the module's references, its memory and its name; with the mutex held."""
        if mod.state is not State.UNFORMED:
            for symbol in mod.exports:
                self._exports.pop(symbol, None)
            del self._listed[mod.name]
            self._untold[mod.name] = None
        mod.state = State.UNFORMED
        for owner in mod.uses:
            owner.count -= 1
            owner.users.remove(mod)
            self._show(owner)
        mod.uses.clear()
        del self._modules[mod.name]
        self._give_back(mod.address, mod.layout.core)
        self._give_back_init(mod)
        self._listing = None
        self.tell()
        self.mutex.notify_all()

    def refresh(self) -> None:
        """List anew what is listed otherwise than it is by now."""
        with self.mutex:
            for mod in self._modules.values():
                listed = self._listed.get(mod.name)
                if listed is not None and listed.report != mod.report():
                    self._show(mod)
            self.tell()

    def hold(self, name: str) -> bool:
        """Take a reference to a module, as an open file does (try_module_get)."""
        with self.mutex:
            found = self._modules.get(name)
            if found is None or found.state not in (State.LIVE, State.COMING) or not found.count:
                return False
            found.count += 1
            self._show(found)
            self.tell()
            return True

    def release(self, name: str) -> None:
        """Give a reference back (module_put); one too many is left alone."""
        with self.mutex:
            found = self._modules.get(name)
            if found is not None and found.count > 0:
                found.count -= 1
                self._show(found)
                self.tell()

    def tell(self) -> None:
        """Tell of what has changed since the last time; with the mutex held."""
        untold, self._untold = self._untold, {}
        if untold and self._changed is not None:
            shown = [module for module in untold.values() if module is not None]
            self._changed(shown, [name for name, module in untold.items() if module is None])

    def _show(self, mod: StructModule) -> None:
        """List a module anew; one that is UNFORMED nobody sees."""
        if mod.state is not State.UNFORMED:
            shown = mod.as_listed()
            self._listed[mod.name] = self._untold[mod.name] = shown
            self._listing = None

    def _is_settled(self, name: str) -> bool:
        found = self._modules.get(name)
        return found is None or found.state in (State.LIVE, State.GOING)

    def _take_range(self, name: str, size: int) -> int:
        """Take the lowest gap that ``size`` bytes and a guard page fit in; return its address."""
        address = self._ranges.take(size)
        if address is None:
            why = f"{name}: no room for {size} bytes of module"
            raise Refusal(Reason.KERNEL_REFUSED, errno.ENOMEM, why)
        return address

    def _give_back(self, address: int, size: int) -> None:
        self._ranges.give_back(address, size)

    def _give_back_init(self, mod: StructModule) -> None:
        if mod.init_address:
            self._give_back(mod.init_address, mod.layout.init)
            mod.init_address = 0
