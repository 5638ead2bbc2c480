# SPDX-License-Identifier: Apache-2.0
"""Whatever is wished, and whatever others do: at rest all is as wished, as far as it can be."""

import tempfile
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from kmodd.access.caller import Caller, Role
from kmodd.desired.findings import Finding, Standing
from kmodd.errors import KmoddError
from kmodd.namespace import AuditTrail, Finished, Hold, RequestContext
from kmodd.plan import LoadRequest, UnloadRequest
from kmodd.state import AppliedStore
from tests.support.daemon import wait_until
from tests.support.small_tree import add_graph, add_module, empty_tree
from tests.support.tree import ModuleTree
from tests.support.wishes import KeptMachine, kept_machine, wishes

NEEDS = {"a": {"b", "c"}, "b": {"c"}, "d": set[str](), "e": {"c"}, "c": set[str]()}
"""What each module of the tree needs. ``late`` comes and goes, and ``never`` is never there."""

NAMES = (*NEEDS, "late", "never")
PERSON = RequestContext(caller=Caller("/run/admin", Role.ADMIN))

Wishes = Mapping[str, tuple[str, bool]]

names = st.sampled_from(NAMES)
wished = st.dictionaries(
    names, st.tuples(st.sampled_from(("loaded", "absent", "denied", "held")), st.booleans())
)
acts = st.one_of(
    st.tuples(st.just("write"), wished),
    st.tuples(st.just("apply"), wished),
    st.tuples(st.sampled_from(("load", "unload", "remove", "hold", "open", "close")), names),
    st.tuples(st.sampled_from(("end hold", "come", "go")), st.none()),
)


class Counting(AuditTrail):
    """A trail that counts what was done for wishes."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def write(self, finished: Finished) -> None:
        self.count += finished.origin == "state"


@dataclass
class World:
    """A machine, what is wished of it, and what others have open there."""

    machine: KeptMachine
    tree: ModuleTree
    written: Wishes = field(default_factory=dict)
    applied: Wishes = field(default_factory=dict)
    holds: list[tuple[ExitStack, Hold]] = field(default_factory=list)
    files: list[str] = field(default_factory=list)
    touched: set[str] = field(default_factory=set)

    @property
    def wishes(self) -> Wishes:
        return {**self.written, **self.applied}

    def act(self, what: str, value: object) -> None:
        machine = self.machine
        if isinstance(value, dict):
            self._wish(what, value)
        elif what == "come":
            add_module(self.tree, "kernel/late.ko")
            machine.trees.rebuild()
        elif what == "go":
            (self.tree.directory / "kernel/late.ko").unlink(missing_ok=True)
            machine.trees.rebuild()
        elif what == "end hold" and self.holds:
            self.holds.pop()[0].close()
        elif isinstance(value, str):
            self.touched.add(value)
            with suppress(KmoddError):
                self._by_hand(what, value)

    def _wish(self, what: str, wished: Wishes) -> None:
        before = self.wishes
        text = wishes(*(f"{n} {s}{' enforce' * e}" for n, (s, e) in wished.items()))
        if what == "write":
            self.written = wished
            self.machine.wish(text)
        else:
            self.applied = wished
            self.machine.keeper.apply("applied", text.encode())
            self.touched -= wished.keys()
        now = self.wishes
        self.touched -= {name for name in now if now[name] != before.get(name)}

    def _by_hand(self, what: str, name: str) -> None:
        namespace = self.machine.namespace
        match what:
            case "load":
                namespace.load(LoadRequest(name=name), PERSON)
            case "unload":
                namespace.unload(UnloadRequest(name=name), PERSON)
            case "remove":
                namespace.remove(name, PERSON)
            case "hold":
                stack = ExitStack()
                held = namespace.hold([LoadRequest(name=name)], PERSON, unload=False)
                hold, _ = stack.enter_context(held)
                self.holds.append((stack, hold))
            case "open":
                if self.machine.kernel.hold(name):
                    self.files.append(name)
            case "close" if name in self.files:
                self.files.remove(name)
                self.machine.kernel.release_hold(name)

    def rest(self) -> tuple[Finding, ...]:
        """Wait until there is nothing to do any more, and return how all fares."""

        def rests() -> bool:
            return not any(each.moves for each in self.machine.keeper.refreshed().findings)

        wait_until(rests)
        return self.machine.keeper.state.findings

    def check(self) -> None:
        """At rest the listing is the wish, or there is a reason, and what is held is there."""
        findings = {each.name: each for each in self.rest()}
        loaded = self.machine.loaded()
        for _, hold in self.holds:
            assert hold.pins <= loaded
            assert hold.why is None
        for name, (state, enforced) in self.wishes.items():
            finding = findings[name]
            is_present = state in ("loaded", "held")
            if finding.standing is Standing.DONE:
                assert (name in loaded) == is_present
            else:
                assert self._excuses(finding, name, is_present, enforced, loaded), finding
        kept = {name for name, (state, _) in self.wishes.items() if state == "held"}
        ours = [hold for hold in self.machine.namespace.activity().holds if hold.note == "state"]
        assert {name for hold in ours for name in hold.names} <= kept

    def _excuses(
        self, finding: Finding, name: str, is_present: bool, enforced: bool, loaded: set[str]
    ) -> bool:
        """Tell whether there is an independent reason for what is not as wished."""
        wished = self.wishes
        if finding.standing is Standing.DRIFTED:
            return name in self.touched and not enforced and wished[name][0] != "denied"
        if finding.standing is Standing.WAITING:
            held = any(name in hold.pins for _, hold in self.holds)
            return not is_present and (
                held
                or name in self.files
                or any(user in loaded and name in NEEDS[user] for user in NEEDS)
            )
        gone = {n for n, (state, _) in wished.items() if state in ("absent", "denied")}
        if is_present:
            return name in ("late", "never") or bool(NEEDS[name] & gone)
        users = {user for user in NEEDS if name in NEEDS[user]} & wished.keys()
        return any(wished[user][0] in ("loaded", "held") for user in users)


@settings(max_examples=40)
@given(st.lists(acts, max_size=14))
def test_at_rest_all_is_as_wished_as_far_as_it_can_be(
    steps: list[tuple[str, object]],
) -> None:
    with tempfile.TemporaryDirectory() as directory, ExitStack() as ending:
        tree = empty_tree(Path(directory, "root"))
        add_graph(tree, [("a", "b"), ("b", "c"), ("e", "c")])
        add_module(tree, "kernel/d.ko")
        trail = Counting()
        store = AppliedStore(Path(directory, "applied"))
        machine = ending.enter_context(
            kept_machine(tree, Path(directory, "w"), store=store, first=0.002, audit=trail)
        )
        world = World(machine, tree)
        for step in steps:
            world.act(*step)
            world.check()
        made = trail.count
        machine.keeper.reread()
        machine.settle()
        world.rest()
        assert trail.count == made
        for stack, _ in world.holds:
            stack.close()
