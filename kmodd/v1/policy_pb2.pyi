from google.protobuf import descriptor_pb2 as _descriptor_pb2
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Role(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ROLE_UNSPECIFIED: _ClassVar[Role]
    ROLE_OBSERVER: _ClassVar[Role]
    ROLE_LOADER: _ClassVar[Role]
    ROLE_ADMIN: _ClassVar[Role]
    ROLE_NONE: _ClassVar[Role]
    ROLE_STEWARD: _ClassVar[Role]

class Lane(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    LANE_UNSPECIFIED: _ClassVar[Lane]
    LANE_READ: _ClassVar[Lane]
    LANE_MUTATION: _ClassVar[Lane]
    LANE_STREAM: _ClassVar[Lane]
    LANE_HOLD: _ClassVar[Lane]
ROLE_UNSPECIFIED: Role
ROLE_OBSERVER: Role
ROLE_LOADER: Role
ROLE_ADMIN: Role
ROLE_NONE: Role
ROLE_STEWARD: Role
LANE_UNSPECIFIED: Lane
LANE_READ: Lane
LANE_MUTATION: Lane
LANE_STREAM: Lane
LANE_HOLD: Lane
POLICY_FIELD_NUMBER: _ClassVar[int]
policy: _descriptor.FieldDescriptor
LOADER_MAY_SET_FIELD_NUMBER: _ClassVar[int]
loader_may_set: _descriptor.FieldDescriptor

class MethodPolicy(_message.Message):
    __slots__ = ("role", "role_on_real_kernel", "lane")
    ROLE_FIELD_NUMBER: _ClassVar[int]
    ROLE_ON_REAL_KERNEL_FIELD_NUMBER: _ClassVar[int]
    LANE_FIELD_NUMBER: _ClassVar[int]
    role: Role
    role_on_real_kernel: Role
    lane: Lane
    def __init__(self, role: _Optional[_Union[Role, str]] = ..., role_on_real_kernel: _Optional[_Union[Role, str]] = ..., lane: _Optional[_Union[Lane, str]] = ...) -> None: ...
