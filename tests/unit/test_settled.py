# SPDX-License-Identifier: Apache-2.0
"""What is remembered of loads that found nothing to do, and for how long."""

from pathlib import Path

from kmodd.access.caller import DAEMON, Caller, Role
from kmodd.kernel.emulated import IsolatedKernel
from kmodd.namespace import Namespace, RequestContext
from kmodd.namespace.planning import Policy
from kmodd.namespace.settled_loads import (
    LONGEST,
    MOST,
    Basis,
    Key,
    SettledLoad,
    SettledLoads,
    are_settled,
)
from kmodd.plan import DenyList, LoadRequest, UnloadRequest
from tests.support.namespaces import namespace_of

LOAD = SettledLoad("greet", ("greet",), "an answer")
OTHER = Caller("/run/other", Role.LOADER)


def basis() -> Basis:
    return Basis(None, (), Policy())


def key(request: bytes) -> Key:
    return DAEMON, request


def outcome_of(namespace: Namespace, name: str, parameters: str = "") -> bool:
    """Load, and tell whether that is settled."""
    return are_settled([namespace.load(LoadRequest(name=name, parameters=parameters))])


def test_a_load_is_remembered_on_its_own_basis_alone() -> None:
    loads, mine = SettledLoads(), basis()
    loads.keep(key(b"greet"), mine, LOAD)
    assert loads.find(key(b"greet"), mine) is LOAD
    assert loads.find(key(b"world"), mine) is None
    assert loads.find((OTHER, b"greet"), mine) is None
    other = basis()
    assert loads.find(key(b"greet"), other) is None
    loads.keep(key(b"world"), other, LOAD)
    assert loads.find(key(b"greet"), mine) is None


def test_neither_long_requests_nor_many_are_remembered() -> None:
    loads, mine = SettledLoads(), basis()
    long = bytes(LONGEST + 1)
    loads.keep(key(long), mine, LOAD)
    assert loads.find(key(long), mine) is None
    requests = [str(number).encode() for number in range(2 * MOST + 1)]
    for request in requests:
        loads.keep(key(request), mine, LOAD)
    kept = [request for request in requests if loads.find(key(request), mine)]
    assert kept[-1] == requests[-1]
    assert len(kept) <= MOST


def test_a_load_is_settled_where_it_does_nothing_and_fails_at_nothing(tmp_path: Path) -> None:
    namespace = namespace_of(tmp_path, IsolatedKernel)
    assert not outcome_of(namespace, "world")
    assert outcome_of(namespace, "world")
    assert not outcome_of(namespace, "missing")
    assert not outcome_of(namespace, "greet", "count=3")


def test_a_basis_is_the_same_until_something_changes(tmp_path: Path) -> None:
    namespace = namespace_of(tmp_path, IsolatedKernel)
    namespace.load(LoadRequest(name="greet"))
    seen = [namespace.basis()]
    assert namespace.basis().is_same(seen[0])

    def is_new() -> bool:
        seen.append(namespace.basis())
        return not any(seen[-1].is_same(each) for each in seen[:-1])

    namespace.load(LoadRequest(name="world"))
    assert is_new()
    namespace.load(LoadRequest(name="world"))
    assert namespace.basis().is_same(seen[-1])
    namespace.unload(UnloadRequest(name="world"))
    assert is_new()
    namespace.set_policy(DenyList(), exact=False)
    assert is_new()
    namespace.set_policy(DenyList(), exact=True)
    assert is_new()


def test_who_loads_nothing_has_asked_for_it_all_the_same(tmp_path: Path) -> None:
    namespace = namespace_of(tmp_path, IsolatedKernel)
    call = RequestContext()
    with namespace.hold([LoadRequest(name="world")], unload=True):
        basis = namespace.basis()
        outcome = namespace.load(LoadRequest(name="greet"), RequestContext(dry_run=True))
        namespace.settle(b"greet", call, basis, [outcome], "an answer")
        assert namespace.settled_answer(b"greet", DAEMON) == "an answer"
    assert [module.name for module in namespace.listing().modules] == ["greet"]
    assert namespace.origin_of("greet").value == "asked"


def test_what_had_something_to_do_is_not_remembered(tmp_path: Path) -> None:
    namespace = namespace_of(tmp_path, IsolatedKernel)
    call, basis = RequestContext(), namespace.basis()
    outcome = namespace.load(LoadRequest(name="greet"))
    namespace.settle(b"greet", call, basis, [outcome], "an answer")
    assert namespace.settled_answer(b"greet", DAEMON) is None
