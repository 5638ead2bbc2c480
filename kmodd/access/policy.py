# SPDX-License-Identifier: Apache-2.0
"""What the API says of its methods and fields: who may call, with what, and in which lane.

It says so by the options of proto/kmodd/v1/policy.proto, which the descriptors bear; they are read
once. What bears none is for admins, and is bounded and drained as what changes something.
"""

import enum
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor, FileDescriptor, MethodDescriptor
from google.protobuf.message import Message

from kmodd.access.caller import Role
from kmodd.records import record
from kmodd.v1 import (
    daemon_service_pb2,
    database_service_pb2,
    emulation_service_pb2,
    kernel_log_service_pb2,
    module_service_pb2,
    policy_pb2,
    state_service_pb2,
)


class Lane(enum.Enum):
    """The kinds of calls, each of which has places of its own."""

    READ = "read"
    MUTATION = "mutation"
    STREAM = "stream"
    HOLD = "hold"


@record
class MethodPolicy:
    """Who may call a method, and how it is served."""

    role: Role = Role.ADMIN
    role_on_real_kernel: Role = Role.ADMIN
    lane: Lane = Lane.MUTATION

    @property
    def bounds_fields(self) -> bool:
        """Whether a loader may set only the fields that are marked for it.

        What an observer may call as well changes nothing, whatever is set.
        """
        return Role.LOADER in (self.role, self.role_on_real_kernel)


PACKAGE = "kmodd.v1"
"""The package of the API."""

UNMARKED = MethodPolicy()
"""The policy of a method that bears none, or that nobody knows."""


def read_methods(files: Iterable[FileDescriptor]) -> Mapping[str, MethodPolicy]:
    """Return the policy of each method of the services in ``files``, by its path."""
    return {
        f"/{service.full_name}/{method.name}": _policy(method)
        for file in files
        for service in file.services_by_name.values()
        for method in service.methods
    }


def read_loader_fields(files: Iterable[FileDescriptor]) -> Mapping[str, frozenset[str]]:
    """Return the fields that are marked for a loader, of each message in ``files`` by full name."""
    return {
        message.full_name: frozenset(field.name for field in message.fields if _is_marked(field))
        for file in files
        for top in file.message_types_by_name.values()
        for message in _with_nested(top)
    }


def _policy(method: MethodDescriptor) -> MethodPolicy:
    policy = _option(method, policy_pb2.policy)
    role = _role(policy.role, UNMARKED.role)
    lane = policy_pb2.Lane.Name(policy.lane).removeprefix("LANE_")
    return MethodPolicy(
        role,
        _role(policy.role_on_real_kernel, role),
        Lane[lane] if policy.lane else UNMARKED.lane,
    )


def _role(value: int, unspecified: Role) -> Role:
    return Role[policy_pb2.Role.Name(value).removeprefix("ROLE_")] if value else unspecified


def _is_marked(field: FieldDescriptor) -> bool:
    """Tell whether a loader may set ``field``; a map never, which nobody would look into."""
    message = field.message_type
    is_map = message is not None and message.GetOptions().map_entry
    return not is_map and bool(_option(field, policy_pb2.loader_may_set))


def _option(bearer: MethodDescriptor | FieldDescriptor, extension: Any) -> Any:
    """Return what ``bearer`` has for an extension of its options, the default where it has none."""
    return bearer.GetOptions().Extensions[extension]


def _with_nested(message: Descriptor) -> Iterator[Descriptor]:
    yield message
    for nested in message.nested_types:
        yield from _with_nested(nested)


API = tuple(
    file.DESCRIPTOR
    for file in (
        module_service_pb2,
        database_service_pb2,
        kernel_log_service_pb2,
        daemon_service_pb2,
        emulation_service_pb2,
        state_service_pb2,
    )
)
"""The files of the API that have its services and their requests."""

METHODS = read_methods(API)
"""The policy of each method of the API, by its path."""

LOADER_FIELDS = read_loader_fields(API)
"""The fields that are marked for a loader, of each message by its full name."""

FOREIGN_METHODS = {
    path: MethodPolicy(Role.OBSERVER, Role.OBSERVER, lane)
    for path, lane in (
        ("/grpc.health.v1.Health/Check", Lane.READ),
        ("/grpc.health.v1.Health/Watch", Lane.STREAM),
        ("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", Lane.STREAM),
    )
}
"""The same of the methods that the daemon serves and that are not its own, which bear no options.
They tell what every client may know."""


def policy_of(method: str) -> MethodPolicy:
    """Return the policy of ``method`` ("/package.Service/Method")."""
    return METHODS.get(method) or FOREIGN_METHODS.get(method, UNMARKED)


def set_fields(
    request: Message, marked: Mapping[str, frozenset[str]] = LOADER_FIELDS
) -> Iterator[tuple[str, bool]]:
    """Yield the name of each field that is set in ``request``, and whether a loader may set it.

    A message of the API in a field that a loader may set is looked at in the same way; one of
    another package, such as a Duration, is a value like any other.
    """
    if request.DESCRIPTOR.file.package != PACKAGE:
        return
    mine = marked.get(request.DESCRIPTOR.full_name, frozenset())
    for field, value in request.ListFields():
        yield field.name, field.name in mine
        if field.name in mine and field.message_type is not None:
            for each in value if field.is_repeated else (value,):
                yield from set_fields(each, marked)
