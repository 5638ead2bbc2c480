# SPDX-License-Identifier: Apache-2.0
"""Sees to it that a machine has the modules that it is wished to have.

One thread compares the wishes with what there is, by a pure function (``kmodd.desired``), and makes
the moves that come of it. It is woken by a change of the wishes, of the tree or of the listing, and
wakes itself only while there is something to do that it has to wait for.
"""

import logging
import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping

from kmodd.desired.condition import MachineFacts
from kmodd.desired.findings import Finding, Move, Presence, Situation, Standing
from kmodd.desired.merging import MergedWishes, merge
from kmodd.desired.reconciling import moves_of, reconcile
from kmodd.desired.wish import Wish, WishedState
from kmodd.errors import KmoddError, Reason, StateError
from kmodd.log_kinds import LogKind, told
from kmodd.namespace.by_hand import ByHand
from kmodd.namespace.context import USUAL, RequestContext
from kmodd.namespace.namespace import Namespace
from kmodd.namespace.pauses import Pauses
from kmodd.namespace.stewardship import check_wishes
from kmodd.namespace.wish_facts import WishFacts
from kmodd.namespace.wish_look import WishLook
from kmodd.namespace.wish_memory import WishMemory, passes
from kmodd.namespace.wish_moves import MadeChanges, WishMoves
from kmodd.namespace.wish_sources import WishSource, WishSources
from kmodd.records import field, record, replace
from kmodd.trees import Trees

FIRST = 1.0
"""Seconds after which something is done to a module for the second time, and after which it is
first looked whether a module that is to go is still in use. Each such pause is twice the last."""

LONGEST_POLL = 60
"""How many times that no pause between two such looks is longer than."""

PATIENCE = 2.0
"""Seconds that whoever asks how things are waits for a look that is fresh."""

WAKE = 0.5
"""Seconds after which whoever waits looks whether there is still a point in it."""

RESTS = 9
"""How many times as long as a look took of the processor it rests before the next, where nobody
waits for that: a machine on which modules come and go all the time has other things to do."""

LONGEST_REST = 0.5
"""Seconds that it rests at most."""

LOOKS = 8
"""Modules whose parameters are looked at in one tick."""

log = logging.getLogger(__name__)


@record
class KeptState:
    """How the wishes fared at one moment; ``since`` has a time of Unix for each finding."""

    revision: int = 0
    findings: tuple[Finding, ...] = ()
    since: Mapping[str, float] = field(default_factory=dict)
    sources: tuple[WishSource, ...] = ()


@record
class _Looked:
    """What one look came to: the findings, the moves in their order, and what failures go by."""

    findings: tuple[Finding, ...]
    moves: tuple[Move, ...] = ()
    basis: object = None


class StateKeeper:
    """Keeps what is wished true, on a thread of its own from ``start`` to ``stop``.

    ``_news`` guards the fields that others than the thread touch, and wakes it and those who wait
    for it; ``_looking`` has one at a time look at the machine.
    """

    def __init__(
        self,
        namespace: Namespace,
        trees: Trees,
        sources: WishSources,
        machine: Callable[[], MachineFacts],
        memory: WishMemory | None = None,
        first: float = FIRST,
    ) -> None:
        """``machine`` returns what the conditions of wishes are about; ``first`` is as FIRST."""
        self._namespace = namespace
        self._trees = trees
        self._sources = sources
        self._machine = machine
        self._memory = memory or WishMemory()
        self._moves = WishMoves(namespace, self._memory, self.kick)
        self._look = WishLook(namespace.shown_parameters)
        self._first = first
        self._pauses = Pauses(first)
        self._news = threading.Condition()
        self._looking = threading.Lock()
        self._asked = self._looked = self._done = 0
        self._is_urgent = False
        self._stale = True
        self._fresh: set[str] | None = set()
        self._stopped = False
        self._state = KeptState()
        self._stamp: object = None
        self._settling: object = None
        self._next_look = 0
        self._read: tuple[WishSource, ...] = ()
        self._by_hand = ByHand(self._memory)
        self._failed: dict[Move, str] = {}
        self._panicked: set[Move] = set()
        self._pardoned: set[str] = set()
        self._polls = 0
        self._thread = threading.Thread(target=self._run, name="kmodd-state", daemon=True)

    def start(self) -> None:
        """Begin to see to the wishes."""
        self._memory.recall()
        self._stamp = self._settling = self._sources.stamp()
        self._namespace.tell(self.kick, self.pardon)
        self._trees.tell(self.kick)
        self.kick()
        self._thread.start()

    def end(self) -> None:
        """Make no more moves, and have nobody wait for any."""
        with self._news:
            self._stopped = True
            self._news.notify_all()

    def stop(self, patience: float) -> None:
        """End, and wait for the move under way for at most ``patience`` seconds."""
        self.end()
        if self._thread.is_alive():
            self._thread.join(patience)

    @property
    def machine(self) -> MachineFacts:
        """What the conditions of wishes are about."""
        return self._machine()

    @property
    def state(self) -> KeptState:
        """How the wishes fared when that was last looked at."""
        with self._news:
            return self._state

    def kick(self) -> None:
        """Have the thread look anew; for any thread."""
        with self._news:
            self._asked += 1
            self._news.notify_all()

    def pardon(self, names: Collection[str]) -> None:
        """Take what has become of modules for nobody's wish; for any thread."""
        with self._news:
            self._pardoned |= set(names)
        self.kick()

    def _ask(self) -> int:
        """Have the thread look anew at once, and return the number of that look."""
        with self._news:
            self._asked += 1
            self._is_urgent = True
            self._news.notify_all()
            return self._asked

    def reread(self, machine: Callable[[], MachineFacts] | None = None) -> None:
        """Have the sources read anew, and look at the facts of the ``machine`` that is given."""
        with self._news:
            self._stale = True
            self._machine = machine or self._machine
        self.kick()

    def settle(self, patience: float) -> bool:
        """Wait until what can be done at once is done; tells whether that took no longer."""
        number = self._ask()
        with self._news:
            return self._news.wait_for(lambda: self._done >= number or self._stopped, patience)

    def refreshed(self) -> KeptState:
        """Return how the wishes fare now, parameters included; waits a while for that."""
        with self._news:
            self._fresh = None
        self._namespace.look()
        number = self._ask()
        with self._news:
            self._news.wait_for(lambda: self._looked >= number or self._stopped, PATIENCE)
            return self._state

    def wait(self, seen: int, timeout: float) -> KeptState:
        """Return the state once its revision is not ``seen``, or after ``timeout`` seconds."""
        with self._news:
            self._news.wait_for(lambda: self._state.revision != seen or self._stopped, timeout)
            return self._state

    def tick(self) -> None:
        """Look whether the sources have changed, and at some of the parameters that are wished.

        It is for a thread that looks around anyway. A file counts once it has been quiet from one
        tick to the next: who writes it may not be done.
        """
        stamp = self._sources.stamp()
        settled, self._settling = stamp == self._settling, stamp
        if stamp != self._stamp and settled:
            self._stamp = stamp
            self.reread()
        self._sources.keep()
        drifted = self._drifted()
        if drifted:
            with self._news:
                if self._fresh is not None:
                    self._fresh |= drifted
            self.kick()

    def check(self, source: str, text: bytes, call: RequestContext) -> None:
        """Raise AccessError where who makes ``call`` may not have ``source`` wish for ``text``.

        Where it cannot be applied at all, that is raised, as by ``apply``.
        """
        check_wishes(self._namespace, self._sources.checked(source, text), call)

    def apply(
        self, source: str, text: bytes, call: RequestContext = USUAL, revision: int = 0
    ) -> KeptState:
        """Take over what ``source`` wishes, and return once what can be done at once is done.

        Where it has this ``revision`` already, unless that is 0, or is not there and to be taken
        away, nothing is done. Raises as ``WishSources.apply`` does, and StateError (CALLER_GONE,
        SHUTTING_DOWN) where the wait ends before.
        """
        self._sources.checked(source, text)
        is_there = self._sources.has_applied(source)
        if (not is_there and not text.strip()) or (
            revision and self._sources.revision(source) == revision
        ):
            return self.refreshed()
        with self._namespace.operation("apply-state", source, call) as operation:
            document = self._sources.apply(source, text, revision)
            with self._news:
                self._stale = True
                self._fresh = None
                self._pardoned |= {wish.name for wish in document.wishes}
            operation.acted = True
        number = self._ask()
        while True:
            with self._news:
                if self._news.wait_for(lambda: self._done >= number or self._stopped, WAKE):
                    break
            operation.check_wanted()
        if self._stopped:
            raise StateError(Reason.SHUTTING_DOWN, "kmodd is stopping")
        return self.state

    def planned(self, source: str, text: bytes) -> KeptState:
        """Return how things would be if ``text`` was applied; nothing is taken over or done.

        Raises as ``apply`` does.
        """
        sources = self._sources.with_applied(source, text)
        own = next((each.document.wishes for each in sources if each.name == source), ())
        names = {wish.name for wish in own}
        merged = merge([each.document for each in sources], self._machine())
        with self._looking:
            facts = self._namespace.wish_facts()
            looked = self._compare(merged, facts, sources, fresh=names, pardoned=names)
        return KeptState(0, looked.findings, {}, sources)

    def _run(self) -> None:
        wait: float | None = 0.0
        rest = 0.0
        while True:
            with self._news:
                self._news.wait_for(lambda: self._stopped or self._is_urgent, rest)
                if not self._stopped and self._asked <= self._done:
                    self._news.wait_for(lambda: self._stopped or self._asked > self._done, wait)
                if self._stopped:
                    break
                number = self._asked
                self._is_urgent = False
            began = time.thread_time()
            try:
                wait = self._see_to_it(number)
            except Exception:
                log.exception("the wishes are looked at again with the next change")
                wait = LONGEST_POLL * self._first
            rest = min(RESTS * (time.thread_time() - began), LONGEST_REST)
            with self._news:
                self._done = number
                self._news.notify_all()
        self._moves.release_all()

    def _see_to_it(self, number: int) -> float | None:
        """Look, and make the moves that are due until none is left.

        Returns after how many seconds to look again though nothing has changed, None for never.
        """
        while True:
            looked = self._look_around()
            with self._news:
                self._looked = number
                self._news.notify_all()
            now = time.monotonic()
            moves = looked.moves
            self._failed = {move: why for move, why in self._failed.items() if move in moves}
            due = [move for move in moves if self._pauses.due(move.name) <= now]
            if not due or self._stopped:
                return self._next(looked.findings, moves, now)
            for name in {move.name for move in due}:
                self._pauses.note(name, now)
            self._make(due, looked.basis)

    def _next(
        self, findings: tuple[Finding, ...], moves: Collection[Move], now: float
    ) -> float | None:
        """Return when to look again: for a move that is put off, or what nobody tells of."""
        times = [self._pauses.due(move.name) - now for move in moves]
        if any(finding.polls for finding in findings):
            times.append(self._first * min(2.0 ** min(self._polls, 16), LONGEST_POLL))
            self._polls += 1
        else:
            self._polls = 0
        return max(0.0, min(times)) if times else None

    def _make(self, moves: Collection[Move], basis: object) -> None:
        """Make moves; what fails is noted, and the others are made."""
        made = MadeChanges()
        for move in moves:
            if self._stopped:
                break
            self._failed.pop(move, None)
            try:
                self._moves.make(move, made)
            except KmoddError as error:
                if passes(error) or self._is_first_panic(move, error):
                    self._failed[move] = error.message
                else:
                    self._memory.note_failure(move, basis, error)
        self._by_hand.expect(made)

    def _is_first_panic(self, move: Move, error: KmoddError) -> bool:
        """Tell whether the kernel has died of a move, or meanwhile, for the first time.

        It may have been another's fault; the second time it is that move's.
        """
        is_first = error.reason is Reason.KERNEL_PANIC and move not in self._panicked
        if is_first:
            self._panicked.add(move)
        return is_first

    def _look_around(self) -> _Looked:
        """Compare the wishes with what there is, note what others did, and publish the findings."""
        with self._news:
            stale, self._stale = self._stale, False
            fresh, self._fresh = self._fresh, set()
            pardoned, self._pardoned = self._pardoned, set()
        with self._looking:
            if stale:
                before, self._read = self._read, self._sources.read()
                for problem in _problems(self._read):
                    if problem not in _problems(before):
                        log.warning("%s", problem)
            merged = merge([source.document for source in self._read], self._machine())
            self._deny(merged)
            lost = self._moves.end_lost()
            facts = self._namespace.wish_facts()
            news = self._by_hand.look(merged, facts, lost, self._moves.held)
            self._memory.forget(pardoned)
            for name in news | pardoned:
                self._pauses.forget(name)
            names = {wish.name for wish in merged.wishes} if fresh is None else fresh
            looked = self._compare(merged, facts, self._read, fresh=names)
        findings = tuple(map(self._with_attempt, looked.findings))
        self._publish(findings)
        return replace(looked, findings=findings)

    def _with_attempt(self, finding: Finding) -> Finding:
        """Return a finding with why its move is not made yet, where that was tried in vain."""
        whys = (self._failed[move] for move in finding.moves if move in self._failed)
        why = "; ".join(filter(None, (finding.why, *whys)))
        return replace(finding, why=why) if finding.moves else finding

    def _deny(self, merged: MergedWishes) -> None:
        denied = (wish for wish in merged.wishes if wish.state is WishedState.DENIED)
        self._namespace.deny_wished((wish.name, f"{wish.place} wishes so") for wish in denied)

    def _compare(
        self,
        merged: MergedWishes,
        facts: WishFacts,
        sources: Collection[WishSource],
        *,
        fresh: Collection[str],
        pardoned: Collection[str] = (),
    ) -> _Looked:
        """Return what there is to say of the wishes; ``pardoned`` count as never tried or changed.

        Where there is no database to go by, that is said of each.
        """
        try:
            # Where nothing is wished, it need not be known of a tree what an earlier life left.
            generation = self._trees.current(treeless=True, at_once=not merged.wishes)
        except KmoddError as error:
            return _Looked(tuple(_unknown(wish, facts, error) for wish in merged.wishes))
        denied = frozenset(w.name for w in merged.wishes if w.state is WishedState.DENIED)
        basis = generation.number, facts.deny, denied, self._namespace.exact
        alone, tried = self._memory.left_alone(), self._memory.tried(basis)
        situation = Situation(
            database=generation.database,
            loaded=facts.loaded,
            deny=facts.deny,
            shown=self._look.parameters(merged.wishes, facts.loaded, fresh),
            declared=self._look.declared(merged.wishes, generation.database),
            held=facts.held_by_others(self._moves.hold_numbers),
            own_holds=self._moves.held,
            brought=facts.brought,
            left_alone={name: why for name, why in alone.items() if name not in pardoned},
            tried={move: error for move, error in tried.items() if move.name not in pardoned},
            taken=self._memory.taken(),
            blind=any(source.problems for source in sources),
        )
        findings = reconcile(merged, situation)
        return _Looked(findings, tuple(moves_of(findings, generation.database)), basis)

    def _publish(self, findings: tuple[Finding, ...]) -> None:
        """Let others see the findings, where they or the sources are others than before."""
        with self._news:
            before = self._state
            if findings == before.findings and self._read == before.sources:
                return
            self._polls = 0
            known = {finding.name: finding for finding in before.findings}
            now = time.time()
            since = {
                each.name: before.since[each.name]
                if _fares_the_same(known.get(each.name), each)
                else now
                for each in findings
            }
            self._state = KeptState(before.revision + 1, findings, since, self._read)
            self._news.notify_all()
        for each in findings:
            level = _LEVELS.get(each.standing)
            if level is not None and not _fares_the_same(known.get(each.name), each):
                place = each.wish.place if each.wish else "wished no more"
                about = told(LogKind.NOT_AS_WISHED, module=each.name, result=each.standing.name)
                log.log(level, "%s: %s: %s", place, each.name, each.why, extra=about)

    def _drifted(self) -> set[str]:
        """Return which of the next modules show other parameters than at the last look."""
        seen = self._look.seen()
        names = sorted(seen)
        if not names:
            return set()
        first = self._next_look % len(names)
        self._next_look = first + LOOKS
        some = (names * 2)[first : first + min(LOOKS, len(names))]
        return {name for name in some if self._namespace.shown_parameters(name) != seen[name]}


_LEVELS = {Standing.IMPOSSIBLE: logging.WARNING, Standing.DRIFTED: logging.INFO}
"""How loud the log is of what is not as wished and stays so."""


def _problems(sources: Iterable[WishSource]) -> list[str]:
    return [problem for source in sources for problem in source.problems]


def _unknown(wish: Wish, facts: WishFacts, error: KmoddError) -> Finding:
    presence = Presence.LOADED if wish.name in facts.loaded else Presence.ABSENT
    return Finding(wish.name, wish, presence, Standing.IMPOSSIBLE, error.message, error)


def _fares_the_same(before: Finding | None, now: Finding) -> bool:
    if before is None:
        return False
    return replace(before, wish=now.wish, values=(), moves=()) == replace(now, values=(), moves=())
