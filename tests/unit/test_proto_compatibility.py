# SPDX-License-Identifier: Apache-2.0
"""The API keeps what was released, and a change that would not is told apart from one that may be.

Each change is made to the released descriptors themselves.
"""

import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
    FileDescriptorSet,
    MethodDescriptorProto,
    ServiceDescriptorProto,
)

from kmodd.v1 import policy_pb2
from tests.support.methods import FILES

PROTO = Path(__file__).parents[2] / "proto"

breaks = runpy.run_path(str(PROTO / "compatibility.py"))["breaks"]

POLICY: Any = policy_pb2.policy
LOADER_MAY_SET: Any = policy_pb2.loader_may_set


@pytest.fixture
def released() -> FileDescriptorSet:
    return FileDescriptorSet.FromString((PROTO / "released/kmodd.v1.binpb").read_bytes())


@pytest.fixture
def now() -> FileDescriptorSet:
    files = FileDescriptorSet()
    for file in FILES:
        file.CopyToProto(files.file.add())
    return files


@pytest.fixture
def api(released: FileDescriptorSet) -> "Api":
    return Api(copy_of(released))


def copy_of(files: FileDescriptorSet) -> FileDescriptorSet:
    copy = FileDescriptorSet()
    copy.CopyFrom(files)
    return copy


class Api:
    """An API to change: what is in its descriptors, by name."""

    def __init__(self, files: FileDescriptorSet) -> None:
        self.files = files

    def file(self, name: str) -> FileDescriptorProto:
        (found,) = (file for file in self.files.file if file.name == f"kmodd/v1/{name}.proto")
        return found

    def message(self, name: str) -> DescriptorProto:
        (found,) = (m for file in self.files.file for m in file.message_type if m.name == name)
        return found

    def field(self, message: str, name: str) -> FieldDescriptorProto:
        (found,) = (field for field in self.message(message).field if field.name == name)
        return found

    def enum(self, name: str) -> EnumDescriptorProto:
        (found,) = (e for file in self.files.file for e in file.enum_type if e.name == name)
        return found

    def service(self, name: str) -> ServiceDescriptorProto:
        (found,) = (s for file in self.files.file for s in file.service if s.name == name)
        return found

    def method(self, service: str, name: str) -> MethodDescriptorProto:
        (found,) = (method for method in self.service(service).method if method.name == name)
        return found


def test_the_api_keeps_what_was_released(
    released: FileDescriptorSet, now: FileDescriptorSet
) -> None:
    assert breaks(released, now) == []


def remove_message(api: Api) -> None:
    api.file("module_service").message_type.remove(api.message("Hold"))


def rename_message(api: Api) -> None:
    api.message("Hold").name = "Grip"


def remove_field(api: Api) -> None:
    api.message("Hold").field.remove(api.field("Hold", "note"))


def rename_field(api: Api) -> None:
    api.field("Hold", "note").name = "remark"


def renumber_field(api: Api) -> None:
    api.field("Hold", "note").number = 20


def retype_field(api: Api) -> None:
    api.field("Hold", "note").type = FieldDescriptorProto.TYPE_BYTES


def retype_message_field(api: Api) -> None:
    api.field("Hold", "began_time").type_name = ".google.protobuf.Duration"


def repeat_field(api: Api) -> None:
    api.field("Hold", "note").label = FieldDescriptorProto.LABEL_REPEATED


def give_field_presence(api: Api) -> None:
    message, field = api.message("Hold"), api.field("Hold", "note")
    message.oneof_decl.add(name="_note")
    field.proto3_optional, field.oneof_index = True, 0


def take_presence(api: Api) -> None:
    field = api.field("ReadLogRequest", "after_sequence")
    field.ClearField("proto3_optional")
    field.ClearField("oneof_index")


def rename_in_json(api: Api) -> None:
    api.field("Hold", "began_time").json_name = "began"


def move_into_oneof(api: Api) -> None:
    message = api.message("WatchModulesResponse")
    api.field("WatchModulesResponse", "time").oneof_index = len(message.oneof_decl) - 1


def remove_enum(api: Api) -> None:
    api.file("module_service").enum_type.remove(api.enum("ChangeKind"))


def remove_enum_value(api: Api) -> None:
    del api.enum("ChangeKind").value[1]


def renumber_enum_value(api: Api) -> None:
    api.enum("ChangeKind").value[1].number = 9


def remove_service(api: Api) -> None:
    del api.file("kernel_log_service").service[:]


def remove_method(api: Api) -> None:
    api.service("ModuleService").method.remove(api.method("ModuleService", "EndHold"))


def rename_method(api: Api) -> None:
    api.method("ModuleService", "EndHold").name = "StopHold"


def change_request(api: Api) -> None:
    api.method("ModuleService", "EndHold").input_type = ".kmodd.v1.Hold"


def change_response(api: Api) -> None:
    api.method("ModuleService", "EndHold").output_type = ".kmodd.v1.Hold"


def stream_requests(api: Api) -> None:
    api.method("ModuleService", "EndHold").client_streaming = True


def stream_responses(api: Api) -> None:
    api.method("ModuleService", "EndHold").server_streaming = True


def change_package(api: Api) -> None:
    api.file("errors").package = "kmodd.v2"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (remove_message, "Hold is gone"),
        (rename_message, "Hold is gone"),
        (remove_field, "Hold.note is gone"),
        (rename_field, "Hold.note is gone"),
        (renumber_field, "Hold.note: its number was 4 and is 20"),
        (retype_field, "Hold.note: its type was string and is bytes"),
        (
            retype_message_field,
            "Hold.began_time: its type was message .google.protobuf.Timestamp and is message "
            ".google.protobuf.Duration",
        ),
        (repeat_field, "Hold.note: its cardinality was singular and is repeated"),
        (give_field_presence, "Hold.note: its presence was implicit and is explicit"),
        (
            take_presence,
            "ReadLogRequest.after_sequence: its presence was explicit and is implicit",
        ),
        (rename_in_json, "Hold.began_time: its JSON name was beganTime and is began"),
        (move_into_oneof, "WatchModulesResponse.time: its oneof was none and is content"),
        (remove_enum, "ChangeKind is gone"),
        (remove_enum_value, "ChangeKind.CHANGE_KIND_LOADED is gone"),
        (renumber_enum_value, "ChangeKind.CHANGE_KIND_LOADED: its number was 1 and is 9"),
        (remove_service, "KernelLogService is gone"),
        (remove_method, "ModuleService.EndHold is gone"),
        (rename_method, "ModuleService.EndHold is gone"),
        (
            change_request,
            "ModuleService.EndHold: its request was .kmodd.v1.EndHoldRequest and is .kmodd.v1.Hold",
        ),
        (
            change_response,
            "ModuleService.EndHold: its response was .kmodd.v1.EndHoldResponse and is "
            ".kmodd.v1.Hold",
        ),
        (
            stream_requests,
            "ModuleService.EndHold: its streaming of requests was False and is True",
        ),
        (
            stream_responses,
            "ModuleService.EndHold: its streaming of responses was False and is True",
        ),
        (change_package, "ErrorReason is gone"),
    ],
)
def test_what_would_break_a_client_is_refused(
    released: FileDescriptorSet, api: Api, change: Callable[[Api], None], told: str
) -> None:
    change(api)
    assert f"kmodd.v1.{told}" in breaks(released, api.files)


def add_everything(api: Api) -> None:
    api.message("Hold").field.add(name="new", number=30, type=FieldDescriptorProto.TYPE_STRING)
    api.field("Hold", "new").label = FieldDescriptorProto.LABEL_OPTIONAL
    api.enum("ChangeKind").value.add(name="CHANGE_KIND_NEW", number=9)
    api.service("ModuleService").method.add(
        name="New", input_type=".kmodd.v1.Hold", output_type=".kmodd.v1.Hold"
    )
    api.files.file.add(name="kmodd/v1/new.proto", package="kmodd.v1").message_type.add(name="New")


def extend_oneof(api: Api) -> None:
    api.message("WatchModulesResponse").field.add(
        name="new", number=9, type=FieldDescriptorProto.TYPE_STRING, oneof_index=0
    )


def move_to_another_file(api: Api) -> None:
    api.file("errors").message_type.append(api.message("Hold"))
    message = api.file("module_service").message_type
    (here,) = (each for each in message if each.name == "Hold")
    message.remove(here)


@pytest.mark.parametrize("change", [add_everything, extend_oneof, move_to_another_file])
def test_what_breaks_nobody_passes(
    released: FileDescriptorSet, api: Api, change: Callable[[Api], None]
) -> None:
    change(api)
    assert breaks(released, api.files) == []
    assert api.files != released


def require_admins(api: Api) -> None:
    policy_of(api, "GetStatus").role = policy_pb2.ROLE_ADMIN


def forget_policy(api: Api) -> None:
    api.method("DaemonService", "GetStatus").ClearField("options")


def require_admins_on_a_real_kernel(api: Api) -> None:
    policy_of(api, "GetStatus").role_on_real_kernel = policy_pb2.ROLE_ADMIN


def forget_mark(api: Api) -> None:
    api.field("RemoveModuleRequest", "name").ClearField("options")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (
            require_admins,
            "DaemonService.GetStatus: its least role was ROLE_OBSERVER and is ROLE_ADMIN",
        ),
        (
            forget_policy,
            "DaemonService.GetStatus: its least role was ROLE_OBSERVER and is ROLE_ADMIN",
        ),
        (
            require_admins_on_a_real_kernel,
            "DaemonService.GetStatus: its least role on a real kernel was ROLE_OBSERVER and is "
            "ROLE_ADMIN",
        ),
        (
            forget_mark,
            "RemoveModuleRequest.name: its least role to set it was ROLE_LOADER and is ROLE_ADMIN",
        ),
    ],
)
def test_what_would_shut_somebody_out_is_refused(
    now: FileDescriptorSet, change: Callable[[Api], None], told: str
) -> None:
    api = Api(copy_of(now))
    change(api)
    assert f"kmodd.v1.{told}" in breaks(now, api.files)


def test_what_lets_somebody_in_passes(now: FileDescriptorSet) -> None:
    api = Api(copy_of(now))
    policy_of(api, "ListOperations").role = policy_pb2.ROLE_LOADER
    api.field("RemoveModuleRequest", "force").options.Extensions[LOADER_MAY_SET] = True
    assert breaks(now, api.files) == []
    assert len(breaks(api.files, now)) == 3


def policy_of(api: Api, method: str) -> Any:
    return api.method("DaemonService", method).options.Extensions[POLICY]


def test_the_released_api_bears_no_comments(released: FileDescriptorSet) -> None:
    assert released.file
    assert not any(file.HasField("source_code_info") for file in released.file)
