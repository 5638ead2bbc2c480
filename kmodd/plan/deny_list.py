# SPDX-License-Identifier: Apache-2.0
"""The modules that are never loaded, and why."""

from __future__ import annotations

from kmodd.errors import Reason, StateError
from kmodd.globs import PatternTable
from kmodd.names import normalise_alias

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable


class DenyList:
    """Modules that are not to be loaded, not even for another that needs them; immutable.

    Unlike ``blacklist`` it is no hint for aliases: it decides, and says why.
    """

    __slots__ = ("_reasons", "is_empty")

    def __init__(self, entries: Iterable[tuple[str, str]] = ()) -> None:
        """``entries`` are patterns of module names, each with a reason for people.

        Raises RequestError for a pattern with a bracket that has no partner.
        """
        spelled = [(normalise_alias(pattern), reason) for pattern, reason in entries]
        self._reasons = PatternTable(spelled)
        self.is_empty = not spelled

    def denial(self, module: str, *, needed_by: str = "") -> StateError | None:
        """Return the error for a module that is denied (MODULE_DENIED, the reason as its detail).

        ``needed_by`` is the module that asks for it.
        """
        reason = self._reasons.first(module)
        if reason is None:
            return None
        needs = f"{needed_by} needs {module}, which" if needed_by else module
        why = f": {reason}" if reason else ""
        return StateError(
            Reason.MODULE_DENIED, f"{needs} is denied{why}", module=module, detail=reason
        )
