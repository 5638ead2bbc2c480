import datetime

from google.protobuf import duration_pb2 as _duration_pb2
from kmodd.v1 import database_service_pb2 as _database_service_pb2
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class KernelKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    KERNEL_KIND_UNSPECIFIED: _ClassVar[KernelKind]
    KERNEL_KIND_EMULATED: _ClassVar[KernelKind]
    KERNEL_KIND_LINUX: _ClassVar[KernelKind]

class Role(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ROLE_UNSPECIFIED: _ClassVar[Role]
    ROLE_OBSERVER: _ClassVar[Role]
    ROLE_LOADER: _ClassVar[Role]
    ROLE_ADMIN: _ClassVar[Role]
KERNEL_KIND_UNSPECIFIED: KernelKind
KERNEL_KIND_EMULATED: KernelKind
KERNEL_KIND_LINUX: KernelKind
ROLE_UNSPECIFIED: Role
ROLE_OBSERVER: Role
ROLE_LOADER: Role
ROLE_ADMIN: Role

class GetStatusRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetStatusResponse(_message.Message):
    __slots__ = ("version", "pid", "uptime", "kernel", "release", "root", "vermagic", "runs_init", "symbol_source", "loaded_count", "tree", "role", "epoch", "revision", "boot_id", "taint_mask", "taints")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    PID_FIELD_NUMBER: _ClassVar[int]
    UPTIME_FIELD_NUMBER: _ClassVar[int]
    KERNEL_FIELD_NUMBER: _ClassVar[int]
    RELEASE_FIELD_NUMBER: _ClassVar[int]
    ROOT_FIELD_NUMBER: _ClassVar[int]
    VERMAGIC_FIELD_NUMBER: _ClassVar[int]
    RUNS_INIT_FIELD_NUMBER: _ClassVar[int]
    SYMBOL_SOURCE_FIELD_NUMBER: _ClassVar[int]
    LOADED_COUNT_FIELD_NUMBER: _ClassVar[int]
    TREE_FIELD_NUMBER: _ClassVar[int]
    ROLE_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    BOOT_ID_FIELD_NUMBER: _ClassVar[int]
    TAINT_MASK_FIELD_NUMBER: _ClassVar[int]
    TAINTS_FIELD_NUMBER: _ClassVar[int]
    version: str
    pid: int
    uptime: _duration_pb2.Duration
    kernel: KernelKind
    release: str
    root: str
    vermagic: str
    runs_init: bool
    symbol_source: str
    loaded_count: int
    tree: _database_service_pb2.Tree
    role: Role
    epoch: str
    revision: int
    boot_id: str
    taint_mask: int
    taints: str
    def __init__(self, version: _Optional[str] = ..., pid: _Optional[int] = ..., uptime: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., kernel: _Optional[_Union[KernelKind, str]] = ..., release: _Optional[str] = ..., root: _Optional[str] = ..., vermagic: _Optional[str] = ..., runs_init: bool = ..., symbol_source: _Optional[str] = ..., loaded_count: _Optional[int] = ..., tree: _Optional[_Union[_database_service_pb2.Tree, _Mapping]] = ..., role: _Optional[_Union[Role, str]] = ..., epoch: _Optional[str] = ..., revision: _Optional[int] = ..., boot_id: _Optional[str] = ..., taint_mask: _Optional[int] = ..., taints: _Optional[str] = ...) -> None: ...
