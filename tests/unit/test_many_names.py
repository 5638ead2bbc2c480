# SPDX-License-Identifier: Apache-2.0
"""A request that has many names: what they share, and what each has for itself."""

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from kmodd.errors import KmoddError, Reason
from kmodd.namespace import Namespace, RequestContext
from kmodd.plan import LoadRequest, UnloadRequest
from kmodd.trees import Generation
from tests.support.modules import module_tree
from tests.support.namespaces import namespace_on
from tests.support.tree import ModuleTree


@pytest.fixture
def tree(tmp_path: Path) -> ModuleTree:
    return module_tree(tmp_path / "root")


@pytest.fixture
def namespace(tree: ModuleTree) -> Namespace:
    return namespace_on(tree)[0]


def loads(*names: str) -> list[LoadRequest]:
    return [LoadRequest(name=name) for name in names]


def loaded(namespace: Namespace) -> list[str]:
    return [module.name for module in namespace.listing().modules]


def count_looks(namespace: Namespace, then: Callable[[], object] = lambda: None) -> list[int]:
    """Note the generation of each look at the tree from now on, and do ``then`` after it."""
    looks: list[int] = []
    confirm = namespace._trees.confirm

    def counted(generation: Generation) -> Generation:
        looks.append(generation.number)
        found = confirm(generation)
        then()
        return found

    namespace._trees.confirm = counted  # type: ignore[method-assign]
    return looks


def test_a_thousand_unknown_names_cost_one_look_at_the_tree(namespace: Namespace) -> None:
    looks = count_looks(namespace)
    outcomes = namespace.load_each(loads(*(f"gone{number}" for number in range(1000))))
    assert len(looks) == 1
    assert {each.error.reason for each in outcomes if each.error} == {Reason.MODULE_NOT_FOUND}
    assert len(outcomes) == 1000
    namespace.load_each(loads("gone"))
    assert len(looks) == 2, "each request looks for itself"


def test_after_a_load_an_unknown_name_is_looked_for_again(namespace: Namespace) -> None:
    looks = count_looks(namespace)
    namespace.load_each(loads("gone", "other", "greet", "gone", "other"))
    assert len(looks) == 2


def test_names_that_have_not_begun_when_the_caller_goes_are_not_begun(
    namespace: Namespace,
) -> None:
    gone = threading.Event()
    call = RequestContext(gone=gone)
    count_looks(namespace, gone.set)
    with pytest.raises(KmoddError) as ended:
        namespace.load_each(loads("greet", "nosuch", "hello"), call)
    assert ended.value.reason is Reason.CALLER_GONE
    assert loaded(namespace) == ["greet"]
    with pytest.raises(KmoddError):
        namespace.unload_each([UnloadRequest(name="greet")], call)
    assert loaded(namespace) == ["greet"]


def test_all_or_nothing_is_nothing_where_the_caller_has_gone(namespace: Namespace) -> None:
    gone = threading.Event()
    namespace._journal._changed = lambda _: gone.set()
    *_, last = namespace.load_together(loads("greet", "hello"), RequestContext(gone=gone))
    assert last.error is not None
    assert last.error.reason is Reason.CALLER_GONE
    assert loaded(namespace) == []


def test_what_one_name_has_loaded_is_not_kept_for_the_next(namespace: Namespace) -> None:
    def unload() -> None:
        outcomes.append(namespace.unload(UnloadRequest(name="greet")).error)

    outcomes: list[KmoddError | None] = []
    count_looks(namespace, unload)
    namespace.load_each(loads("greet", "nosuch"))
    assert outcomes == [None]
