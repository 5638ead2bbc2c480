# SPDX-License-Identifier: Apache-2.0
"""Makes the moves for wishes: each is an operation, or two, of the origin ``state``."""

import threading
from collections.abc import Callable, Iterable
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from kmodd.desired.findings import Move, MoveKind
from kmodd.errors import KmoddError, Reason
from kmodd.namespace.context import WISH, RequestContext
from kmodd.namespace.namespace import Namespace
from kmodd.namespace.outcome import Outcome
from kmodd.namespace.parameters import arguments_of
from kmodd.namespace.wish_memory import WishMemory
from kmodd.plan import LoadRequest, module_of

if TYPE_CHECKING:
    from kmodd.namespace.holds import Hold

WISHED = RequestContext(origin=WISH)
"""Whose requests the moves are."""

NOTE = "state"
"""What the holds for wishes say of themselves."""


class _Over(threading.Event):
    """What is set when a hold is to end, which then calls ``told``."""

    def __init__(self, told: Callable[[], None]) -> None:
        super().__init__()
        self._told = told

    def set(self) -> None:
        """Note that the hold is to end."""
        super().set()
        self._told()


@dataclass(slots=True)
class MadeChanges:
    """What moves have changed in the kernel: the modules that they loaded and unloaded."""

    loaded: set[str] = field(default_factory=set)
    unloaded: set[str] = field(default_factory=set)


class WishMoves:
    """Makes moves, and has the holds for wishes; for one thread."""

    def __init__(self, namespace: Namespace, memory: WishMemory, told: Callable[[], None]) -> None:
        """``told`` is called when a hold for a wish is to end, by whoever ends it."""
        self._namespace = namespace
        self._memory = memory
        self._told = told
        self._holds: dict[str, tuple[Hold, ExitStack]] = {}

    @property
    def held(self) -> frozenset[str]:
        """The modules that are held for a wish."""
        return frozenset(self._holds)

    @property
    def hold_numbers(self) -> frozenset[int]:
        """The holds for wishes."""
        return frozenset(hold.number for hold, _ in self._holds.values())

    def make(self, move: Move, made: MadeChanges) -> None:
        """Make a move, and note in ``made`` what it changed; raises KmoddError."""
        match move.kind:
            case MoveKind.RELEASE:
                self._release(move.name)
            case MoveKind.UNLOAD:
                self._unload(move.name, made)
            case MoveKind.LOAD:
                self._load(move, made)
            case MoveKind.HOLD:
                self._hold(move, made)
            case MoveKind.SET:
                self._set(move)
            case MoveKind.RELOAD:
                is_held = move.name in self._holds
                self._release(move.name)
                self._unload(move.name, made)
                (self._hold if is_held else self._load)(move, made)

    def end_lost(self) -> dict[str, bool]:
        """End the holds that are over, and return of which modules, and whether by hand."""
        over = {name: hold for name, (hold, _) in self._holds.items() if hold.over.is_set()}
        for name in over:
            self._release(name)
        return {
            name: hold.why is not None and hold.why.reason is Reason.HOLD_ENDED
            for name, hold in over.items()
        }

    def release_all(self) -> None:
        """End all holds for wishes; what was held stays."""
        for name in list(self._holds):
            self._release(name)

    def _release(self, name: str) -> None:
        if name in self._holds:
            _, stack = self._holds.pop(name)
            stack.close()

    def _unload(self, name: str, made: MadeChanges) -> None:
        try:
            self._namespace.remove(name, WISHED)
        except KmoddError as error:
            if error.reason is not Reason.MODULE_NOT_LOADED:
                raise
        made.unloaded.add(name)
        made.loaded.discard(name)

    def _load(self, move: Move, made: MadeChanges) -> None:
        request = LoadRequest(name=move.name, parameters=move.parameters, is_module=True)
        outcome = self._namespace.load(request, WISHED)
        self._note([outcome], made)
        if outcome.error is not None:
            raise outcome.error
        self._take(move, [outcome])

    def _hold(self, move: Move, made: MadeChanges) -> None:
        request = LoadRequest(name=move.name, parameters=move.parameters, is_module=True)
        self._release(move.name)
        stack = ExitStack()
        hold, outcomes = stack.enter_context(
            self._namespace.hold([request], WISHED, unload=False, note=NOTE, over=_Over(self._told))
        )
        self._holds[move.name] = hold, stack
        self._note(outcomes, made)
        self._take(move, outcomes)

    def _set(self, move: Move) -> None:
        name, value = move.parameter, move.value
        now = self._namespace.set_parameter(move.name, name, value, WISHED)
        if now.shown.value is not None:
            self._memory.take(move.name, {name: (value, now.shown.value)})

    def _take(self, move: Move, outcomes: Iterable[Outcome]) -> None:
        """Note what the parameters show that the module was loaded with just now."""
        steps = (step for outcome in outcomes for step in outcome.steps)
        if not any(step.done and module_of(step.step) == move.name for step in steps):
            return
        words = (each.partition("=") for each in arguments_of(move.parameters))
        given = {name: value.strip('"') for name, _, value in words}
        if not given:
            return
        with suppress(KmoddError):  # it may be gone by now
            _, parameters = self._namespace.details(move.name)
            shown = {each.shown.name.replace("-", "_"): each.shown.value for each in parameters}
            self._memory.take(
                move.name,
                {
                    name: (value, now)
                    for name, value in given.items()
                    if (now := shown.get(name)) is not None
                },
            )

    def _note(self, outcomes: Iterable[Outcome], made: MadeChanges) -> None:
        names = {
            module_of(step.step)
            for outcome in outcomes
            for step in outcome.steps
            if step.done and not step.undone
        }
        made.loaded |= names
        made.unloaded -= names
