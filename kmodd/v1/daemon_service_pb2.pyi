import datetime

from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from kmodd.v1 import caller_pb2 as _caller_pb2
from kmodd.v1 import database_service_pb2 as _database_service_pb2
from kmodd.v1 import module_service_pb2 as _module_service_pb2
from kmodd.v1 import policy_pb2 as _policy_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union
from kmodd.v1.policy_pb2 import MethodPolicy as MethodPolicy
from kmodd.v1.policy_pb2 import Role as Role
from kmodd.v1.policy_pb2 import Lane as Lane

DESCRIPTOR: _descriptor.FileDescriptor
POLICY_FIELD_NUMBER: _ClassVar[int]
policy: _descriptor.FieldDescriptor
LOADER_MAY_SET_FIELD_NUMBER: _ClassVar[int]
loader_may_set: _descriptor.FieldDescriptor
ROLE_UNSPECIFIED: _policy_pb2.Role
ROLE_OBSERVER: _policy_pb2.Role
ROLE_LOADER: _policy_pb2.Role
ROLE_ADMIN: _policy_pb2.Role
ROLE_NONE: _policy_pb2.Role
ROLE_STEWARD: _policy_pb2.Role
LANE_UNSPECIFIED: _policy_pb2.Lane
LANE_READ: _policy_pb2.Lane
LANE_MUTATION: _policy_pb2.Lane
LANE_STREAM: _policy_pb2.Lane
LANE_HOLD: _policy_pb2.Lane

class KernelKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    KERNEL_KIND_UNSPECIFIED: _ClassVar[KernelKind]
    KERNEL_KIND_EMULATED: _ClassVar[KernelKind]
    KERNEL_KIND_LINUX: _ClassVar[KernelKind]
    KERNEL_KIND_VM: _ClassVar[KernelKind]

class MetricKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    METRIC_KIND_UNSPECIFIED: _ClassVar[MetricKind]
    METRIC_KIND_COUNTER: _ClassVar[MetricKind]
    METRIC_KIND_GAUGE: _ClassVar[MetricKind]
    METRIC_KIND_HISTOGRAM: _ClassVar[MetricKind]
KERNEL_KIND_UNSPECIFIED: KernelKind
KERNEL_KIND_EMULATED: KernelKind
KERNEL_KIND_LINUX: KernelKind
KERNEL_KIND_VM: KernelKind
METRIC_KIND_UNSPECIFIED: MetricKind
METRIC_KIND_COUNTER: MetricKind
METRIC_KIND_GAUGE: MetricKind
METRIC_KIND_HISTOGRAM: MetricKind

class GetStatusRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Label(_message.Message):
    __slots__ = ("name", "value")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    name: str
    value: str
    def __init__(self, name: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...

class GetStatusResponse(_message.Message):
    __slots__ = ("version", "pid", "uptime", "kernel", "release", "root", "vermagic", "runs_init", "symbol_source", "loaded_count", "tree", "role", "epoch", "revision", "boot_id", "taint_mask", "taints", "asked_count", "dependency_count", "operation_count", "hold_count", "watch_count", "thread_count", "open_file_count", "oldest_revision", "newest_revision", "start_failures", "why_not_run", "kmod_exact", "tree_refusal", "hotplug_count", "hotplug", "others_count", "refusal", "seal", "wish_count", "unfulfilled_count", "labels")
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
    ASKED_COUNT_FIELD_NUMBER: _ClassVar[int]
    DEPENDENCY_COUNT_FIELD_NUMBER: _ClassVar[int]
    OPERATION_COUNT_FIELD_NUMBER: _ClassVar[int]
    HOLD_COUNT_FIELD_NUMBER: _ClassVar[int]
    WATCH_COUNT_FIELD_NUMBER: _ClassVar[int]
    THREAD_COUNT_FIELD_NUMBER: _ClassVar[int]
    OPEN_FILE_COUNT_FIELD_NUMBER: _ClassVar[int]
    OLDEST_REVISION_FIELD_NUMBER: _ClassVar[int]
    NEWEST_REVISION_FIELD_NUMBER: _ClassVar[int]
    START_FAILURES_FIELD_NUMBER: _ClassVar[int]
    WHY_NOT_RUN_FIELD_NUMBER: _ClassVar[int]
    KMOD_EXACT_FIELD_NUMBER: _ClassVar[int]
    TREE_REFUSAL_FIELD_NUMBER: _ClassVar[int]
    HOTPLUG_COUNT_FIELD_NUMBER: _ClassVar[int]
    HOTPLUG_FIELD_NUMBER: _ClassVar[int]
    OTHERS_COUNT_FIELD_NUMBER: _ClassVar[int]
    REFUSAL_FIELD_NUMBER: _ClassVar[int]
    SEAL_FIELD_NUMBER: _ClassVar[int]
    WISH_COUNT_FIELD_NUMBER: _ClassVar[int]
    UNFULFILLED_COUNT_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
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
    role: _policy_pb2.Role
    epoch: str
    revision: int
    boot_id: str
    taint_mask: int
    taints: str
    asked_count: int
    dependency_count: int
    operation_count: int
    hold_count: int
    watch_count: int
    thread_count: int
    open_file_count: int
    oldest_revision: int
    newest_revision: int
    start_failures: _containers.RepeatedScalarFieldContainer[str]
    why_not_run: str
    kmod_exact: bool
    tree_refusal: str
    hotplug_count: int
    hotplug: bool
    others_count: int
    refusal: str
    seal: Seal
    wish_count: int
    unfulfilled_count: int
    labels: _containers.RepeatedCompositeFieldContainer[Label]
    def __init__(self, version: _Optional[str] = ..., pid: _Optional[int] = ..., uptime: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., kernel: _Optional[_Union[KernelKind, str]] = ..., release: _Optional[str] = ..., root: _Optional[str] = ..., vermagic: _Optional[str] = ..., runs_init: bool = ..., symbol_source: _Optional[str] = ..., loaded_count: _Optional[int] = ..., tree: _Optional[_Union[_database_service_pb2.Tree, _Mapping]] = ..., role: _Optional[_Union[_policy_pb2.Role, str]] = ..., epoch: _Optional[str] = ..., revision: _Optional[int] = ..., boot_id: _Optional[str] = ..., taint_mask: _Optional[int] = ..., taints: _Optional[str] = ..., asked_count: _Optional[int] = ..., dependency_count: _Optional[int] = ..., operation_count: _Optional[int] = ..., hold_count: _Optional[int] = ..., watch_count: _Optional[int] = ..., thread_count: _Optional[int] = ..., open_file_count: _Optional[int] = ..., oldest_revision: _Optional[int] = ..., newest_revision: _Optional[int] = ..., start_failures: _Optional[_Iterable[str]] = ..., why_not_run: _Optional[str] = ..., kmod_exact: bool = ..., tree_refusal: _Optional[str] = ..., hotplug_count: _Optional[int] = ..., hotplug: bool = ..., others_count: _Optional[int] = ..., refusal: _Optional[str] = ..., seal: _Optional[_Union[Seal, _Mapping]] = ..., wish_count: _Optional[int] = ..., unfulfilled_count: _Optional[int] = ..., labels: _Optional[_Iterable[_Union[Label, _Mapping]]] = ...) -> None: ...

class SealRequest(_message.Message):
    __slots__ = ("check",)
    CHECK_FIELD_NUMBER: _ClassVar[int]
    check: bool
    def __init__(self, check: bool = ...) -> None: ...

class Seal(_message.Message):
    __slots__ = ("time", "by")
    TIME_FIELD_NUMBER: _ClassVar[int]
    BY_FIELD_NUMBER: _ClassVar[int]
    time: _timestamp_pb2.Timestamp
    by: str
    def __init__(self, time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., by: _Optional[str] = ...) -> None: ...

class MissingModule(_message.Message):
    __slots__ = ("name", "wanted_by")
    NAME_FIELD_NUMBER: _ClassVar[int]
    WANTED_BY_FIELD_NUMBER: _ClassVar[int]
    name: str
    wanted_by: str
    def __init__(self, name: _Optional[str] = ..., wanted_by: _Optional[str] = ...) -> None: ...

class SealResponse(_message.Message):
    __slots__ = ("seal", "missing")
    SEAL_FIELD_NUMBER: _ClassVar[int]
    MISSING_FIELD_NUMBER: _ClassVar[int]
    seal: Seal
    missing: _containers.RepeatedCompositeFieldContainer[MissingModule]
    def __init__(self, seal: _Optional[_Union[Seal, _Mapping]] = ..., missing: _Optional[_Iterable[_Union[MissingModule, _Mapping]]] = ...) -> None: ...

class ListOperationsRequest(_message.Message):
    __slots__ = ("page_size", "page_token")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class Operation(_message.Message):
    __slots__ = ("number", "action", "what", "socket", "role", "began_time", "parent", "module", "command", "waits_for_module", "waits_for_operation", "pinned_modules", "caller", "origin")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    ACTION_FIELD_NUMBER: _ClassVar[int]
    WHAT_FIELD_NUMBER: _ClassVar[int]
    SOCKET_FIELD_NUMBER: _ClassVar[int]
    ROLE_FIELD_NUMBER: _ClassVar[int]
    BEGAN_TIME_FIELD_NUMBER: _ClassVar[int]
    PARENT_FIELD_NUMBER: _ClassVar[int]
    MODULE_FIELD_NUMBER: _ClassVar[int]
    COMMAND_FIELD_NUMBER: _ClassVar[int]
    WAITS_FOR_MODULE_FIELD_NUMBER: _ClassVar[int]
    WAITS_FOR_OPERATION_FIELD_NUMBER: _ClassVar[int]
    PINNED_MODULES_FIELD_NUMBER: _ClassVar[int]
    CALLER_FIELD_NUMBER: _ClassVar[int]
    ORIGIN_FIELD_NUMBER: _ClassVar[int]
    number: int
    action: _module_service_pb2.OperationAction
    what: str
    socket: str
    role: str
    began_time: _timestamp_pb2.Timestamp
    parent: int
    module: str
    command: str
    waits_for_module: str
    waits_for_operation: int
    pinned_modules: _containers.RepeatedScalarFieldContainer[str]
    caller: _caller_pb2.Caller
    origin: str
    def __init__(self, number: _Optional[int] = ..., action: _Optional[_Union[_module_service_pb2.OperationAction, str]] = ..., what: _Optional[str] = ..., socket: _Optional[str] = ..., role: _Optional[str] = ..., began_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., parent: _Optional[int] = ..., module: _Optional[str] = ..., command: _Optional[str] = ..., waits_for_module: _Optional[str] = ..., waits_for_operation: _Optional[int] = ..., pinned_modules: _Optional[_Iterable[str]] = ..., caller: _Optional[_Union[_caller_pb2.Caller, _Mapping]] = ..., origin: _Optional[str] = ...) -> None: ...

class ListOperationsResponse(_message.Message):
    __slots__ = ("operations", "next_page_token")
    OPERATIONS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    operations: _containers.RepeatedCompositeFieldContainer[Operation]
    next_page_token: str
    def __init__(self, operations: _Optional[_Iterable[_Union[Operation, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class WhoAmIRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class WhoAmIResponse(_message.Message):
    __slots__ = ("socket", "role", "caller", "allowed_modules", "denied_modules", "may_give_parameters", "methods", "wish_source")
    SOCKET_FIELD_NUMBER: _ClassVar[int]
    ROLE_FIELD_NUMBER: _ClassVar[int]
    CALLER_FIELD_NUMBER: _ClassVar[int]
    ALLOWED_MODULES_FIELD_NUMBER: _ClassVar[int]
    DENIED_MODULES_FIELD_NUMBER: _ClassVar[int]
    MAY_GIVE_PARAMETERS_FIELD_NUMBER: _ClassVar[int]
    METHODS_FIELD_NUMBER: _ClassVar[int]
    WISH_SOURCE_FIELD_NUMBER: _ClassVar[int]
    socket: str
    role: _policy_pb2.Role
    caller: _caller_pb2.Caller
    allowed_modules: _containers.RepeatedScalarFieldContainer[str]
    denied_modules: _containers.RepeatedScalarFieldContainer[str]
    may_give_parameters: bool
    methods: _containers.RepeatedScalarFieldContainer[str]
    wish_source: str
    def __init__(self, socket: _Optional[str] = ..., role: _Optional[_Union[_policy_pb2.Role, str]] = ..., caller: _Optional[_Union[_caller_pb2.Caller, _Mapping]] = ..., allowed_modules: _Optional[_Iterable[str]] = ..., denied_modules: _Optional[_Iterable[str]] = ..., may_give_parameters: bool = ..., methods: _Optional[_Iterable[str]] = ..., wish_source: _Optional[str] = ...) -> None: ...

class GetMetricsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class MetricLabel(_message.Message):
    __slots__ = ("name", "value")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    name: str
    value: str
    def __init__(self, name: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...

class MetricSample(_message.Message):
    __slots__ = ("name", "labels", "value")
    NAME_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    name: str
    labels: _containers.RepeatedCompositeFieldContainer[MetricLabel]
    value: float
    def __init__(self, name: _Optional[str] = ..., labels: _Optional[_Iterable[_Union[MetricLabel, _Mapping]]] = ..., value: _Optional[float] = ...) -> None: ...

class MetricFamily(_message.Message):
    __slots__ = ("name", "kind", "unit", "help", "samples")
    NAME_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    UNIT_FIELD_NUMBER: _ClassVar[int]
    HELP_FIELD_NUMBER: _ClassVar[int]
    SAMPLES_FIELD_NUMBER: _ClassVar[int]
    name: str
    kind: MetricKind
    unit: str
    help: str
    samples: _containers.RepeatedCompositeFieldContainer[MetricSample]
    def __init__(self, name: _Optional[str] = ..., kind: _Optional[_Union[MetricKind, str]] = ..., unit: _Optional[str] = ..., help: _Optional[str] = ..., samples: _Optional[_Iterable[_Union[MetricSample, _Mapping]]] = ...) -> None: ...

class GetMetricsResponse(_message.Message):
    __slots__ = ("families",)
    FAMILIES_FIELD_NUMBER: _ClassVar[int]
    families: _containers.RepeatedCompositeFieldContainer[MetricFamily]
    def __init__(self, families: _Optional[_Iterable[_Union[MetricFamily, _Mapping]]] = ...) -> None: ...
