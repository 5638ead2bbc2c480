from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ErrorReason(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ERROR_REASON_UNSPECIFIED: _ClassVar[ErrorReason]
    ERROR_REASON_MODULE_NOT_FOUND: _ClassVar[ErrorReason]
    ERROR_REASON_MODULE_NOT_LOADED: _ClassVar[ErrorReason]
    ERROR_REASON_MODULE_ALREADY_LOADED: _ClassVar[ErrorReason]
    ERROR_REASON_MODULE_IN_USE: _ClassVar[ErrorReason]
    ERROR_REASON_MODULE_BUSY: _ClassVar[ErrorReason]
    ERROR_REASON_MODULE_BUILTIN: _ClassVar[ErrorReason]
    ERROR_REASON_MODULE_CHANGED: _ClassVar[ErrorReason]
    ERROR_REASON_INVALID_MODULE_FILE: _ClassVar[ErrorReason]
    ERROR_REASON_INVALID_MODULE_FORMAT: _ClassVar[ErrorReason]
    ERROR_REASON_UNKNOWN_SYMBOL: _ClassVar[ErrorReason]
    ERROR_REASON_SYMBOL_VERSION_MISMATCH: _ClassVar[ErrorReason]
    ERROR_REASON_INVALID_PARAMETER: _ClassVar[ErrorReason]
    ERROR_REASON_INVALID_NAME: _ClassVar[ErrorReason]
    ERROR_REASON_INVALID_REQUEST: _ClassVar[ErrorReason]
    ERROR_REASON_KERNEL_REFUSED: _ClassVar[ErrorReason]
    ERROR_REASON_TREE_NOT_FOUND: _ClassVar[ErrorReason]
    ERROR_REASON_TREE_UNREADABLE: _ClassVar[ErrorReason]
    ERROR_REASON_TREE_NOT_WRITABLE: _ClassVar[ErrorReason]
    ERROR_REASON_DEPENDENCY_CYCLE: _ClassVar[ErrorReason]
    ERROR_REASON_IMAGE_TOO_LARGE: _ClassVar[ErrorReason]
    ERROR_REASON_UPLOAD_STALLED: _ClassVar[ErrorReason]
    ERROR_REASON_LIMIT_REACHED: _ClassVar[ErrorReason]
    ERROR_REASON_SHUTTING_DOWN: _ClassVar[ErrorReason]
    ERROR_REASON_INTERNAL: _ClassVar[ErrorReason]
    ERROR_REASON_COMMAND_REFUSED: _ClassVar[ErrorReason]
    ERROR_REASON_MODULE_DENIED: _ClassVar[ErrorReason]
    ERROR_REASON_COMMAND_FAILED: _ClassVar[ErrorReason]
    ERROR_REASON_COMMAND_TIMED_OUT: _ClassVar[ErrorReason]
    ERROR_REASON_COMMAND_LOOP: _ClassVar[ErrorReason]
    ERROR_REASON_OPERATION_ENDED: _ClassVar[ErrorReason]
    ERROR_REASON_ACCESS_DENIED: _ClassVar[ErrorReason]
    ERROR_REASON_KERNEL_PANIC: _ClassVar[ErrorReason]
    ERROR_REASON_PARAMETER_NOT_FOUND: _ClassVar[ErrorReason]
    ERROR_REASON_MODULE_HELD: _ClassVar[ErrorReason]
    ERROR_REASON_HOLD_NOT_FOUND: _ClassVar[ErrorReason]
    ERROR_REASON_HOLD_ENDED: _ClassVar[ErrorReason]
    ERROR_REASON_EVENTS_GONE: _ClassVar[ErrorReason]
    ERROR_REASON_READER_TOO_SLOW: _ClassVar[ErrorReason]
    ERROR_REASON_MODULE_CRASHED: _ClassVar[ErrorReason]
    ERROR_REASON_DEVICE_NOT_FOUND: _ClassVar[ErrorReason]
    ERROR_REASON_FILE_NOT_FOUND: _ClassVar[ErrorReason]
    ERROR_REASON_CALLER_GONE: _ClassVar[ErrorReason]
    ERROR_REASON_MODULES_DISABLED: _ClassVar[ErrorReason]

class StepKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    STEP_KIND_UNSPECIFIED: _ClassVar[StepKind]
    STEP_KIND_INSERT: _ClassVar[StepKind]
    STEP_KIND_REMOVE: _ClassVar[StepKind]
    STEP_KIND_BUILTIN: _ClassVar[StepKind]
    STEP_KIND_COMMAND: _ClassVar[StepKind]
ERROR_REASON_UNSPECIFIED: ErrorReason
ERROR_REASON_MODULE_NOT_FOUND: ErrorReason
ERROR_REASON_MODULE_NOT_LOADED: ErrorReason
ERROR_REASON_MODULE_ALREADY_LOADED: ErrorReason
ERROR_REASON_MODULE_IN_USE: ErrorReason
ERROR_REASON_MODULE_BUSY: ErrorReason
ERROR_REASON_MODULE_BUILTIN: ErrorReason
ERROR_REASON_MODULE_CHANGED: ErrorReason
ERROR_REASON_INVALID_MODULE_FILE: ErrorReason
ERROR_REASON_INVALID_MODULE_FORMAT: ErrorReason
ERROR_REASON_UNKNOWN_SYMBOL: ErrorReason
ERROR_REASON_SYMBOL_VERSION_MISMATCH: ErrorReason
ERROR_REASON_INVALID_PARAMETER: ErrorReason
ERROR_REASON_INVALID_NAME: ErrorReason
ERROR_REASON_INVALID_REQUEST: ErrorReason
ERROR_REASON_KERNEL_REFUSED: ErrorReason
ERROR_REASON_TREE_NOT_FOUND: ErrorReason
ERROR_REASON_TREE_UNREADABLE: ErrorReason
ERROR_REASON_TREE_NOT_WRITABLE: ErrorReason
ERROR_REASON_DEPENDENCY_CYCLE: ErrorReason
ERROR_REASON_IMAGE_TOO_LARGE: ErrorReason
ERROR_REASON_UPLOAD_STALLED: ErrorReason
ERROR_REASON_LIMIT_REACHED: ErrorReason
ERROR_REASON_SHUTTING_DOWN: ErrorReason
ERROR_REASON_INTERNAL: ErrorReason
ERROR_REASON_COMMAND_REFUSED: ErrorReason
ERROR_REASON_MODULE_DENIED: ErrorReason
ERROR_REASON_COMMAND_FAILED: ErrorReason
ERROR_REASON_COMMAND_TIMED_OUT: ErrorReason
ERROR_REASON_COMMAND_LOOP: ErrorReason
ERROR_REASON_OPERATION_ENDED: ErrorReason
ERROR_REASON_ACCESS_DENIED: ErrorReason
ERROR_REASON_KERNEL_PANIC: ErrorReason
ERROR_REASON_PARAMETER_NOT_FOUND: ErrorReason
ERROR_REASON_MODULE_HELD: ErrorReason
ERROR_REASON_HOLD_NOT_FOUND: ErrorReason
ERROR_REASON_HOLD_ENDED: ErrorReason
ERROR_REASON_EVENTS_GONE: ErrorReason
ERROR_REASON_READER_TOO_SLOW: ErrorReason
ERROR_REASON_MODULE_CRASHED: ErrorReason
ERROR_REASON_DEVICE_NOT_FOUND: ErrorReason
ERROR_REASON_FILE_NOT_FOUND: ErrorReason
ERROR_REASON_CALLER_GONE: ErrorReason
ERROR_REASON_MODULES_DISABLED: ErrorReason
STEP_KIND_UNSPECIFIED: StepKind
STEP_KIND_INSERT: StepKind
STEP_KIND_REMOVE: StepKind
STEP_KIND_BUILTIN: StepKind
STEP_KIND_COMMAND: StepKind

class FailureDetail(_message.Message):
    __slots__ = ("log_lines", "steps", "target", "config_problems", "other_failures", "leaks")
    LOG_LINES_FIELD_NUMBER: _ClassVar[int]
    STEPS_FIELD_NUMBER: _ClassVar[int]
    TARGET_FIELD_NUMBER: _ClassVar[int]
    CONFIG_PROBLEMS_FIELD_NUMBER: _ClassVar[int]
    OTHER_FAILURES_FIELD_NUMBER: _ClassVar[int]
    LEAKS_FIELD_NUMBER: _ClassVar[int]
    log_lines: _containers.RepeatedScalarFieldContainer[str]
    steps: _containers.RepeatedCompositeFieldContainer[Step]
    target: str
    config_problems: _containers.RepeatedScalarFieldContainer[str]
    other_failures: _containers.RepeatedCompositeFieldContainer[Failure]
    leaks: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, log_lines: _Optional[_Iterable[str]] = ..., steps: _Optional[_Iterable[_Union[Step, _Mapping]]] = ..., target: _Optional[str] = ..., config_problems: _Optional[_Iterable[str]] = ..., other_failures: _Optional[_Iterable[_Union[Failure, _Mapping]]] = ..., leaks: _Optional[_Iterable[str]] = ...) -> None: ...

class Step(_message.Message):
    __slots__ = ("kind", "module", "path", "parameters", "done", "command", "needless", "undone", "output", "error_output", "configured_parameters", "exit_status", "optional", "leaks", "target")
    KIND_FIELD_NUMBER: _ClassVar[int]
    MODULE_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    PARAMETERS_FIELD_NUMBER: _ClassVar[int]
    DONE_FIELD_NUMBER: _ClassVar[int]
    COMMAND_FIELD_NUMBER: _ClassVar[int]
    NEEDLESS_FIELD_NUMBER: _ClassVar[int]
    UNDONE_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_FIELD_NUMBER: _ClassVar[int]
    ERROR_OUTPUT_FIELD_NUMBER: _ClassVar[int]
    CONFIGURED_PARAMETERS_FIELD_NUMBER: _ClassVar[int]
    EXIT_STATUS_FIELD_NUMBER: _ClassVar[int]
    OPTIONAL_FIELD_NUMBER: _ClassVar[int]
    LEAKS_FIELD_NUMBER: _ClassVar[int]
    TARGET_FIELD_NUMBER: _ClassVar[int]
    kind: StepKind
    module: str
    path: str
    parameters: str
    done: bool
    command: str
    needless: bool
    undone: bool
    output: bytes
    error_output: bytes
    configured_parameters: str
    exit_status: int
    optional: bool
    leaks: _containers.RepeatedScalarFieldContainer[str]
    target: str
    def __init__(self, kind: _Optional[_Union[StepKind, str]] = ..., module: _Optional[str] = ..., path: _Optional[str] = ..., parameters: _Optional[str] = ..., done: bool = ..., command: _Optional[str] = ..., needless: bool = ..., undone: bool = ..., output: _Optional[bytes] = ..., error_output: _Optional[bytes] = ..., configured_parameters: _Optional[str] = ..., exit_status: _Optional[int] = ..., optional: bool = ..., leaks: _Optional[_Iterable[str]] = ..., target: _Optional[str] = ...) -> None: ...

class Failure(_message.Message):
    __slots__ = ("reason", "errno_value", "message", "module", "symbol", "detail", "log_lines", "target", "leaks")
    REASON_FIELD_NUMBER: _ClassVar[int]
    ERRNO_VALUE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    MODULE_FIELD_NUMBER: _ClassVar[int]
    SYMBOL_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    LOG_LINES_FIELD_NUMBER: _ClassVar[int]
    TARGET_FIELD_NUMBER: _ClassVar[int]
    LEAKS_FIELD_NUMBER: _ClassVar[int]
    reason: ErrorReason
    errno_value: int
    message: str
    module: str
    symbol: str
    detail: str
    log_lines: _containers.RepeatedScalarFieldContainer[str]
    target: str
    leaks: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, reason: _Optional[_Union[ErrorReason, str]] = ..., errno_value: _Optional[int] = ..., message: _Optional[str] = ..., module: _Optional[str] = ..., symbol: _Optional[str] = ..., detail: _Optional[str] = ..., log_lines: _Optional[_Iterable[str]] = ..., target: _Optional[str] = ..., leaks: _Optional[_Iterable[str]] = ...) -> None: ...
