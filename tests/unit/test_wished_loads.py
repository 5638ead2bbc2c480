# SPDX-License-Identifier: Apache-2.0
"""What is loaded for a wish is known as such, and what somebody asks for counts for more."""

import json
from pathlib import Path

import pytest

from kmodd.access.caller import Caller, Role
from kmodd.errors import Reason
from kmodd.namespace import AuditTrail, Namespace, Origin, RequestContext
from kmodd.namespace.context import WISH
from kmodd.namespace.load_origins import LoadOrigins
from kmodd.plan import LoadRequest, UnloadRequest
from kmodd.state import AskedStore
from tests.support.namespaces import namespace_on
from tests.support.small_tree import add_graph, empty_tree

WISHED = RequestContext(origin=WISH)
LOADER = RequestContext(caller=Caller("/run/l", Role.LOADER, allow=("*",)))


@pytest.fixture
def namespace(tmp_path: Path) -> Namespace:
    """top needs leaf, other needs leaf."""
    tree = empty_tree(tmp_path / "root")
    add_graph(tree, [("top", "leaf"), ("other", "leaf")])
    namespace, _ = namespace_on(tree, audit=AuditTrail(tmp_path / "audit"))
    return namespace


def origins(namespace: Namespace) -> dict[str, str]:
    return {each.name: namespace.origin_of(each.name).value for each in namespace.listing().modules}


def load(namespace: Namespace, name: str, call: RequestContext) -> None:
    assert namespace.load(LoadRequest(name=name), call).error is None


def test_a_module_has_the_origin_that_counts_for_most(namespace: Namespace) -> None:
    load(namespace, "top", WISHED)
    assert origins(namespace) == {"top": "state", "leaf": "dependency"}
    load(namespace, "top", LOADER)
    load(namespace, "leaf", WISHED)  # it is there already: nothing was loaded for this
    assert origins(namespace) == {"top": "asked", "leaf": "dependency"}


def test_a_loader_cannot_unload_what_was_loaded_for_a_wish(namespace: Namespace) -> None:
    load(namespace, "top", WISHED)
    outcome = namespace.unload(UnloadRequest(name="top"), LOADER)
    assert outcome.error is not None
    assert outcome.error.reason is Reason.ACCESS_DENIED


def test_the_trail_and_the_events_name_the_wish_as_the_origin(
    namespace: Namespace, tmp_path: Path
) -> None:
    with namespace.watch() as watch:
        load(namespace, "top", WISHED)
        load(namespace, "other", LOADER)
        finished = [event.finished for event in watch.take(0) if event.finished]
    assert [each.origin for each in finished] == ["state", ""]
    lines = [json.loads(line) for line in (tmp_path / "audit").read_text().splitlines()]
    assert [(line["what"], line.get("origin")) for line in lines] == [
        ("top", "state"),
        ("other", None),
    ]


def test_it_is_known_over_a_restart(tmp_path: Path) -> None:
    origins = LoadOrigins(store=AskedStore(tmp_path, "boot"))
    origins.note_asked(["asked"], LOADER.caller)
    origins.note_wished(["wished", "both", "asked", "gone"])
    origins.note_asked(["both"], LOADER.caller)
    origins.forget(["gone"])
    found = LoadOrigins({"asked", "wished", "both"}, AskedStore(tmp_path, "boot"))
    assert found.wished() == origins.wished() == {"wished"}
    assert (found.of("asked"), found.of("both")) == (Origin.ASKED, Origin.ASKED)
    assert found.is_admins("wished")
    assert not found.is_admins("asked")
    assert LoadOrigins({"wished"}, AskedStore(tmp_path, "later")).wished() == frozenset()
