# SPDX-License-Identifier: Apache-2.0
"""What a loader's unload leaves: what an admin asked for, and what the loader may not have."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from kmodd.access.caller import Caller, Role
from kmodd.errors import KmoddError, Reason, StateError
from kmodd.namespace import Namespace, RequestContext
from kmodd.namespace.load_origins import LoadOrigins
from kmodd.plan import LoadRequest, UnloadRequest
from kmodd.state import AskedStore
from tests.support.namespaces import namespace_on
from tests.support.small_tree import add_graph, empty_tree

ADMIN = Caller("/a", Role.ADMIN)
LOADER = Caller("/s", Role.LOADER, allow=("top", "mid"))


@pytest.fixture
def namespace(tmp_path: Path) -> Iterator[Namespace]:
    tree = empty_tree(tmp_path)
    add_graph(tree, [("top", "mid"), ("mid", "leaf")])
    namespace, kernel = namespace_on(tree)
    yield namespace
    kernel.close()


def load(namespace: Namespace, caller: Caller, *names: str) -> None:
    for name in names:
        assert namespace.load(LoadRequest(name=name), RequestContext(caller=caller)).error is None


def unload(namespace: Namespace, name: str, **options: bool) -> KmoddError | None:
    request = UnloadRequest(name=name, **options)
    return namespace.unload(request, RequestContext(caller=LOADER)).error


def names(namespace: Namespace) -> set[str]:
    return {module.name for module in namespace.listing().modules}


def test_what_came_along_and_is_outside_the_list_stays(namespace: Namespace) -> None:
    load(namespace, LOADER, "top")
    assert unload(namespace, "top") is None
    assert names(namespace) == {"leaf"}


def test_what_an_admin_asked_for_stays_behind_what_needed_it(namespace: Namespace) -> None:
    load(namespace, ADMIN, "mid")
    load(namespace, LOADER, "top")
    assert unload(namespace, "top") is None
    assert names(namespace) == {"mid", "leaf"}


@pytest.mark.parametrize("order", [(ADMIN, LOADER), (LOADER, ADMIN), (LOADER, ADMIN, ADMIN)])
def test_what_an_admin_asked_for_is_not_unloaded_whoever_else_did(
    namespace: Namespace, order: tuple[Caller, ...]
) -> None:
    for caller in order:
        load(namespace, caller, "top")
    error = unload(namespace, "top")
    assert error is not None
    assert error.reason is Reason.ACCESS_DENIED
    assert error.detail == "an admin has asked for top, which stays"
    with pytest.raises(KmoddError) as removed:
        namespace.remove("top", RequestContext(caller=LOADER))
    assert removed.value.reason is Reason.ACCESS_DENIED
    assert names(namespace) == {"top", "mid", "leaf"}


def test_a_user_that_an_admin_asked_for_keeps_what_it_uses(namespace: Namespace) -> None:
    load(namespace, ADMIN, "top")
    error = unload(namespace, "mid", remove_holders=True)
    assert error is not None
    assert error.reason is Reason.ACCESS_DENIED
    assert names(namespace) == {"top", "mid", "leaf"}


def test_a_module_that_left_the_kernel_is_nobodys(namespace: Namespace) -> None:
    load(namespace, ADMIN, "top")
    namespace.remove("top")
    load(namespace, LOADER, "top")
    assert unload(namespace, "top") is None
    assert names(namespace) == {"leaf"}


def test_an_admin_unloads_what_it_asked_for_with_what_came_along(namespace: Namespace) -> None:
    load(namespace, ADMIN, "top")
    assert namespace.unload(UnloadRequest(name="top")).error is None
    assert names(namespace) == set()


def test_a_denied_dependency_stays_without_a_word(namespace: Namespace) -> None:
    load(namespace, ADMIN, "mid")
    load(namespace, LOADER, "top")
    caller = Caller("/s", Role.LOADER, allow=("*",), deny=("leaf",))
    outcome = namespace.unload(UnloadRequest(name="top"), RequestContext(caller=caller))
    assert (outcome.error, outcome.others) == (None, ())
    assert names(namespace) == {"mid", "leaf"}


def test_who_asked_is_known_to_the_next_daemon(tmp_path: Path) -> None:
    store = AskedStore(tmp_path, "boot")
    origins = LoadOrigins((), store)
    origins.note_asked(["ours", "both"], LOADER)
    origins.note_asked(["theirs", "both"], ADMIN)
    found = LoadOrigins({"ours", "theirs", "both"}, AskedStore(tmp_path, "boot"))
    assert [found.is_admins(name) for name in ("ours", "theirs", "both")] == [False, True, True]


def test_what_an_older_daemon_stored_an_admin_asked_for(tmp_path: Path) -> None:
    (tmp_path / "asked.json").write_text('{"boot_id": "boot", "modules": ["old"]}')
    assert LoadOrigins({"old"}, AskedStore(tmp_path, "boot")).is_admins("old")


def test_what_is_not_there_is_not_loaded_as_before(namespace: Namespace) -> None:
    with pytest.raises(StateError):
        namespace.remove("top", RequestContext(caller=LOADER))
