# SPDX-License-Identifier: Apache-2.0
"""What each role may do, and that the API says it of everything."""

from typing import Any

import pytest
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message_factory import GetMessageClass

from kmodd.access.caller import DAEMON, Caller, Role
from kmodd.access.policy import (
    LOADER_FIELDS,
    METHODS,
    Lane,
    MethodPolicy,
    policy_of,
    read_loader_fields,
    read_methods,
    set_fields,
)
from kmodd.access.rules import (
    check_fields,
    check_method,
    check_needed,
    check_parameters,
    check_source,
    check_target,
    check_wished_parameters,
)
from kmodd.errors import AccessError, Reason
from kmodd.server import SERVICES
from kmodd.v1 import module_service_pb2 as pb
from kmodd.v1 import policy_pb2
from tests.support.methods import METHODS as ALL_METHODS
from tests.support.methods import Method

LOADER = Caller("/s", Role.LOADER, allow=("br_*", "snd-[a-c]x"), deny=("br_bad", "llc"))
GIVER = Caller("/g", Role.LOADER, parameters=True)
OBSERVER = Caller("/o", Role.OBSERVER)

LOAD = "/kmodd.v1.ModuleService/LoadModules"
HOLD = "/kmodd.v1.ModuleService/HoldModules"
NEW = "/kmodd.v1.New/Method"

LOADERS = [each for each in ALL_METHODS if METHODS[each.path].bounds_fields]

SCALARS = {FieldDescriptor.TYPE_STRING: "x", FieldDescriptor.TYPE_BOOL: True}


def refused(check: object, *arguments: object, **options: object) -> str:
    """Return why a check refuses."""
    assert callable(check)
    with pytest.raises(AccessError) as caught:
        check(*arguments, **options)
    assert caught.value.reason is Reason.ACCESS_DENIED
    return caught.value.detail


def request_with(kind: Any, field: Any) -> Any:
    """Return a request in which one field is set."""
    request = kind()
    if field.is_repeated:
        getattr(request, field.name).append(SCALARS.get(field.type, 1))
    elif field.message_type is not None:
        getattr(request, field.name).SetInParent()
    else:
        setattr(request, field.name, SCALARS.get(field.type, 1))
    return request


def test_what_is_granted_to_one_request_may_be_set_in_it() -> None:
    load = pb.LoadModulesRequest(names=["x"], parameters="a=1", ignore_install_commands=True)
    check_fields(LOADER, LOAD, load, ["parameters", "ignore_install_commands"])
    assert "ignore_install" in refused(check_fields, LOADER, LOAD, load, ["parameters"])


@pytest.mark.parametrize("argument", ["-f", "--force", "-", '"-f"', '"-f x'])
def test_what_a_loader_gives_begins_with_no_dash(argument: str) -> None:
    assert argument in refused(check_parameters, GIVER, ["a=1", argument])
    check_parameters(GIVER, ["a=1", "b=-1", 'c="-f"', '"d=-x"'])
    check_parameters(DAEMON, [argument])


def new_file() -> Any:
    """Return the descriptor of a file that somebody has added to the API without any option."""
    file = FileDescriptorProto(name="new.proto", package="kmodd.v1", syntax="proto3")
    message = file.message_type.add(name="Request")
    text, own = FieldDescriptor.TYPE_STRING, FieldDescriptor.TYPE_MESSAGE
    message.field.add(name="name", number=1, type=text, label=1)
    message.field.add(name="more", number=2, type=own, type_name=".kmodd.v1.Request", label=3)
    message.field.add(name="table", number=3, type=own, type_name=".kmodd.v1.Request.Row", label=3)
    row = message.nested_type.add(name="Row")
    row.options.map_entry = True
    row.field.add(name="key", number=1, type=text, label=1)
    row.field.add(name="value", number=2, type=text, label=1)
    message.field[2].options.Extensions[policy_pb2.loader_may_set] = True  # type: ignore[index]
    kinds = {"input_type": ".kmodd.v1.Request", "output_type": ".kmodd.v1.Request"}
    file.service.add(name="New").method.add(name="Method", **kinds)
    pool = DescriptorPool()
    pool.Add(file)
    return pool.FindFileByName("new.proto")


@pytest.mark.parametrize("method", ALL_METHODS, ids=str)
def test_every_method_says_who_may_call_it_and_how_it_is_served(method: Method) -> None:
    policy = method.policy
    assert policy.role != policy_pb2.ROLE_UNSPECIFIED
    assert policy.lane != policy_pb2.LANE_UNSPECIFIED
    assert METHODS[method.path].role.name == policy_pb2.Role.Name(policy.role)[len("ROLE_") :]
    assert METHODS[method.path].lane.name == policy_pb2.Lane.Name(policy.lane)[len("LANE_") :]


def test_the_daemon_knows_the_policy_of_every_method() -> None:
    assert sorted(METHODS) == sorted(each.path for each in ALL_METHODS)
    assert {path.split("/")[1] for path in METHODS} == set(SERVICES)


def test_a_method_that_says_nothing_is_for_admins_and_drained() -> None:
    assert read_methods([new_file()]) == {NEW: MethodPolicy(Role.ADMIN, Role.ADMIN, Lane.MUTATION)}


@pytest.mark.parametrize("path", [NEW, "/grpc.health.v1.Health/New", "/else/where", ""])
def test_a_method_that_nobody_knows_is_for_admins_and_drained(path: str) -> None:
    assert policy_of(path) == MethodPolicy(Role.ADMIN, Role.ADMIN, Lane.MUTATION)
    assert refused(check_method, LOADER, path, is_real=False)
    check_method(DAEMON, path, is_real=False)


def test_health_and_reflection_are_for_everybody() -> None:
    check_method(OBSERVER, "/grpc.health.v1.Health/Check", is_real=True)
    reflection = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"
    check_method(OBSERVER, reflection, is_real=True)
    assert policy_of(reflection).lane is Lane.STREAM


def test_the_log_of_a_real_kernel_is_for_admins() -> None:
    method = "/kmodd.v1.KernelLogService/ReadLog"
    check_method(OBSERVER, method, is_real=False)
    assert refused(check_method, OBSERVER, method, is_real=True) == "ReadLog takes the role admin"


@pytest.mark.parametrize("method", LOADERS, ids=str)
def test_a_loader_sets_no_field_that_is_not_marked_for_it(method: Method) -> None:
    marked = LOADER_FIELDS[method.request.DESCRIPTOR.full_name]
    for field in method.request.DESCRIPTOR.fields:
        request = request_with(method.request, field)
        check_fields(DAEMON, method.path, request)
        if field.name in marked:
            check_fields(GIVER, method.path, request)
        else:
            assert field.name in refused(check_fields, GIVER, method.path, request)


@pytest.mark.parametrize(
    "field", ["ignore_vermagic", "release", "kmod_exact", "ignore_install_commands"]
)
def test_what_a_hold_loads_is_held_to_the_marks_of_a_load(field: str) -> None:
    descriptor = pb.LoadModulesRequest.DESCRIPTOR.fields_by_name[field]
    load = request_with(pb.LoadModulesRequest, descriptor)
    assert field in refused(check_fields, GIVER, HOLD, pb.HoldModulesRequest(load=load))
    check_fields(GIVER, HOLD, pb.HoldModulesRequest(load=pb.LoadModulesRequest(names=["x"])))


def test_a_duration_is_a_value_like_any_other() -> None:
    request = pb.RemoveModuleRequest(name="x", wait=Duration(seconds=1))
    assert dict(set_fields(request)) == {"name": True, "wait": True}


def test_a_field_that_is_not_marked_is_refused_however_deep_it_is() -> None:
    file = new_file()
    request = GetMessageClass(file.message_types_by_name["Request"])
    deep = request(more=[request(), request(more=[request(name="x")])])
    assert list(set_fields(deep, read_loader_fields([file]))) == [("more", False)]
    marks = {"kmodd.v1.Request": frozenset({"more"})}
    assert ("name", False) in set(set_fields(deep, marks))
    assert ("name", True) not in set(set_fields(deep, marks))


def test_a_map_is_never_a_loaders_to_set() -> None:
    assert read_loader_fields([new_file()])["kmodd.v1.Request"] == frozenset()


@pytest.mark.parametrize("method", LOADERS, ids=str)
def test_what_is_open_to_loaders_takes_one_request_whose_fields_can_be_checked(
    method: Method,
) -> None:
    assert not method.streams_requests


def test_parameters_take_a_socket_that_allows_them() -> None:
    load = pb.LoadModulesRequest(names=["x"], parameters="y=1")
    assert "no parameters" in refused(check_fields, LOADER, LOAD, load)
    assert "no parameters" in refused(check_fields, LOADER, HOLD, pb.HoldModulesRequest(load=load))
    check_fields(GIVER, LOAD, load)
    check_fields(GIVER, HOLD, pb.HoldModulesRequest(load=load))


def test_a_steward_wishes_as_its_source_and_with_parameters_where_it_may_give_any() -> None:
    for parameters in (False, True):
        steward = Caller("/s", Role.STEWARD, ("*",), parameters=parameters, source="site")
        for source in ("site", "site.web", "site.web.1"):
            check_source(steward, source)
        for source in ("sites", "other", "other.site", ""):
            assert "not " + source in refused(check_source, steward, source)
        check_wished_parameters(steward, ())
        if parameters:
            check_wished_parameters(steward, ("a=1",))
            assert "no parameter" in refused(check_wished_parameters, steward, ("--x=1",))
        else:
            assert "no parameters" in refused(check_wished_parameters, steward, ("a=1",))
    check_source(DAEMON, "other")
    check_wished_parameters(DAEMON, ("a=1",))


@pytest.mark.parametrize("module", ["br_netfilter", "snd_bx"])
def test_a_loader_has_what_it_is_allowed(module: str) -> None:
    check_target(LOADER, module)


@pytest.mark.parametrize("module", ["ext4", "br_bad", "snd_dx", "BR_netfilter", ""])
def test_a_loader_has_nothing_else(module: str) -> None:
    assert module in refused(check_target, LOADER, module)


def test_what_a_module_needs_follows_it_unless_it_is_denied() -> None:
    check_needed(LOADER, "bridge")
    assert "may not have" in refused(check_needed, LOADER, "llc")
