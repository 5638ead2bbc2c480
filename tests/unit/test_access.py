# SPDX-License-Identifier: Apache-2.0
"""What each role may do."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from kmodd.access.caller import DAEMON, Caller, Role
from kmodd.access.rules import (
    LOADER_FIELDS,
    METHODS,
    METHODS_ON_LINUX,
    check_fields,
    check_method,
    check_needed,
    check_target,
)
from kmodd.errors import AccessError, Reason
from kmodd.server import SERVICES
from tests.support.methods import METHODS as ALL_METHODS
from tests.support.methods import Method

PAGE = Path(__file__).parents[2] / "kmodctl/share/man/kmodd-api.7"

LOADER = Caller("/s", Role.LOADER, allow=("br_*", "snd-[a-c]x"), deny=("br_bad", "llc"))
OBSERVER = Caller("/o", Role.OBSERVER)


def refused(check: object, *arguments: object, **options: object) -> str:
    """Return why a check refuses."""
    assert callable(check)
    with pytest.raises(AccessError) as caught:
        check(*arguments, **options)
    assert caught.value.reason is Reason.ACCESS_DENIED
    return caught.value.detail


def test_the_table_has_every_method_of_the_api() -> None:
    assert sorted(METHODS) == sorted(METHODS_ON_LINUX) == sorted(each.path for each in ALL_METHODS)
    assert {path.split("/")[1] for path in METHODS} == set(SERVICES)


def test_what_the_table_does_not_have_is_for_admins() -> None:
    assert refused(check_method, LOADER, "/kmodd.v1.New/Method", on_linux=False)
    check_method(DAEMON, "/kmodd.v1.New/Method", on_linux=False)


def test_health_and_reflection_are_for_everybody() -> None:
    check_method(OBSERVER, "/grpc.health.v1.Health/Check", on_linux=True)


def test_the_log_of_a_real_kernel_is_for_admins() -> None:
    method = "/kmodd.v1.KernelLogService/ReadLog"
    check_method(OBSERVER, method, on_linux=False)
    assert refused(check_method, OBSERVER, method, on_linux=True) == "ReadLog takes the role admin"


@pytest.mark.parametrize("method", [each for each in ALL_METHODS if each.path in LOADER_FIELDS])
def test_a_loader_sets_no_field_that_is_not_named_for_it(method: Method) -> None:
    fields = {field.name for field in method.request.DESCRIPTOR.fields}
    assert fields >= LOADER_FIELDS[method.path]
    for name in fields - LOADER_FIELDS[method.path]:
        assert name in refused(check_fields, LOADER, method.path, [name])
        check_fields(DAEMON, method.path, [name])


def test_what_a_loader_may_call_and_an_observer_not_has_its_fields_named() -> None:
    mutations = {path for path, role in METHODS.items() if role is Role.LOADER}
    assert mutations == set(LOADER_FIELDS)


def test_parameters_take_a_socket_that_allows_them() -> None:
    load = "/kmodd.v1.ModuleService/LoadModules"
    assert "no parameters" in refused(check_fields, LOADER, load, ["names", "parameters"])
    check_fields(Caller("/s", Role.LOADER, parameters=True), load, ["names", "parameters"])


@pytest.mark.parametrize("module", ["br_netfilter", "snd_bx"])
def test_a_loader_has_what_it_is_allowed(module: str) -> None:
    check_target(LOADER, module)


@pytest.mark.parametrize("module", ["ext4", "br_bad", "snd_dx", "BR_netfilter", ""])
def test_a_loader_has_nothing_else(module: str) -> None:
    assert module in refused(check_target, LOADER, module)


def test_what_a_module_needs_follows_it_unless_it_is_denied() -> None:
    check_needed(LOADER, "bridge")
    assert "may not have" in refused(check_needed, LOADER, "llc")


def test_the_manual_page_has_the_table() -> None:
    _, _, rest = PAGE.read_text().partition('.\\" methods: begin\n')
    table, end, _ = rest.partition('.\\" methods: end\n')
    assert end
    assert table.splitlines() == ["\t".join(_row(path)) for path in METHODS]


def _row(path: str) -> Iterator[str]:
    """Yield a method's name, the least role that may call it, and on a real kernel if another."""
    yield path.rpartition(".")[2]
    yield METHODS[path].value
    if METHODS_ON_LINUX[path] is not METHODS[path]:
        yield METHODS_ON_LINUX[path].value
