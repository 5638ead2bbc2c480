# SPDX-License-Identifier: Apache-2.0
"""Modules that came without kmodd are told as such."""

import logging
from pathlib import Path

import pytest

from kmodd.errors import KernelError
from kmodd.kernel.base import InsertFlags, Kernel
from kmodd.namespace import Namespace, Origin, RequestContext
from kmodd.plan import DenyList, LoadRequest
from tests.support.modules import SOURCES, module_tree
from tests.support.namespaces import namespace_on

DENY = DenyList([("greet", "no greetings")])


@pytest.fixture
def served(tmp_path: Path) -> tuple[Namespace, Kernel]:
    return namespace_on(module_tree(tmp_path / "root"))


def load_behind(kernel: Kernel, name: str) -> None:
    kernel.init_module((SOURCES / f"{name}.ko").read_bytes(), "", InsertFlags.NONE)


def arrivals(namespace: Namespace) -> dict[str, bool]:
    """Which modules have come, and whether by others."""
    with namespace.watch(namespace.listing().epoch, 1) as watch:
        changes = [change for event in watch.take(0) for change in event.changes]
    return {change.module.name: change.by_others for change in changes}


def test_what_another_program_has_loaded_is_told_as_that(
    served: tuple[Namespace, Kernel],
) -> None:
    namespace, kernel = served
    namespace.load(LoadRequest(name="facade"))
    load_behind(kernel, "gplsym")
    namespace.listing()
    assert arrivals(namespace) == {"greet": False, "facade": False, "gplsym": True}
    assert namespace.origin_of("gplsym") is Origin.OTHERS
    namespace.load(LoadRequest(name="gplsym"))
    assert namespace.origin_of("gplsym") is Origin.ASKED


def test_what_was_there_before_the_daemon_is_not_known(tmp_path: Path) -> None:
    namespace, kernel = namespace_on(module_tree(tmp_path / "root"))
    load_behind(kernel, "gplsym")
    later = Namespace(kernel, namespace._trees, namespace._calls.commands)
    assert later.origin_of("gplsym") is Origin.UNKNOWN
    assert arrivals(later) == {"gplsym": False}
    kernel.delete_module("gplsym")
    later.listing()
    load_behind(kernel, "gplsym")
    later.listing()
    assert later.origin_of("gplsym") is Origin.OTHERS


def test_a_load_that_failed_makes_nothing_the_daemons(
    served: tuple[Namespace, Kernel],
) -> None:
    namespace, kernel = served
    with pytest.raises(KernelError):
        namespace.insert((SOURCES / "world.ko").read_bytes(), "world.ko", "", InsertFlags.NONE)
    load_behind(kernel, "greet")
    load_behind(kernel, "world")
    namespace.listing()
    assert arrivals(namespace) == {"greet": True, "world": True}
    assert namespace.origin_of("world") is Origin.OTHERS


def test_a_denied_module_that_came_all_the_same_is_warned_of(
    served: tuple[Namespace, Kernel], caplog: pytest.LogCaptureFixture
) -> None:
    namespace, kernel = served
    warned = "greet is denied: no greetings; it is loaded all the same"
    namespace.set_policy(DENY, exact=False)
    assert not caplog.records
    load_behind(kernel, "greet")
    namespace.listing()
    assert [each.getMessage() for each in caplog.records] == [warned]
    assert caplog.records[0].levelno == logging.WARNING
    caplog.clear()
    # One that is denied from now on, and is there.
    namespace.set_policy(DenyList(), exact=False)
    namespace.set_policy(DENY, exact=False)
    assert [each.getMessage() for each in caplog.records] == [warned]
    namespace.load(LoadRequest(name="greet"), RequestContext())
    namespace.listing()
    assert len(caplog.records) == 1
