# SPDX-License-Identifier: Apache-2.0
"""What comes of comparing wishes with what there is: a finding for each module, and moves."""

import enum
from collections.abc import Mapping

from kmodd.database.tables import Tables
from kmodd.desired.wish import Wish
from kmodd.errors import KmoddError
from kmodd.kernel.base import ParameterValue
from kmodd.kernel.loaded import LoadedModule
from kmodd.plan import DenyList
from kmodd.records import field, record


class MoveKind(enum.Enum):
    """What is done for a wish."""

    RELEASE = "release"
    UNLOAD = "unload"
    LOAD = "load"
    HOLD = "hold"
    SET = "set"
    RELOAD = "reload"


@record
class Move:
    """One thing to do for the module ``name``.

    A load is with the ``parameters`` ("name=value" with blanks between); what is set is one
    ``parameter``, to ``value``.
    """

    kind: MoveKind
    name: str
    parameters: str = ""
    parameter: str = ""
    value: str = ""


class Standing(enum.Enum):
    """How a wish fares.

    ``DONE``: it is as wished. ``PENDING``: there is a move. ``WAITING``: there is one once the
    module is unused, or has come or gone. ``DRIFTED``: it is not as wished, and is left so: others
    have changed it by hand, or it takes a reload that nobody wishes. ``IMPOSSIBLE``: it cannot be.
    """

    DONE = "done"
    PENDING = "pending"
    WAITING = "waiting"
    DRIFTED = "drifted"
    IMPOSSIBLE = "impossible"


class Presence(enum.Enum):
    """How a module is in the kernel."""

    ABSENT = "absent"
    LOADED = "loaded"
    COMING = "coming"
    GOING = "going"
    BUILTIN = "builtin"


@record
class Finding:
    """How things are with one module.

    ``wish`` is None for one that was loaded for a wish that is no more. ``why`` says in words why
    it is not as wished, ``error`` where that is a failure. ``values`` are the parameters that are
    wished, as they are shown. ``polls`` tells that nobody tells when the waiting is over.
    """

    name: str
    wish: Wish | None
    presence: Presence
    standing: Standing
    why: str = ""
    error: KmoddError | None = field(default=None, compare=False)
    moves: tuple[Move, ...] = ()
    values: tuple[tuple[str, str], ...] = ()
    polls: bool = False


@record(kw_only=True)
class Situation:
    """The state of things, as far as it matters to wishes. Modules go by their normal names.

    ``deny`` is what the settings deny. ``shown`` are the parameters that loaded modules show,
    ``declared`` the names of those that modules' files declare, of those that have wishes for any.
    ``held`` are modules that others hold, with words for who does; ``own_holds`` those that are
    held for a wish. ``brought`` were loaded for a wish, and nobody has asked for them otherwise.
    ``left_alone`` were changed by hand, with words for how. ``tried`` are moves that failed, and
    would again. ``taken`` tells for a module's parameter what it shows where it was given a value.
    With ``blind``, where a source of wishes cannot be read, nothing is unloaded for being wished no
    more.
    """

    database: Tables
    loaded: Mapping[str, LoadedModule]
    deny: DenyList = field(default_factory=DenyList)
    shown: Mapping[str, Mapping[str, ParameterValue]] = field(default_factory=dict)
    declared: Mapping[str, frozenset[str]] = field(default_factory=dict)
    held: Mapping[str, str] = field(default_factory=dict)
    own_holds: frozenset[str] = frozenset()
    brought: frozenset[str] = frozenset()
    left_alone: Mapping[str, str] = field(default_factory=dict)
    tried: Mapping[Move, KmoddError] = field(default_factory=dict)
    taken: Mapping[tuple[str, str], tuple[str, str]] = field(default_factory=dict)
    blind: bool = False
