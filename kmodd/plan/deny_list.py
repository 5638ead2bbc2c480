# SPDX-License-Identifier: Apache-2.0
"""The modules that are never loaded, and why."""

from __future__ import annotations

from kmodd.errors import Reason, StateError
from kmodd.globs import PatternTable
from kmodd.names import is_plain_name, module_name, normalise_alias

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Protocol

    from kmodd.errors import KmoddError
    from kmodd.modulefile.identity import Identity

    class Denials(Protocol):
        """What a plan asks about each module that would have to be loaded."""

        @property
        def is_empty(self) -> bool:
            """Whether nothing is denied."""

        def denial(self, module: str, *, needed_by: str = "") -> KmoddError | None:
            """Return why a module is not to be loaded."""


class DenyList:
    """Modules that are not to be loaded, not even for another that needs them; immutable.

    Unlike ``blacklist`` it is no hint for aliases: it decides, and says why. ``plain_names`` are
    those of its patterns that are the name of one module.
    """

    __slots__ = ("_builds", "_reasons", "_spelled", "is_empty", "plain_names")

    def __init__(
        self,
        entries: Iterable[tuple[str, str]] = (),
        builds: Iterable[tuple[str, str]] = (),
    ) -> None:
        """``entries`` are patterns of module names, each with a reason for people; ``builds`` are
        build ids in lower hexadecimal digits, with theirs.

        Raises RequestError for a pattern with a bracket that has no partner.
        """
        spelled = [(normalise_alias(pattern), reason) for pattern, reason in entries]
        self._spelled = spelled
        self._reasons = PatternTable(spelled)
        self._builds = dict(builds)
        self.is_empty = not spelled and not self._builds
        self.plain_names = frozenset(each for each, _ in spelled if is_plain_name(each))

    @property
    def has_builds(self) -> bool:
        """Whether builds are denied, which only a module's file tells."""
        return bool(self._builds)

    def with_more(self, entries: Iterable[tuple[str, str]]) -> DenyList:
        """Return a list that has ``entries``, too, after its own."""
        return DenyList([*self._spelled, *entries], self._builds.items())

    def denial(self, module: str, *, needed_by: str = "") -> StateError | None:
        """Return the error for a module that is denied (MODULE_DENIED, the reason as its detail).

        ``needed_by`` is the module that asks for it.
        """
        reason = self._reasons.first(module)
        return None if reason is None else _denied(module, "", reason, needed_by)

    def denial_of_file(
        self, module: str, identity: Identity, *, needed_by: str = ""
    ) -> StateError | None:
        """Return the error for a file that holds a denied module, by its own names or its build.

        ``module`` is the name that its file has.
        """
        for name in identity.names:
            for spelled in dict.fromkeys((module_name(name), name.replace("-", "_"))):
                reason = self._reasons.first(spelled)
                if reason is not None:
                    known = "" if spelled == module else f"the module {_printable(name)}"
                    return _denied(module, known, reason, needed_by)
        for build in identity.builds:
            if build in self._builds:
                return _denied(module, f"build {build}", self._builds[build], needed_by)
        return None


def _denied(module: str, known_as: str, reason: str, needed_by: str) -> StateError:
    """Return the error for a module, which is ``known_as`` something else where that is given."""
    what = f"{module}, {known_as}," if known_as else module
    needs = f"{needed_by} needs {what.removesuffix(',')}, which" if needed_by else what
    why = f": {reason}" if reason else ""
    return StateError(Reason.MODULE_DENIED, f"{needs} is denied{why}", module=module, detail=reason)


def _printable(name: str) -> str:
    return name if name.isprintable() else ascii(name)
