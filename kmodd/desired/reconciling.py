# SPDX-License-Identifier: Apache-2.0
"""What is to be done for wishes to be true: wishes and a situation become findings.

It is as a plan is: nothing is read or done here. Whoever makes the moves asks again afterwards, and
each time the listing has changed; where all is as far as it can be, no finding has a move.
"""

from collections.abc import Iterator

from kmodd.database import ModuleRecord
from kmodd.database.tables import Tables
from kmodd.desired.findings import Finding, Move, MoveKind, Presence, Situation, Standing
from kmodd.desired.merging import MergedWishes
from kmodd.desired.values import is_same_value
from kmodd.desired.wish import Wish, WishedState
from kmodd.errors import KmoddError, Reason, RequestError, StateError
from kmodd.kernel.loaded import LoadedModule, ModuleState
from kmodd.plan.lookup import not_found

_PRESENCE = {
    ModuleState.LIVE: Presence.LOADED,
    ModuleState.COMING: Presence.COMING,
    ModuleState.GOING: Presence.GOING,
}

SETTABLE = 0o222
"""The bits of a parameter's mode without any of which it cannot be set."""


def reconcile(merged: MergedWishes, situation: Situation) -> tuple[Finding, ...]:
    """Return how each module fares that is wished, or was, and what is to be done for it.

    The wishes are in their order; what is left over of others comes after them. A module is only
    unloaded where nothing uses it, and what somebody holds is never touched.
    """
    return tuple(_Reconciler(merged, situation).findings())


def moves_of(findings: tuple[Finding, ...], database: Tables) -> list[Move]:
    """Return the moves of ``findings``, in the order in which they are to be made.

    What others need is loaded before them, so that it has the parameters that are wished for it.
    """

    def key(move: Move) -> tuple[int, int]:
        is_load = move.kind in (MoveKind.LOAD, MoveKind.HOLD)
        is_known = is_load and database.module(move.name) is not None
        return _ORDER[move.kind], len(database.dependencies(move.name)) if is_known else 0

    return sorted((move for finding in findings for move in finding.moves), key=key)


_ORDER = {
    MoveKind.RELEASE: 0,
    MoveKind.UNLOAD: 1,
    MoveKind.LOAD: 2,
    MoveKind.HOLD: 2,
    MoveKind.SET: 3,
    MoveKind.RELOAD: 4,
}
"""When a move is made: what takes away comes before what brings."""


class _Reconciler:
    """One look at all wishes."""

    def __init__(self, merged: MergedWishes, situation: Situation) -> None:
        self._merged = merged
        self._now = situation
        self._wishes = {wish.name: wish for wish in merged.wishes}
        self._users = dict(self._all_users())

    def findings(self) -> Iterator[Finding]:
        """Yield a finding for each module."""
        for wish in self._merged.wishes:
            yield self._present(wish) if wish.state.is_present else self._absent(wish)
        for wish, why in self._merged.contradicted:
            yield self._impossible(wish, RequestError(Reason.INVALID_REQUEST, why))
        named = self._wishes.keys() | {wish.name for wish, _ in self._merged.contradicted}
        for name in sorted(self._now.own_holds - named):
            move = Move(MoveKind.RELEASE, name)
            yield Finding(name, None, self._presence(name), Standing.PENDING, moves=(move,))
        for name in sorted(self._now.brought - named - self._now.own_holds):
            yield from self._left_over(name)

    def _all_users(self) -> Iterator[tuple[str, Wish]]:
        """Yield each module that one needs which is to be present, and that one's wish."""
        for wish in reversed(self._merged.wishes):
            if wish.state.is_present:
                yield from ((needed.name, wish) for needed in self._needs(wish.name))

    def _presence(self, name: str) -> Presence:
        module = self._now.loaded.get(name)
        if module is not None:
            return _PRESENCE[module.state]
        return Presence.BUILTIN if self._now.database.is_builtin(name) else Presence.ABSENT

    def _present(self, wish: Wish) -> Finding:
        """Return how a module fares that is to be there."""
        is_held = wish.name in self._now.own_holds
        if is_held and wish.state is WishedState.LOADED:
            return self._to_do(wish, Move(MoveKind.RELEASE, wish.name))
        objection = self._objection(wish)
        if objection is not None:
            return self._impossible(wish, objection)
        presence = self._presence(wish.name)
        if presence is Presence.BUILTIN:
            return self._builtin(wish)
        if presence in (Presence.COMING, Presence.GOING):
            return self._finding(wish, Standing.WAITING, f"it is {presence.value} just now", True)
        left_alone = self._left_alone(wish)
        if presence is Presence.ABSENT:
            if left_alone:
                return self._finding(wish, Standing.DRIFTED, left_alone)
            kind = MoveKind.HOLD if wish.state is WishedState.HELD else MoveKind.LOAD
            return self._to_do(wish, Move(kind, wish.name, wish.words))
        if wish.state is WishedState.HELD and not is_held:
            if left_alone:
                return self._finding(wish, Standing.DRIFTED, left_alone)
            return self._to_do(wish, Move(MoveKind.HOLD, wish.name))
        return self._parameters(wish)

    def _objection(self, wish: Wish) -> KmoddError | None:
        """Return why a module cannot be there, whatever is in the kernel."""
        name, now = wish.name, self._now
        for needed in (name, *(each.name for each in self._needs(name))):
            denial = now.deny.denial(needed, needed_by="" if needed == name else name)
            if denial is not None and (needed == name or needed not in now.loaded):
                return denial
            other = self._wishes.get(needed)
            if other is not None and not other.state.is_present:
                what = f"it needs {needed}, which {other.place} wishes {other.state.value}"
                return RequestError(Reason.INVALID_REQUEST, what, module=needed)
        is_known = now.database.module(name) is not None or now.database.is_builtin(name)
        if not is_known and name not in now.loaded:
            return not_found(name, now.database)
        declared = now.declared.get(name)
        for parameter, _ in wish.parameters:
            if declared is not None and parameter not in declared:
                what = f"module {name} has no parameter {parameter}"
                return StateError(Reason.PARAMETER_NOT_FOUND, what, module=name, detail=parameter)
        return None

    def _needs(self, name: str) -> tuple[ModuleRecord, ...]:
        """Return what a module needs of the tree; nothing where it is not in there."""
        database = self._now.database
        return database.dependencies(name) if database.module(name) is not None else ()

    def _builtin(self, wish: Wish) -> Finding:
        if not wish.parameters:
            return self._finding(wish, Standing.DONE)
        what = f"module {wish.name} is builtin: its parameters are the kernel command line's"
        return self._impossible(wish, StateError(Reason.MODULE_BUILTIN, what, module=wish.name))

    def _parameters(self, wish: Wish) -> Finding:
        """Return how a module fares that is there, by its parameters."""
        shown = self._now.shown.get(wish.name, {})
        values = tuple(
            (name, shown[name].value or "")
            for name, _ in wish.parameters
            if name in shown and shown[name].value is not None
        )
        drifted = [
            (name, value)
            for name, value in wish.parameters
            if name in shown and self._has_drifted(wish.name, name, value, shown[name].value)
        ]
        if not drifted:
            return self._finding(wish, Standing.DONE, values=values)
        fixed = [name for name, _ in drifted if not shown[name].mode & SETTABLE]
        moves = tuple(
            Move(MoveKind.SET, wish.name, parameter=name, value=value)
            for name, value in drifted
            if name not in fixed
        )
        if fixed:
            return self._reload(wish, ", ".join(fixed), values, moves)
        return self._to_do(wish, *moves, values=values)

    def _has_drifted(self, module: str, name: str, wished: str, shown: str | None) -> bool:
        """Tell whether a parameter shows another value than it does where it is as wished."""
        if shown is None or is_same_value(wished, shown):
            return False
        return self._now.taken.get((module, name)) != (wished, shown)

    def _reload(
        self,
        wish: Wish,
        fixed: str,
        values: tuple[tuple[str, str], ...],
        moves: tuple[Move, ...],
    ) -> Finding:
        """Return how a module fares that must be loaded anew for the parameters named ``fixed``.

        The ``moves`` are for its other parameters.
        """
        why = f"{fixed} can only be given to a load"
        standing, polls = Standing.DRIFTED, False
        if wish.reload:
            in_use, polls = self._in_use(self._now.loaded[wish.name])
            if not in_use:
                move = Move(MoveKind.RELOAD, wish.name, wish.words)
                return self._to_do(wish, move, values=values)
            standing, why = Standing.WAITING, f"{why}, and {in_use}"
        left = tuple(move for move in moves if move not in self._now.tried)
        return self._finding(wish, standing, why, polls, moves=left, values=values)

    def _absent(self, wish: Wish) -> Finding:
        """Return how a module fares that is not to be there."""
        presence = self._presence(wish.name)
        if wish.name in self._now.own_holds:
            return self._to_do(wish, Move(MoveKind.RELEASE, wish.name))
        if presence is Presence.ABSENT:
            return self._finding(wish, Standing.DONE)
        if presence is Presence.BUILTIN:
            what = f"module {wish.name} is builtin"
            return self._impossible(wish, StateError(Reason.MODULE_BUILTIN, what, module=wish.name))
        user = self._users.get(wish.name)
        if user is not None:
            what = f"{user.name}, which {user.place} wishes {user.state.value}, needs it"
            return self._impossible(wish, RequestError(Reason.INVALID_REQUEST, what))
        if presence is not Presence.LOADED:
            return self._finding(wish, Standing.WAITING, f"it is {presence.value} just now", True)
        left_alone = self._left_alone(wish)
        if left_alone:
            return self._finding(wish, Standing.DRIFTED, left_alone)
        return self._unload(wish.name, wish)

    def _unload(self, name: str, wish: Wish | None) -> Finding:
        """Return what is to be done to unload a module."""
        module = self._now.loaded[name]
        if module.permanent:
            what = f"module {name} has no exit function: nothing unloads it"
            return self._impossible(wish, StateError(Reason.MODULE_BUSY, what, module=name), name)
        why, polls = self._in_use(module)
        if why:
            return self._finding(wish, Standing.WAITING, why, polls, name=name)
        return self._to_do(wish, Move(MoveKind.UNLOAD, name), name=name)

    def _in_use(self, module: LoadedModule) -> tuple[str, bool]:
        """Say what keeps a module from being unloaded, "" for nothing, and whether it may go
        without a word: the kernel tells of none of its references, but those of modules.
        """
        holders = self._now.held.get(module.name, "")
        if holders:
            return f"it is held by {holders}", False
        if module.holders:
            return f"it is in use by {' '.join(module.holders)}", False
        return ("it is in use", True) if module.refcount else ("", False)

    def _left_over(self, name: str) -> Iterator[Finding]:
        """Yield how a module fares that was loaded for a wish that is no more."""
        if self._presence(name) is not Presence.LOADED:
            return
        if self._now.blind:
            why = "nobody wishes it any more, as far as can be told: a source cannot be read"
            yield self._finding(None, Standing.DRIFTED, why, name=name)
        else:
            yield self._unload(name, None)

    def _left_alone(self, wish: Wish) -> str:
        return "" if wish.insists else self._now.left_alone.get(wish.name, "")

    def _to_do(
        self,
        wish: Wish | None,
        *moves: Move,
        values: tuple[tuple[str, str], ...] = (),
        name: str = "",
    ) -> Finding:
        """Return a finding with those of ``moves`` that have not failed."""
        left = tuple(move for move in moves if move not in self._now.tried)
        if not left:
            error = self._now.tried[moves[0]]
            return self._impossible(wish, error, name, values)
        return self._finding(wish, Standing.PENDING, moves=left, values=values, name=name)

    def _impossible(
        self,
        wish: Wish | None,
        error: KmoddError,
        name: str = "",
        values: tuple[tuple[str, str], ...] = (),
    ) -> Finding:
        name = wish.name if wish else name
        presence = self._presence(name)
        why = error.message
        return Finding(name, wish, presence, Standing.IMPOSSIBLE, why, error, values=values)

    def _finding(
        self,
        wish: Wish | None,
        standing: Standing,
        why: str = "",
        polls: bool = False,
        *,
        moves: tuple[Move, ...] = (),
        values: tuple[tuple[str, str], ...] = (),
        name: str = "",
    ) -> Finding:
        name = wish.name if wish else name
        return Finding(
            name,
            wish,
            self._presence(name),
            standing,
            why,
            moves=moves,
            values=values,
            polls=polls,
        )
