# SPDX-License-Identifier: Apache-2.0
"""Loaded modules by the names that trees and people call them by.

A module is called after its file, in normal form: ``my-mod`` is ``my_mod``, ``foo.bar`` is
``foo``. The kernel knows it by the name that is compiled into it, where a dot stays, and a dash
where a build has not replaced it. Plans, locks, pins and origins go by the first, what is asked of
the kernel and told of it by the second.
"""

from collections.abc import Mapping, Sequence

from kmodd.kernel.base import Kernel, LoadedModule
from kmodd.names import module_name
from kmodd.plan.loaded import by_name, odd_names

_Odd = Mapping[str, str]
"""By the normal form the names that are loaded and are not in it; the newest of several."""


class LoadedNames:
    """The names of one kernel's modules. May be used by any thread: ``_known`` and ``_called`` are
    replaced as a whole when the listing is.
    """

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self._known: tuple[Sequence[LoadedModule], _Odd] = ((), {})
        self._called: tuple[Sequence[LoadedModule], Mapping[str, LoadedModule]] = ((), {})

    def find(self, name: str) -> LoadedModule | None:
        """Return the loaded module ``name``, else the one of its normal form.

        Where there is neither, it is the one whose own name has that normal form: a dot that a
        request spells must be the kernel's.
        """
        found = self._kernel.module(name)
        if found is not None:
            return found
        normal = module_name(name)
        if name != normal:
            found = self._kernel.module(normal)
            if found is not None or "." in name:
                return found
        own = self._odd(self._kernel.modules()).get(normal)
        return self._kernel.module(own) if own is not None else None

    def own(self, name: str) -> str:
        """Return the name by which the kernel has the module, ``name`` where it has none."""
        found = self.find(name)
        return found.name if found else name

    def called(self, name: str) -> str:
        """Return what plans call the module that the kernel has as ``name``, ``name`` for none."""
        normal = module_name(name)
        is_odd = name != normal and self._kernel.module(name) is not None
        return normal if is_odd and self._kernel.module(normal) is None else name

    def by_name(self, modules: Sequence[LoadedModule]) -> Mapping[str, LoadedModule]:
        """Return ``modules``, which are listed or assumed to be, by what plans call them."""
        listed, called = self._called
        if listed is not modules:
            called = by_name(modules, self._odd(modules))
            self._called = modules, called
        return called

    def _odd(self, modules: Sequence[LoadedModule]) -> _Odd:
        known, odd = self._known
        if known is not modules:
            odd = odd_names(modules)
            self._known = modules, odd
        return odd
