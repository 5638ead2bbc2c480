from kmodd.v1 import errors_pb2 as _errors_pb2
from kmodd.v1 import module_service_pb2 as _module_service_pb2
from kmodd.v1 import policy_pb2 as _policy_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class FileUse(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    FILE_USE_UNSPECIFIED: _ClassVar[FileUse]
    FILE_USE_READ: _ClassVar[FileUse]
    FILE_USE_WRITE: _ClassVar[FileUse]
    FILE_USE_CONTROL: _ClassVar[FileUse]
    FILE_USE_POLL: _ClassVar[FileUse]

class FileOrigin(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    FILE_ORIGIN_UNSPECIFIED: _ClassVar[FileOrigin]
    FILE_ORIGIN_START: _ClassVar[FileOrigin]
    FILE_ORIGIN_CURRENT: _ClassVar[FileOrigin]
    FILE_ORIGIN_END: _ClassVar[FileOrigin]

class CheckFindingKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CHECK_FINDING_KIND_UNSPECIFIED: _ClassVar[CheckFindingKind]
    CHECK_FINDING_KIND_OOPS: _ClassVar[CheckFindingKind]
    CHECK_FINDING_KIND_STUCK: _ClassVar[CheckFindingKind]
    CHECK_FINDING_KIND_LEAK: _ClassVar[CheckFindingKind]
    CHECK_FINDING_KIND_UNOWNED: _ClassVar[CheckFindingKind]
    CHECK_FINDING_KIND_IN_USE: _ClassVar[CheckFindingKind]
    CHECK_FINDING_KIND_IGNORED: _ClassVar[CheckFindingKind]
    CHECK_FINDING_KIND_UNDONE: _ClassVar[CheckFindingKind]
    CHECK_FINDING_KIND_BAD_RESULT: _ClassVar[CheckFindingKind]

class CheckPhase(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CHECK_PHASE_UNSPECIFIED: _ClassVar[CheckPhase]
    CHECK_PHASE_INIT: _ClassVar[CheckPhase]
    CHECK_PHASE_RUNNING: _ClassVar[CheckPhase]
    CHECK_PHASE_PROBE: _ClassVar[CheckPhase]
    CHECK_PHASE_REMOVE: _ClassVar[CheckPhase]
    CHECK_PHASE_EXIT: _ClassVar[CheckPhase]
FILE_USE_UNSPECIFIED: FileUse
FILE_USE_READ: FileUse
FILE_USE_WRITE: FileUse
FILE_USE_CONTROL: FileUse
FILE_USE_POLL: FileUse
FILE_ORIGIN_UNSPECIFIED: FileOrigin
FILE_ORIGIN_START: FileOrigin
FILE_ORIGIN_CURRENT: FileOrigin
FILE_ORIGIN_END: FileOrigin
CHECK_FINDING_KIND_UNSPECIFIED: CheckFindingKind
CHECK_FINDING_KIND_OOPS: CheckFindingKind
CHECK_FINDING_KIND_STUCK: CheckFindingKind
CHECK_FINDING_KIND_LEAK: CheckFindingKind
CHECK_FINDING_KIND_UNOWNED: CheckFindingKind
CHECK_FINDING_KIND_IN_USE: CheckFindingKind
CHECK_FINDING_KIND_IGNORED: CheckFindingKind
CHECK_FINDING_KIND_UNDONE: CheckFindingKind
CHECK_FINDING_KIND_BAD_RESULT: CheckFindingKind
CHECK_PHASE_UNSPECIFIED: CheckPhase
CHECK_PHASE_INIT: CheckPhase
CHECK_PHASE_RUNNING: CheckPhase
CHECK_PHASE_PROBE: CheckPhase
CHECK_PHASE_REMOVE: CheckPhase
CHECK_PHASE_EXIT: CheckPhase

class Device(_message.Message):
    __slots__ = ("name", "bus", "modalias", "driver", "driver_module", "probe_errno", "owner")
    NAME_FIELD_NUMBER: _ClassVar[int]
    BUS_FIELD_NUMBER: _ClassVar[int]
    MODALIAS_FIELD_NUMBER: _ClassVar[int]
    DRIVER_FIELD_NUMBER: _ClassVar[int]
    DRIVER_MODULE_FIELD_NUMBER: _ClassVar[int]
    PROBE_ERRNO_FIELD_NUMBER: _ClassVar[int]
    OWNER_FIELD_NUMBER: _ClassVar[int]
    name: str
    bus: str
    modalias: str
    driver: str
    driver_module: str
    probe_errno: int
    owner: str
    def __init__(self, name: _Optional[str] = ..., bus: _Optional[str] = ..., modalias: _Optional[str] = ..., driver: _Optional[str] = ..., driver_module: _Optional[str] = ..., probe_errno: _Optional[int] = ..., owner: _Optional[str] = ...) -> None: ...

class AddDeviceRequest(_message.Message):
    __slots__ = ("modalias",)
    MODALIAS_FIELD_NUMBER: _ClassVar[int]
    modalias: str
    def __init__(self, modalias: _Optional[str] = ...) -> None: ...

class AddDeviceResponse(_message.Message):
    __slots__ = ("device", "result")
    DEVICE_FIELD_NUMBER: _ClassVar[int]
    RESULT_FIELD_NUMBER: _ClassVar[int]
    device: Device
    result: _module_service_pb2.ModuleResult
    def __init__(self, device: _Optional[_Union[Device, _Mapping]] = ..., result: _Optional[_Union[_module_service_pb2.ModuleResult, _Mapping]] = ...) -> None: ...

class ListDevicesRequest(_message.Message):
    __slots__ = ("page_size", "page_token")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListDevicesResponse(_message.Message):
    __slots__ = ("devices", "next_page_token")
    DEVICES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    devices: _containers.RepeatedCompositeFieldContainer[Device]
    next_page_token: str
    def __init__(self, devices: _Optional[_Iterable[_Union[Device, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class RemoveDeviceRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class RemoveDeviceResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class RaiseInterruptRequest(_message.Message):
    __slots__ = ("number",)
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    number: int
    def __init__(self, number: _Optional[int] = ...) -> None: ...

class RaiseInterruptResponse(_message.Message):
    __slots__ = ("modules",)
    MODULES_FIELD_NUMBER: _ClassVar[int]
    modules: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, modules: _Optional[_Iterable[str]] = ...) -> None: ...

class KernelFile(_message.Message):
    __slots__ = ("path", "is_directory", "module", "mode", "is_device", "uses")
    PATH_FIELD_NUMBER: _ClassVar[int]
    IS_DIRECTORY_FIELD_NUMBER: _ClassVar[int]
    MODULE_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    IS_DEVICE_FIELD_NUMBER: _ClassVar[int]
    USES_FIELD_NUMBER: _ClassVar[int]
    path: str
    is_directory: bool
    module: str
    mode: int
    is_device: bool
    uses: _containers.RepeatedScalarFieldContainer[FileUse]
    def __init__(self, path: _Optional[str] = ..., is_directory: bool = ..., module: _Optional[str] = ..., mode: _Optional[int] = ..., is_device: bool = ..., uses: _Optional[_Iterable[_Union[FileUse, str]]] = ...) -> None: ...

class ListFilesRequest(_message.Message):
    __slots__ = ("path", "page_size", "page_token")
    PATH_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    path: str
    page_size: int
    page_token: str
    def __init__(self, path: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListFilesResponse(_message.Message):
    __slots__ = ("files", "next_page_token")
    FILES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    files: _containers.RepeatedCompositeFieldContainer[KernelFile]
    next_page_token: str
    def __init__(self, files: _Optional[_Iterable[_Union[KernelFile, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class UseFileRequest(_message.Message):
    __slots__ = ("open", "read", "write", "seek", "control", "poll")
    OPEN_FIELD_NUMBER: _ClassVar[int]
    READ_FIELD_NUMBER: _ClassVar[int]
    WRITE_FIELD_NUMBER: _ClassVar[int]
    SEEK_FIELD_NUMBER: _ClassVar[int]
    CONTROL_FIELD_NUMBER: _ClassVar[int]
    POLL_FIELD_NUMBER: _ClassVar[int]
    open: FileOpening
    read: FileReading
    write: FileWriting
    seek: FileSeeking
    control: FileControl
    poll: FilePolling
    def __init__(self, open: _Optional[_Union[FileOpening, _Mapping]] = ..., read: _Optional[_Union[FileReading, _Mapping]] = ..., write: _Optional[_Union[FileWriting, _Mapping]] = ..., seek: _Optional[_Union[FileSeeking, _Mapping]] = ..., control: _Optional[_Union[FileControl, _Mapping]] = ..., poll: _Optional[_Union[FilePolling, _Mapping]] = ...) -> None: ...

class FileOpening(_message.Message):
    __slots__ = ("path", "reads", "writes", "nonblocking")
    PATH_FIELD_NUMBER: _ClassVar[int]
    READS_FIELD_NUMBER: _ClassVar[int]
    WRITES_FIELD_NUMBER: _ClassVar[int]
    NONBLOCKING_FIELD_NUMBER: _ClassVar[int]
    path: str
    reads: bool
    writes: bool
    nonblocking: bool
    def __init__(self, path: _Optional[str] = ..., reads: bool = ..., writes: bool = ..., nonblocking: bool = ...) -> None: ...

class FileReading(_message.Message):
    __slots__ = ("size", "to_end")
    SIZE_FIELD_NUMBER: _ClassVar[int]
    TO_END_FIELD_NUMBER: _ClassVar[int]
    size: int
    to_end: bool
    def __init__(self, size: _Optional[int] = ..., to_end: bool = ...) -> None: ...

class FileWriting(_message.Message):
    __slots__ = ("data", "all")
    DATA_FIELD_NUMBER: _ClassVar[int]
    ALL_FIELD_NUMBER: _ClassVar[int]
    data: bytes
    all: bool
    def __init__(self, data: _Optional[bytes] = ..., all: bool = ...) -> None: ...

class FileSeeking(_message.Message):
    __slots__ = ("offset", "origin")
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    ORIGIN_FIELD_NUMBER: _ClassVar[int]
    offset: int
    origin: FileOrigin
    def __init__(self, offset: _Optional[int] = ..., origin: _Optional[_Union[FileOrigin, str]] = ...) -> None: ...

class FileControl(_message.Message):
    __slots__ = ("number", "value", "buffer")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    BUFFER_FIELD_NUMBER: _ClassVar[int]
    number: int
    value: int
    buffer: bytes
    def __init__(self, number: _Optional[int] = ..., value: _Optional[int] = ..., buffer: _Optional[bytes] = ...) -> None: ...

class FilePolling(_message.Message):
    __slots__ = ("events", "milliseconds")
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    MILLISECONDS_FIELD_NUMBER: _ClassVar[int]
    events: int
    milliseconds: int
    def __init__(self, events: _Optional[int] = ..., milliseconds: _Optional[int] = ...) -> None: ...

class UseFileResponse(_message.Message):
    __slots__ = ("opened", "data", "written", "position", "controlled", "ready", "failure")
    OPENED_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    WRITTEN_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    CONTROLLED_FIELD_NUMBER: _ClassVar[int]
    READY_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    opened: FileOpened
    data: FileData
    written: FileWritten
    position: FilePosition
    controlled: FileControlled
    ready: FileReadiness
    failure: _errors_pb2.Failure
    def __init__(self, opened: _Optional[_Union[FileOpened, _Mapping]] = ..., data: _Optional[_Union[FileData, _Mapping]] = ..., written: _Optional[_Union[FileWritten, _Mapping]] = ..., position: _Optional[_Union[FilePosition, _Mapping]] = ..., controlled: _Optional[_Union[FileControlled, _Mapping]] = ..., ready: _Optional[_Union[FileReadiness, _Mapping]] = ..., failure: _Optional[_Union[_errors_pb2.Failure, _Mapping]] = ...) -> None: ...

class FileOpened(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class FileData(_message.Message):
    __slots__ = ("data", "returned")
    DATA_FIELD_NUMBER: _ClassVar[int]
    RETURNED_FIELD_NUMBER: _ClassVar[int]
    data: bytes
    returned: int
    def __init__(self, data: _Optional[bytes] = ..., returned: _Optional[int] = ...) -> None: ...

class FileWritten(_message.Message):
    __slots__ = ("size",)
    SIZE_FIELD_NUMBER: _ClassVar[int]
    size: int
    def __init__(self, size: _Optional[int] = ...) -> None: ...

class FilePosition(_message.Message):
    __slots__ = ("position",)
    POSITION_FIELD_NUMBER: _ClassVar[int]
    position: int
    def __init__(self, position: _Optional[int] = ...) -> None: ...

class FileControlled(_message.Message):
    __slots__ = ("result", "buffer")
    RESULT_FIELD_NUMBER: _ClassVar[int]
    BUFFER_FIELD_NUMBER: _ClassVar[int]
    result: int
    buffer: bytes
    def __init__(self, result: _Optional[int] = ..., buffer: _Optional[bytes] = ...) -> None: ...

class FileReadiness(_message.Message):
    __slots__ = ("events",)
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    events: int
    def __init__(self, events: _Optional[int] = ...) -> None: ...

class CheckModuleRequest(_message.Message):
    __slots__ = ("header", "chunk")
    HEADER_FIELD_NUMBER: _ClassVar[int]
    CHUNK_FIELD_NUMBER: _ClassVar[int]
    header: CheckModuleHeader
    chunk: bytes
    def __init__(self, header: _Optional[_Union[CheckModuleHeader, _Mapping]] = ..., chunk: _Optional[bytes] = ...) -> None: ...

class CheckModuleHeader(_message.Message):
    __slots__ = ("module", "file_name", "parameters", "pairs", "runs_max")
    MODULE_FIELD_NUMBER: _ClassVar[int]
    FILE_NAME_FIELD_NUMBER: _ClassVar[int]
    PARAMETERS_FIELD_NUMBER: _ClassVar[int]
    PAIRS_FIELD_NUMBER: _ClassVar[int]
    RUNS_MAX_FIELD_NUMBER: _ClassVar[int]
    module: str
    file_name: str
    parameters: str
    pairs: bool
    runs_max: int
    def __init__(self, module: _Optional[str] = ..., file_name: _Optional[str] = ..., parameters: _Optional[str] = ..., pairs: bool = ..., runs_max: _Optional[int] = ...) -> None: ...

class CheckModuleResponse(_message.Message):
    __slots__ = ("progress", "report")
    PROGRESS_FIELD_NUMBER: _ClassVar[int]
    REPORT_FIELD_NUMBER: _ClassVar[int]
    progress: CheckProgress
    report: CheckReport
    def __init__(self, progress: _Optional[_Union[CheckProgress, _Mapping]] = ..., report: _Optional[_Union[CheckReport, _Mapping]] = ...) -> None: ...

class CheckProgress(_message.Message):
    __slots__ = ("runs_done", "runs_total")
    RUNS_DONE_FIELD_NUMBER: _ClassVar[int]
    RUNS_TOTAL_FIELD_NUMBER: _ClassVar[int]
    runs_done: int
    runs_total: int
    def __init__(self, runs_done: _Optional[int] = ..., runs_total: _Optional[int] = ...) -> None: ...

class CheckReport(_message.Message):
    __slots__ = ("module", "findings", "runs", "runs_left_out", "calls_failed", "devices", "functions_not_checked", "runs_untold", "untold_reason")
    MODULE_FIELD_NUMBER: _ClassVar[int]
    FINDINGS_FIELD_NUMBER: _ClassVar[int]
    RUNS_FIELD_NUMBER: _ClassVar[int]
    RUNS_LEFT_OUT_FIELD_NUMBER: _ClassVar[int]
    CALLS_FAILED_FIELD_NUMBER: _ClassVar[int]
    DEVICES_FIELD_NUMBER: _ClassVar[int]
    FUNCTIONS_NOT_CHECKED_FIELD_NUMBER: _ClassVar[int]
    RUNS_UNTOLD_FIELD_NUMBER: _ClassVar[int]
    UNTOLD_REASON_FIELD_NUMBER: _ClassVar[int]
    module: str
    findings: _containers.RepeatedCompositeFieldContainer[CheckFinding]
    runs: int
    runs_left_out: int
    calls_failed: int
    devices: _containers.RepeatedScalarFieldContainer[str]
    functions_not_checked: _containers.RepeatedScalarFieldContainer[str]
    runs_untold: int
    untold_reason: str
    def __init__(self, module: _Optional[str] = ..., findings: _Optional[_Iterable[_Union[CheckFinding, _Mapping]]] = ..., runs: _Optional[int] = ..., runs_left_out: _Optional[int] = ..., calls_failed: _Optional[int] = ..., devices: _Optional[_Iterable[str]] = ..., functions_not_checked: _Optional[_Iterable[str]] = ..., runs_untold: _Optional[int] = ..., untold_reason: _Optional[str] = ...) -> None: ...

class CheckFinding(_message.Message):
    __slots__ = ("kind", "what", "place", "phase", "rule", "failed", "device", "result", "runs", "log_lines")
    KIND_FIELD_NUMBER: _ClassVar[int]
    WHAT_FIELD_NUMBER: _ClassVar[int]
    PLACE_FIELD_NUMBER: _ClassVar[int]
    PHASE_FIELD_NUMBER: _ClassVar[int]
    RULE_FIELD_NUMBER: _ClassVar[int]
    FAILED_FIELD_NUMBER: _ClassVar[int]
    DEVICE_FIELD_NUMBER: _ClassVar[int]
    RESULT_FIELD_NUMBER: _ClassVar[int]
    RUNS_FIELD_NUMBER: _ClassVar[int]
    LOG_LINES_FIELD_NUMBER: _ClassVar[int]
    kind: CheckFindingKind
    what: str
    place: CodePlace
    phase: CheckPhase
    rule: str
    failed: _containers.RepeatedCompositeFieldContainer[FailedCall]
    device: str
    result: int
    runs: int
    log_lines: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, kind: _Optional[_Union[CheckFindingKind, str]] = ..., what: _Optional[str] = ..., place: _Optional[_Union[CodePlace, _Mapping]] = ..., phase: _Optional[_Union[CheckPhase, str]] = ..., rule: _Optional[str] = ..., failed: _Optional[_Iterable[_Union[FailedCall, _Mapping]]] = ..., device: _Optional[str] = ..., result: _Optional[int] = ..., runs: _Optional[int] = ..., log_lines: _Optional[_Iterable[str]] = ...) -> None: ...

class FailedCall(_message.Message):
    __slots__ = ("function", "failure", "place", "phase")
    FUNCTION_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    PLACE_FIELD_NUMBER: _ClassVar[int]
    PHASE_FIELD_NUMBER: _ClassVar[int]
    function: str
    failure: str
    place: CodePlace
    phase: CheckPhase
    def __init__(self, function: _Optional[str] = ..., failure: _Optional[str] = ..., place: _Optional[_Union[CodePlace, _Mapping]] = ..., phase: _Optional[_Union[CheckPhase, str]] = ...) -> None: ...

class CodePlace(_message.Message):
    __slots__ = ("function", "offset", "file", "line")
    FUNCTION_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    FILE_FIELD_NUMBER: _ClassVar[int]
    LINE_FIELD_NUMBER: _ClassVar[int]
    function: str
    offset: int
    file: str
    line: int
    def __init__(self, function: _Optional[str] = ..., offset: _Optional[int] = ..., file: _Optional[str] = ..., line: _Optional[int] = ...) -> None: ...
