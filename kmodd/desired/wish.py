# SPDX-License-Identifier: Apache-2.0
"""One wish: how a module is to be on the machines that it is meant for."""

import enum

from kmodd.desired.condition import ALWAYS, Condition
from kmodd.records import record


class WishedState(enum.Enum):
    """How a module is wished to be.

    ``HELD`` is loaded, and nobody unloads it through the daemon. ``DENIED`` is absent, and it is
    not loaded, not even for another module.
    """

    LOADED = "loaded"
    ABSENT = "absent"
    DENIED = "denied"
    HELD = "held"

    @property
    def is_present(self) -> bool:
        """Whether the module is to be in the kernel."""
        return self in (WishedState.LOADED, WishedState.HELD)


@record(kw_only=True)
class Wish:
    """A wish for the module ``name``, which is in normal form.

    ``parameters`` are names, with underscores, and the values that the kernel is given. With
    ``reload`` the module is loaded anew, once nothing uses it, for a parameter that cannot be set.
    With ``enforce`` what others have changed by hand is changed back. ``source`` and ``line`` say
    where it was written.
    """

    name: str
    state: WishedState
    parameters: tuple[tuple[str, str], ...] = ()
    reload: bool = False
    enforce: bool = False
    when: Condition = ALWAYS
    source: str = ""
    line: int = 0

    @property
    def place(self) -> str:
        """Where it was written, for people."""
        return f"{self.source}:{self.line}"

    @property
    def words(self) -> str:
        """What the kernel is given with a load: "name=value" with blanks between them."""
        return " ".join(f"{name}={_quoted(value)}" for name, value in self.parameters)

    @property
    def insists(self) -> bool:
        """Whether what others did by hand counts for nothing."""
        return self.enforce or self.state is WishedState.DENIED

    @property
    def meaning(self) -> tuple[object, ...]:
        """What is wished, wherever it was written."""
        return (self.name, self.state.value, self.parameters, self.reload, self.enforce)


def _quoted(value: str) -> str:
    """Return a value as the kernel takes it; blanks part parameters (kernel/params.c)."""
    return f'"{value}"' if any(letter.isspace() for letter in value) else value
