# SPDX-License-Identifier: Apache-2.0
"""Holds on an emulated kernel: what they keep, and what is unloaded when the last one ends."""

import threading
from collections.abc import Iterable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from kmodd.access.caller import Caller, Role
from kmodd.errors import KmoddError, LimitError, NotFoundError, Reason
from kmodd.kernel.emulated import EmulatedKernel
from kmodd.namespace import Hold, Namespace, Origin, Outcome, RequestContext
from kmodd.namespace.load_origins import LoadOrigins
from kmodd.plan import LoadRequest, UnloadRequest
from kmodd.settings import Limits
from kmodd.state import AskedStore
from tests.support.namespaces import namespace_on
from tests.support.small_tree import add_graph, add_module, empty_tree

ONE = RequestContext(caller=Caller("/run/one", Role.LOADER, allow=("*",)))
TWO = RequestContext(caller=Caller("/run/two", Role.LOADER, allow=("*",)))


@pytest.fixture
def served(tmp_path: Path) -> tuple[Namespace, EmulatedKernel]:
    """top needs middle needs leaf, other needs leaf; soft wants extra first."""
    tree = empty_tree(tmp_path / "root")
    add_graph(tree, [("top", "middle"), ("middle", "leaf"), ("other", "leaf")])
    add_module(tree, "kernel/extra.ko")
    add_module(tree, "kernel/soft.ko", softdeps=["pre: extra"])
    namespace, kernel = namespace_on(tree, limits=Limits(holds=2))
    assert isinstance(kernel, EmulatedKernel)
    return namespace, kernel


@pytest.fixture
def namespace(served: tuple[Namespace, EmulatedKernel]) -> Namespace:
    return served[0]


def hold(
    namespace: Namespace,
    *names: str,
    call: RequestContext = ONE,
    unload: bool = False,
    note: str = "",
) -> AbstractContextManager[tuple[Hold, tuple[Outcome, ...]]]:
    requests = [LoadRequest(name=name) for name in names]
    return namespace.hold(requests, call, unload=unload, note=note)


def loaded(namespace: Namespace) -> list[str]:
    return sorted(module.name for module in namespace.listing().modules)


def refusal(error: KmoddError | None) -> tuple[Reason, str]:
    assert error is not None
    return error.reason, error.detail


def unload(namespace: Namespace, name: str) -> KmoddError | None:
    return namespace.unload(UnloadRequest(name=name)).error


def load(namespace: Namespace, *names: Iterable[str]) -> None:
    for name in names:
        assert namespace.load(LoadRequest(name=str(name))).error is None


@pytest.mark.parametrize("before", [(), ("leaf",), ("top",)])
def test_what_is_held_and_what_it_needs_is_not_unloaded(
    namespace: Namespace, before: tuple[str, ...]
) -> None:
    load(namespace, *before)
    with hold(namespace, "top", note="me") as (held, _):
        assert held.pins == {"top", "middle", "leaf"}
        for name in ("top", "middle", "leaf"):
            assert refusal(unload(namespace, name)) == (Reason.MODULE_HELD, "hold 1 of me")
            with pytest.raises(KmoddError) as caught:
                namespace.remove(name)
            assert refusal(caught.value) == (Reason.MODULE_HELD, "hold 1 of me")
            assert caught.value.errno == 16
        assert namespace.hold_counts() == dict.fromkeys(("top", "middle", "leaf"), 1)
    assert loaded(namespace) == ["leaf", "middle", "top"]
    assert unload(namespace, "top") is None
    assert loaded(namespace) == []
    assert namespace.idle()


def test_a_soft_dependency_is_held_too(namespace: Namespace) -> None:
    with hold(namespace, "soft"):
        assert refusal(unload(namespace, "extra"))[0] is Reason.MODULE_HELD


def test_an_unload_passes_over_what_is_held(namespace: Namespace) -> None:
    load(namespace, "top")
    with hold(namespace, "leaf"):
        assert unload(namespace, "top") is None
        assert loaded(namespace) == ["leaf"]
    assert loaded(namespace) == ["leaf"]


def test_a_removal_that_may_wait_waits_for_the_hold_to_end(namespace: Namespace) -> None:
    results: list[KmoddError | None] = []

    def remove() -> None:
        outcome = namespace.unload(
            UnloadRequest(name="leaf", waits=True), RequestContext(wait=60.0)
        )
        results.append(outcome.error)

    with hold(namespace, "leaf"):
        thread = threading.Thread(target=remove)
        thread.start()
        thread.join(0.05)
        assert thread.is_alive()
    thread.join(60)
    assert results == [None]
    assert loaded(namespace) == []


def test_the_last_hold_unloads_what_was_loaded_for_holds(namespace: Namespace) -> None:
    with hold(namespace, "top", unload=True):
        with hold(namespace, "other", call=TWO, unload=True):
            assert loaded(namespace) == ["leaf", "middle", "other", "top"]
        assert loaded(namespace) == ["leaf", "middle", "top"]
        assert {each: namespace.origin_of(each) for each in loaded(namespace)} == {
            "leaf": Origin.DEPENDENCY,
            "middle": Origin.DEPENDENCY,
            "top": Origin.ASKED,
        }
    assert loaded(namespace) == []
    assert namespace.idle()


def test_a_hold_that_ends_leaves_what_another_still_holds(namespace: Namespace) -> None:
    first = hold(namespace, "top", unload=True)
    second = hold(namespace, "middle", call=TWO)
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert loaded(namespace) == ["leaf", "middle"]
    second.__exit__(None, None, None)
    assert loaded(namespace) == []


def test_what_somebody_has_asked_for_or_uses_stays(
    served: tuple[Namespace, EmulatedKernel],
) -> None:
    namespace, kernel = served
    load(namespace, "leaf")
    with hold(namespace, "top", unload=True):
        pass
    assert loaded(namespace) == ["leaf"]
    with hold(namespace, "top", unload=True):
        load(namespace, "middle")
    assert loaded(namespace) == ["leaf", "middle"]
    with hold(namespace, "other", unload=True):
        assert kernel.hold("other")
    assert loaded(namespace) == ["leaf", "middle", "other"]
    kernel.release_hold("other")
    with hold(namespace, "other"):
        pass
    assert loaded(namespace) == ["leaf", "middle"]


def test_a_dry_run_changes_nothing_of_what_a_hold_brought(namespace: Namespace) -> None:
    with hold(namespace, "leaf", unload=True):
        namespace.load(LoadRequest(name="leaf"), RequestContext(dry_run=True))
    assert loaded(namespace) == []


def test_a_hold_of_several_names_holds_all_or_nothing(namespace: Namespace) -> None:
    with pytest.raises(NotFoundError), hold(namespace, "other", "nosuch"):
        pass
    assert loaded(namespace) == []
    assert namespace.activity().holds == ()
    with hold(namespace, "top", "other") as (held, outcomes):
        assert held.pins == {"top", "middle", "leaf", "other"}
        assert [outcome.name for outcome in outcomes] == ["top", "other"]


def test_a_socket_has_so_many_holds_and_no_more(namespace: Namespace) -> None:
    with hold(namespace, "leaf"), hold(namespace, "leaf"):
        with pytest.raises(LimitError, match="2 holds already"), hold(namespace, "leaf"):
            pass
        with hold(namespace, "leaf", call=TWO):
            assert [each.number for each in namespace.activity().holds] == [1, 2, 3]
            assert namespace.hold_counts() == {"leaf": 3}
    with hold(namespace, "leaf"), hold(namespace, "leaf"):
        pass


def test_an_administrator_ends_a_hold(namespace: Namespace) -> None:
    with hold(namespace, "leaf") as (held, _):
        namespace.end_hold(held.number)
        assert held.over.is_set()
        assert held.why is not None
        assert held.why.reason is Reason.HOLD_ENDED
        assert not held.closed.is_set()
    assert held.closed.is_set()
    with pytest.raises(NotFoundError) as caught:
        namespace.end_hold(held.number)
    assert caught.value.reason is Reason.HOLD_NOT_FOUND


def test_a_holder_is_told_when_another_program_unloads_what_it_holds(
    served: tuple[Namespace, EmulatedKernel],
) -> None:
    namespace, kernel = served
    with hold(namespace, "leaf", unload=True) as (held, _), hold(namespace, "extra") as (other, _):
        kernel.delete_module("leaf")
        namespace.look()
        assert held.over.is_set()
        assert held.why is not None
        assert (held.why.reason, held.why.detail) == (Reason.HOLD_ENDED, "leaf")
        assert not other.over.is_set()
    assert loaded(namespace) == ["extra"]


def test_stopping_ends_all_holds(namespace: Namespace) -> None:
    with hold(namespace, "leaf") as (one, _), hold(namespace, "top", call=TWO) as (two, _):
        namespace.stop()
        for each in (one, two):
            assert each.over.is_set()
            assert each.why is not None
            assert each.why.reason is Reason.SHUTTING_DOWN


def test_what_a_holder_says_of_itself_is_cut_and_cleaned(namespace: Namespace) -> None:
    with hold(namespace, "leaf", note="x\n\x1b[31m" + "y" * 1000) as (held, _):
        assert held.note == "x??[31m" + "y" * 56 + "…"
    with hold(namespace, "leaf") as (held, _):
        assert str(held) == "hold 2"


def test_a_module_has_the_origin_of_whoever_wanted_it_most(
    served: tuple[Namespace, EmulatedKernel],
) -> None:
    namespace, kernel = served
    load(namespace, "top")
    assert namespace.origin_of("top") is Origin.ASKED
    assert namespace.origin_of("leaf") is Origin.DEPENDENCY
    load(namespace, "leaf")
    assert namespace.origin_of("leaf") is Origin.ASKED
    load(namespace, "other")
    assert namespace.origin_of("leaf") is Origin.ASKED
    kernel.delete_module("other")
    namespace.listing()
    assert namespace.origin_of("other") is Origin.OTHERS  # it was forgotten


def test_what_was_asked_for_is_known_to_the_next_daemon(tmp_path: Path) -> None:
    tree = empty_tree(tmp_path / "root")
    add_graph(tree, [("top", "leaf"), ("other", "leaf")])
    store = AskedStore(tmp_path / "run", "this boot")
    namespace, kernel = namespace_on(tree, asked=store)
    load(namespace, "top", "other")
    assert store.load() == {"top", "other"}
    namespace.remove("other")
    assert store.load() == {"top"}
    next_one = LoadOrigins({module.name for module in kernel.modules()}, store)
    assert {name: next_one.of(name) for name in ("top", "leaf", "other")} == {
        "top": Origin.ASKED,
        "leaf": Origin.UNKNOWN,
        "other": Origin.OTHERS,
    }
    gone = LoadOrigins((), store)
    assert gone.of("top") is Origin.OTHERS
