import datetime

from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from kmodd.v1 import caller_pb2 as _caller_pb2
from kmodd.v1 import errors_pb2 as _errors_pb2
from kmodd.v1 import policy_pb2 as _policy_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ModuleState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    MODULE_STATE_UNSPECIFIED: _ClassVar[ModuleState]
    MODULE_STATE_LIVE: _ClassVar[ModuleState]
    MODULE_STATE_COMING: _ClassVar[ModuleState]
    MODULE_STATE_GOING: _ClassVar[ModuleState]

class InitState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    INIT_STATE_UNSPECIFIED: _ClassVar[InitState]
    INIT_STATE_RAN: _ClassVar[InitState]
    INIT_STATE_NOT_RUN: _ClassVar[InitState]
    INIT_STATE_NONE: _ClassVar[InitState]

class Origin(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ORIGIN_UNSPECIFIED: _ClassVar[Origin]
    ORIGIN_ASKED: _ClassVar[Origin]
    ORIGIN_DEPENDENCY: _ClassVar[Origin]
    ORIGIN_UNKNOWN: _ClassVar[Origin]
    ORIGIN_HOTPLUG: _ClassVar[Origin]
    ORIGIN_OTHERS: _ClassVar[Origin]
    ORIGIN_STATE: _ClassVar[Origin]

class Verbosity(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    VERBOSITY_UNSPECIFIED: _ClassVar[Verbosity]
    VERBOSITY_QUIET: _ClassVar[Verbosity]
    VERBOSITY_VERBOSE: _ClassVar[Verbosity]

class ChangeKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CHANGE_KIND_UNSPECIFIED: _ClassVar[ChangeKind]
    CHANGE_KIND_LOADED: _ClassVar[ChangeKind]
    CHANGE_KIND_UNLOADED: _ClassVar[ChangeKind]
    CHANGE_KIND_CHANGED: _ClassVar[ChangeKind]

class OperationAction(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    OPERATION_ACTION_UNSPECIFIED: _ClassVar[OperationAction]
    OPERATION_ACTION_LOAD: _ClassVar[OperationAction]
    OPERATION_ACTION_UNLOAD: _ClassVar[OperationAction]
    OPERATION_ACTION_INSERT: _ClassVar[OperationAction]
    OPERATION_ACTION_REMOVE: _ClassVar[OperationAction]
    OPERATION_ACTION_HOLD: _ClassVar[OperationAction]
    OPERATION_ACTION_RELEASE: _ClassVar[OperationAction]
    OPERATION_ACTION_END_HOLD: _ClassVar[OperationAction]
    OPERATION_ACTION_SET_PARAMETER: _ClassVar[OperationAction]
    OPERATION_ACTION_ADD_DEVICE: _ClassVar[OperationAction]
    OPERATION_ACTION_REMOVE_DEVICE: _ClassVar[OperationAction]
    OPERATION_ACTION_REQUEST: _ClassVar[OperationAction]
    OPERATION_ACTION_SEAL: _ClassVar[OperationAction]
    OPERATION_ACTION_END_CONNECTION: _ClassVar[OperationAction]
    OPERATION_ACTION_APPLY_STATE: _ClassVar[OperationAction]
    OPERATION_ACTION_RELOAD: _ClassVar[OperationAction]
    OPERATION_ACTION_RAISE_INTERRUPT: _ClassVar[OperationAction]
    OPERATION_ACTION_USE_FILE: _ClassVar[OperationAction]

class Staleness(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    STALENESS_UNSPECIFIED: _ClassVar[Staleness]
    STALENESS_CHANGED: _ClassVar[Staleness]
    STALENESS_GONE: _ClassVar[Staleness]
    STALENESS_UNREADABLE: _ClassVar[Staleness]
    STALENESS_UNKNOWN: _ClassVar[Staleness]

class ReloadCause(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    RELOAD_CAUSE_UNSPECIFIED: _ClassVar[ReloadCause]
    RELOAD_CAUSE_NAMED: _ClassVar[ReloadCause]
    RELOAD_CAUSE_OUTDATED: _ClassVar[ReloadCause]
    RELOAD_CAUSE_USER: _ClassVar[ReloadCause]

class ReloadFate(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    RELOAD_FATE_UNSPECIFIED: _ClassVar[ReloadFate]
    RELOAD_FATE_PLANNED: _ClassVar[ReloadFate]
    RELOAD_FATE_RELOADED: _ClassVar[ReloadFate]
    RELOAD_FATE_NEEDLESS: _ClassVar[ReloadFate]
    RELOAD_FATE_STAYED: _ClassVar[ReloadFate]
    RELOAD_FATE_PUT_BACK: _ClassVar[ReloadFate]
    RELOAD_FATE_LOST: _ClassVar[ReloadFate]
MODULE_STATE_UNSPECIFIED: ModuleState
MODULE_STATE_LIVE: ModuleState
MODULE_STATE_COMING: ModuleState
MODULE_STATE_GOING: ModuleState
INIT_STATE_UNSPECIFIED: InitState
INIT_STATE_RAN: InitState
INIT_STATE_NOT_RUN: InitState
INIT_STATE_NONE: InitState
ORIGIN_UNSPECIFIED: Origin
ORIGIN_ASKED: Origin
ORIGIN_DEPENDENCY: Origin
ORIGIN_UNKNOWN: Origin
ORIGIN_HOTPLUG: Origin
ORIGIN_OTHERS: Origin
ORIGIN_STATE: Origin
VERBOSITY_UNSPECIFIED: Verbosity
VERBOSITY_QUIET: Verbosity
VERBOSITY_VERBOSE: Verbosity
CHANGE_KIND_UNSPECIFIED: ChangeKind
CHANGE_KIND_LOADED: ChangeKind
CHANGE_KIND_UNLOADED: ChangeKind
CHANGE_KIND_CHANGED: ChangeKind
OPERATION_ACTION_UNSPECIFIED: OperationAction
OPERATION_ACTION_LOAD: OperationAction
OPERATION_ACTION_UNLOAD: OperationAction
OPERATION_ACTION_INSERT: OperationAction
OPERATION_ACTION_REMOVE: OperationAction
OPERATION_ACTION_HOLD: OperationAction
OPERATION_ACTION_RELEASE: OperationAction
OPERATION_ACTION_END_HOLD: OperationAction
OPERATION_ACTION_SET_PARAMETER: OperationAction
OPERATION_ACTION_ADD_DEVICE: OperationAction
OPERATION_ACTION_REMOVE_DEVICE: OperationAction
OPERATION_ACTION_REQUEST: OperationAction
OPERATION_ACTION_SEAL: OperationAction
OPERATION_ACTION_END_CONNECTION: OperationAction
OPERATION_ACTION_APPLY_STATE: OperationAction
OPERATION_ACTION_RELOAD: OperationAction
OPERATION_ACTION_RAISE_INTERRUPT: OperationAction
OPERATION_ACTION_USE_FILE: OperationAction
STALENESS_UNSPECIFIED: Staleness
STALENESS_CHANGED: Staleness
STALENESS_GONE: Staleness
STALENESS_UNREADABLE: Staleness
STALENESS_UNKNOWN: Staleness
RELOAD_CAUSE_UNSPECIFIED: ReloadCause
RELOAD_CAUSE_NAMED: ReloadCause
RELOAD_CAUSE_OUTDATED: ReloadCause
RELOAD_CAUSE_USER: ReloadCause
RELOAD_FATE_UNSPECIFIED: ReloadFate
RELOAD_FATE_PLANNED: ReloadFate
RELOAD_FATE_RELOADED: ReloadFate
RELOAD_FATE_NEEDLESS: ReloadFate
RELOAD_FATE_STAYED: ReloadFate
RELOAD_FATE_PUT_BACK: ReloadFate
RELOAD_FATE_LOST: ReloadFate

class Module(_message.Message):
    __slots__ = ("name", "size_bytes", "reference_count", "holders", "state", "permanent", "taints", "address", "init_state", "origin", "hold_count", "why_not_run", "stubbed_functions")
    NAME_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    REFERENCE_COUNT_FIELD_NUMBER: _ClassVar[int]
    HOLDERS_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    PERMANENT_FIELD_NUMBER: _ClassVar[int]
    TAINTS_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    INIT_STATE_FIELD_NUMBER: _ClassVar[int]
    ORIGIN_FIELD_NUMBER: _ClassVar[int]
    HOLD_COUNT_FIELD_NUMBER: _ClassVar[int]
    WHY_NOT_RUN_FIELD_NUMBER: _ClassVar[int]
    STUBBED_FUNCTIONS_FIELD_NUMBER: _ClassVar[int]
    name: str
    size_bytes: int
    reference_count: int
    holders: _containers.RepeatedScalarFieldContainer[str]
    state: ModuleState
    permanent: bool
    taints: str
    address: int
    init_state: InitState
    origin: Origin
    hold_count: int
    why_not_run: str
    stubbed_functions: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, name: _Optional[str] = ..., size_bytes: _Optional[int] = ..., reference_count: _Optional[int] = ..., holders: _Optional[_Iterable[str]] = ..., state: _Optional[_Union[ModuleState, str]] = ..., permanent: bool = ..., taints: _Optional[str] = ..., address: _Optional[int] = ..., init_state: _Optional[_Union[InitState, str]] = ..., origin: _Optional[_Union[Origin, str]] = ..., hold_count: _Optional[int] = ..., why_not_run: _Optional[str] = ..., stubbed_functions: _Optional[_Iterable[str]] = ...) -> None: ...

class ListModulesRequest(_message.Message):
    __slots__ = ("page_size", "page_token")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListModulesResponse(_message.Message):
    __slots__ = ("modules", "next_page_token", "epoch", "revision")
    MODULES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    modules: _containers.RepeatedCompositeFieldContainer[Module]
    next_page_token: str
    epoch: str
    revision: int
    def __init__(self, modules: _Optional[_Iterable[_Union[Module, _Mapping]]] = ..., next_page_token: _Optional[str] = ..., epoch: _Optional[str] = ..., revision: _Optional[int] = ...) -> None: ...

class GetModuleRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class GetModuleResponse(_message.Message):
    __slots__ = ("module", "core_size_bytes", "init_size_bytes", "version", "source_version", "parameters", "sections", "notes")
    MODULE_FIELD_NUMBER: _ClassVar[int]
    CORE_SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    INIT_SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    SOURCE_VERSION_FIELD_NUMBER: _ClassVar[int]
    PARAMETERS_FIELD_NUMBER: _ClassVar[int]
    SECTIONS_FIELD_NUMBER: _ClassVar[int]
    NOTES_FIELD_NUMBER: _ClassVar[int]
    module: Module
    core_size_bytes: int
    init_size_bytes: int
    version: str
    source_version: str
    parameters: _containers.RepeatedCompositeFieldContainer[Parameter]
    sections: _containers.RepeatedCompositeFieldContainer[Section]
    notes: _containers.RepeatedCompositeFieldContainer[Note]
    def __init__(self, module: _Optional[_Union[Module, _Mapping]] = ..., core_size_bytes: _Optional[int] = ..., init_size_bytes: _Optional[int] = ..., version: _Optional[str] = ..., source_version: _Optional[str] = ..., parameters: _Optional[_Iterable[_Union[Parameter, _Mapping]]] = ..., sections: _Optional[_Iterable[_Union[Section, _Mapping]]] = ..., notes: _Optional[_Iterable[_Union[Note, _Mapping]]] = ...) -> None: ...

class Section(_message.Message):
    __slots__ = ("name", "address")
    NAME_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    name: str
    address: int
    def __init__(self, name: _Optional[str] = ..., address: _Optional[int] = ...) -> None: ...

class Note(_message.Message):
    __slots__ = ("name", "contents")
    NAME_FIELD_NUMBER: _ClassVar[int]
    CONTENTS_FIELD_NUMBER: _ClassVar[int]
    name: str
    contents: bytes
    def __init__(self, name: _Optional[str] = ..., contents: _Optional[bytes] = ...) -> None: ...

class Parameter(_message.Message):
    __slots__ = ("name", "value", "mode", "type", "description")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    name: str
    value: str
    mode: int
    type: str
    description: str
    def __init__(self, name: _Optional[str] = ..., value: _Optional[str] = ..., mode: _Optional[int] = ..., type: _Optional[str] = ..., description: _Optional[str] = ...) -> None: ...

class GetParametersRequest(_message.Message):
    __slots__ = ("module",)
    MODULE_FIELD_NUMBER: _ClassVar[int]
    module: str
    def __init__(self, module: _Optional[str] = ...) -> None: ...

class GetParametersResponse(_message.Message):
    __slots__ = ("parameters",)
    PARAMETERS_FIELD_NUMBER: _ClassVar[int]
    parameters: _containers.RepeatedCompositeFieldContainer[Parameter]
    def __init__(self, parameters: _Optional[_Iterable[_Union[Parameter, _Mapping]]] = ...) -> None: ...

class SetParameterRequest(_message.Message):
    __slots__ = ("module", "parameter", "value")
    MODULE_FIELD_NUMBER: _ClassVar[int]
    PARAMETER_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    module: str
    parameter: str
    value: str
    def __init__(self, module: _Optional[str] = ..., parameter: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...

class SetParameterResponse(_message.Message):
    __slots__ = ("parameter",)
    PARAMETER_FIELD_NUMBER: _ClassVar[int]
    parameter: Parameter
    def __init__(self, parameter: _Optional[_Union[Parameter, _Mapping]] = ...) -> None: ...

class InsertModuleRequest(_message.Message):
    __slots__ = ("header", "chunk")
    HEADER_FIELD_NUMBER: _ClassVar[int]
    CHUNK_FIELD_NUMBER: _ClassVar[int]
    header: InsertModuleHeader
    chunk: bytes
    def __init__(self, header: _Optional[_Union[InsertModuleHeader, _Mapping]] = ..., chunk: _Optional[bytes] = ...) -> None: ...

class InsertModuleHeader(_message.Message):
    __slots__ = ("file_name", "parameters", "ignore_vermagic", "ignore_modversions", "load")
    FILE_NAME_FIELD_NUMBER: _ClassVar[int]
    PARAMETERS_FIELD_NUMBER: _ClassVar[int]
    IGNORE_VERMAGIC_FIELD_NUMBER: _ClassVar[int]
    IGNORE_MODVERSIONS_FIELD_NUMBER: _ClassVar[int]
    LOAD_FIELD_NUMBER: _ClassVar[int]
    file_name: str
    parameters: str
    ignore_vermagic: bool
    ignore_modversions: bool
    load: LoadModulesRequest
    def __init__(self, file_name: _Optional[str] = ..., parameters: _Optional[str] = ..., ignore_vermagic: bool = ..., ignore_modversions: bool = ..., load: _Optional[_Union[LoadModulesRequest, _Mapping]] = ...) -> None: ...

class InsertModuleResponse(_message.Message):
    __slots__ = ("module", "result", "config_problems")
    MODULE_FIELD_NUMBER: _ClassVar[int]
    RESULT_FIELD_NUMBER: _ClassVar[int]
    CONFIG_PROBLEMS_FIELD_NUMBER: _ClassVar[int]
    module: Module
    result: ModuleResult
    config_problems: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, module: _Optional[_Union[Module, _Mapping]] = ..., result: _Optional[_Union[ModuleResult, _Mapping]] = ..., config_problems: _Optional[_Iterable[str]] = ...) -> None: ...

class LoadModulesRequest(_message.Message):
    __slots__ = ("names", "parameters", "dry_run", "first_time", "use_blacklist", "ignore_install_commands", "ignore_vermagic", "ignore_modversions", "ignore_loaded", "release", "atomic", "kmod_exact", "nested_verbosity", "failure_in_result", "assumed_loaded")
    NAMES_FIELD_NUMBER: _ClassVar[int]
    PARAMETERS_FIELD_NUMBER: _ClassVar[int]
    DRY_RUN_FIELD_NUMBER: _ClassVar[int]
    FIRST_TIME_FIELD_NUMBER: _ClassVar[int]
    USE_BLACKLIST_FIELD_NUMBER: _ClassVar[int]
    IGNORE_INSTALL_COMMANDS_FIELD_NUMBER: _ClassVar[int]
    IGNORE_VERMAGIC_FIELD_NUMBER: _ClassVar[int]
    IGNORE_MODVERSIONS_FIELD_NUMBER: _ClassVar[int]
    IGNORE_LOADED_FIELD_NUMBER: _ClassVar[int]
    RELEASE_FIELD_NUMBER: _ClassVar[int]
    ATOMIC_FIELD_NUMBER: _ClassVar[int]
    KMOD_EXACT_FIELD_NUMBER: _ClassVar[int]
    NESTED_VERBOSITY_FIELD_NUMBER: _ClassVar[int]
    FAILURE_IN_RESULT_FIELD_NUMBER: _ClassVar[int]
    ASSUMED_LOADED_FIELD_NUMBER: _ClassVar[int]
    names: _containers.RepeatedScalarFieldContainer[str]
    parameters: str
    dry_run: bool
    first_time: bool
    use_blacklist: bool
    ignore_install_commands: bool
    ignore_vermagic: bool
    ignore_modversions: bool
    ignore_loaded: bool
    release: str
    atomic: bool
    kmod_exact: bool
    nested_verbosity: Verbosity
    failure_in_result: bool
    assumed_loaded: LoadedModules
    def __init__(self, names: _Optional[_Iterable[str]] = ..., parameters: _Optional[str] = ..., dry_run: bool = ..., first_time: bool = ..., use_blacklist: bool = ..., ignore_install_commands: bool = ..., ignore_vermagic: bool = ..., ignore_modversions: bool = ..., ignore_loaded: bool = ..., release: _Optional[str] = ..., atomic: bool = ..., kmod_exact: bool = ..., nested_verbosity: _Optional[_Union[Verbosity, str]] = ..., failure_in_result: bool = ..., assumed_loaded: _Optional[_Union[LoadedModules, _Mapping]] = ...) -> None: ...

class IgnoredParameter(_message.Message):
    __slots__ = ("module", "given", "in_force")
    MODULE_FIELD_NUMBER: _ClassVar[int]
    GIVEN_FIELD_NUMBER: _ClassVar[int]
    IN_FORCE_FIELD_NUMBER: _ClassVar[int]
    module: str
    given: str
    in_force: str
    def __init__(self, module: _Optional[str] = ..., given: _Optional[str] = ..., in_force: _Optional[str] = ...) -> None: ...

class ModuleResult(_message.Message):
    __slots__ = ("name", "modules", "steps", "failure", "ignored_parameters", "other_failures", "blacklisted_modules")
    NAME_FIELD_NUMBER: _ClassVar[int]
    MODULES_FIELD_NUMBER: _ClassVar[int]
    STEPS_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    IGNORED_PARAMETERS_FIELD_NUMBER: _ClassVar[int]
    OTHER_FAILURES_FIELD_NUMBER: _ClassVar[int]
    BLACKLISTED_MODULES_FIELD_NUMBER: _ClassVar[int]
    name: str
    modules: _containers.RepeatedScalarFieldContainer[str]
    steps: _containers.RepeatedCompositeFieldContainer[_errors_pb2.Step]
    failure: _errors_pb2.Failure
    ignored_parameters: _containers.RepeatedCompositeFieldContainer[IgnoredParameter]
    other_failures: _containers.RepeatedCompositeFieldContainer[_errors_pb2.Failure]
    blacklisted_modules: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, name: _Optional[str] = ..., modules: _Optional[_Iterable[str]] = ..., steps: _Optional[_Iterable[_Union[_errors_pb2.Step, _Mapping]]] = ..., failure: _Optional[_Union[_errors_pb2.Failure, _Mapping]] = ..., ignored_parameters: _Optional[_Iterable[_Union[IgnoredParameter, _Mapping]]] = ..., other_failures: _Optional[_Iterable[_Union[_errors_pb2.Failure, _Mapping]]] = ..., blacklisted_modules: _Optional[_Iterable[str]] = ...) -> None: ...

class LoadModulesResponse(_message.Message):
    __slots__ = ("results", "config_problems")
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    CONFIG_PROBLEMS_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[ModuleResult]
    config_problems: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, results: _Optional[_Iterable[_Union[ModuleResult, _Mapping]]] = ..., config_problems: _Optional[_Iterable[str]] = ...) -> None: ...

class UnloadModulesRequest(_message.Message):
    __slots__ = ("names", "dry_run", "first_time", "remove_holders", "ignore_remove_commands", "use_blacklist", "release", "ignore_loaded", "wait", "force", "kmod_exact", "nested_verbosity", "failure_in_result", "soft_dependencies_matter", "assumed_loaded")
    NAMES_FIELD_NUMBER: _ClassVar[int]
    DRY_RUN_FIELD_NUMBER: _ClassVar[int]
    FIRST_TIME_FIELD_NUMBER: _ClassVar[int]
    REMOVE_HOLDERS_FIELD_NUMBER: _ClassVar[int]
    IGNORE_REMOVE_COMMANDS_FIELD_NUMBER: _ClassVar[int]
    USE_BLACKLIST_FIELD_NUMBER: _ClassVar[int]
    RELEASE_FIELD_NUMBER: _ClassVar[int]
    IGNORE_LOADED_FIELD_NUMBER: _ClassVar[int]
    WAIT_FIELD_NUMBER: _ClassVar[int]
    FORCE_FIELD_NUMBER: _ClassVar[int]
    KMOD_EXACT_FIELD_NUMBER: _ClassVar[int]
    NESTED_VERBOSITY_FIELD_NUMBER: _ClassVar[int]
    FAILURE_IN_RESULT_FIELD_NUMBER: _ClassVar[int]
    SOFT_DEPENDENCIES_MATTER_FIELD_NUMBER: _ClassVar[int]
    ASSUMED_LOADED_FIELD_NUMBER: _ClassVar[int]
    names: _containers.RepeatedScalarFieldContainer[str]
    dry_run: bool
    first_time: bool
    remove_holders: bool
    ignore_remove_commands: bool
    use_blacklist: bool
    release: str
    ignore_loaded: bool
    wait: _duration_pb2.Duration
    force: bool
    kmod_exact: bool
    nested_verbosity: Verbosity
    failure_in_result: bool
    soft_dependencies_matter: bool
    assumed_loaded: LoadedModules
    def __init__(self, names: _Optional[_Iterable[str]] = ..., dry_run: bool = ..., first_time: bool = ..., remove_holders: bool = ..., ignore_remove_commands: bool = ..., use_blacklist: bool = ..., release: _Optional[str] = ..., ignore_loaded: bool = ..., wait: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., force: bool = ..., kmod_exact: bool = ..., nested_verbosity: _Optional[_Union[Verbosity, str]] = ..., failure_in_result: bool = ..., soft_dependencies_matter: bool = ..., assumed_loaded: _Optional[_Union[LoadedModules, _Mapping]] = ...) -> None: ...

class LoadedModules(_message.Message):
    __slots__ = ("modules",)
    MODULES_FIELD_NUMBER: _ClassVar[int]
    modules: _containers.RepeatedCompositeFieldContainer[Module]
    def __init__(self, modules: _Optional[_Iterable[_Union[Module, _Mapping]]] = ...) -> None: ...

class UnloadModulesResponse(_message.Message):
    __slots__ = ("results", "config_problems")
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    CONFIG_PROBLEMS_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[ModuleResult]
    config_problems: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, results: _Optional[_Iterable[_Union[ModuleResult, _Mapping]]] = ..., config_problems: _Optional[_Iterable[str]] = ...) -> None: ...

class RemoveModuleRequest(_message.Message):
    __slots__ = ("name", "force", "wait")
    NAME_FIELD_NUMBER: _ClassVar[int]
    FORCE_FIELD_NUMBER: _ClassVar[int]
    WAIT_FIELD_NUMBER: _ClassVar[int]
    name: str
    force: bool
    wait: _duration_pb2.Duration
    def __init__(self, name: _Optional[str] = ..., force: bool = ..., wait: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class RemoveModuleResponse(_message.Message):
    __slots__ = ("leaks",)
    LEAKS_FIELD_NUMBER: _ClassVar[int]
    leaks: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, leaks: _Optional[_Iterable[str]] = ...) -> None: ...

class HoldModulesRequest(_message.Message):
    __slots__ = ("load", "unload", "note")
    LOAD_FIELD_NUMBER: _ClassVar[int]
    UNLOAD_FIELD_NUMBER: _ClassVar[int]
    NOTE_FIELD_NUMBER: _ClassVar[int]
    load: LoadModulesRequest
    unload: bool
    note: str
    def __init__(self, load: _Optional[_Union[LoadModulesRequest, _Mapping]] = ..., unload: bool = ..., note: _Optional[str] = ...) -> None: ...

class HoldModulesResponse(_message.Message):
    __slots__ = ("hold", "modules", "results", "config_problems")
    HOLD_FIELD_NUMBER: _ClassVar[int]
    MODULES_FIELD_NUMBER: _ClassVar[int]
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    CONFIG_PROBLEMS_FIELD_NUMBER: _ClassVar[int]
    hold: int
    modules: _containers.RepeatedScalarFieldContainer[str]
    results: _containers.RepeatedCompositeFieldContainer[ModuleResult]
    config_problems: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, hold: _Optional[int] = ..., modules: _Optional[_Iterable[str]] = ..., results: _Optional[_Iterable[_Union[ModuleResult, _Mapping]]] = ..., config_problems: _Optional[_Iterable[str]] = ...) -> None: ...

class ListHoldsRequest(_message.Message):
    __slots__ = ("page_size", "page_token")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class Hold(_message.Message):
    __slots__ = ("hold", "names", "modules", "note", "socket", "role", "began_time", "caller")
    HOLD_FIELD_NUMBER: _ClassVar[int]
    NAMES_FIELD_NUMBER: _ClassVar[int]
    MODULES_FIELD_NUMBER: _ClassVar[int]
    NOTE_FIELD_NUMBER: _ClassVar[int]
    SOCKET_FIELD_NUMBER: _ClassVar[int]
    ROLE_FIELD_NUMBER: _ClassVar[int]
    BEGAN_TIME_FIELD_NUMBER: _ClassVar[int]
    CALLER_FIELD_NUMBER: _ClassVar[int]
    hold: int
    names: _containers.RepeatedScalarFieldContainer[str]
    modules: _containers.RepeatedScalarFieldContainer[str]
    note: str
    socket: str
    role: str
    began_time: _timestamp_pb2.Timestamp
    caller: _caller_pb2.Caller
    def __init__(self, hold: _Optional[int] = ..., names: _Optional[_Iterable[str]] = ..., modules: _Optional[_Iterable[str]] = ..., note: _Optional[str] = ..., socket: _Optional[str] = ..., role: _Optional[str] = ..., began_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., caller: _Optional[_Union[_caller_pb2.Caller, _Mapping]] = ...) -> None: ...

class ListHoldsResponse(_message.Message):
    __slots__ = ("holds", "next_page_token")
    HOLDS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    holds: _containers.RepeatedCompositeFieldContainer[Hold]
    next_page_token: str
    def __init__(self, holds: _Optional[_Iterable[_Union[Hold, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class EndHoldRequest(_message.Message):
    __slots__ = ("hold",)
    HOLD_FIELD_NUMBER: _ClassVar[int]
    hold: int
    def __init__(self, hold: _Optional[int] = ...) -> None: ...

class EndHoldResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class WatchModulesRequest(_message.Message):
    __slots__ = ("epoch", "revision")
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    epoch: str
    revision: int
    def __init__(self, epoch: _Optional[str] = ..., revision: _Optional[int] = ...) -> None: ...

class WatchModulesResponse(_message.Message):
    __slots__ = ("epoch", "revision", "time", "snapshot", "changes", "operation")
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    SNAPSHOT_FIELD_NUMBER: _ClassVar[int]
    CHANGES_FIELD_NUMBER: _ClassVar[int]
    OPERATION_FIELD_NUMBER: _ClassVar[int]
    epoch: str
    revision: int
    time: _timestamp_pb2.Timestamp
    snapshot: ModuleSnapshot
    changes: ModuleChanges
    operation: FinishedOperation
    def __init__(self, epoch: _Optional[str] = ..., revision: _Optional[int] = ..., time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., snapshot: _Optional[_Union[ModuleSnapshot, _Mapping]] = ..., changes: _Optional[_Union[ModuleChanges, _Mapping]] = ..., operation: _Optional[_Union[FinishedOperation, _Mapping]] = ...) -> None: ...

class ModuleSnapshot(_message.Message):
    __slots__ = ("modules",)
    MODULES_FIELD_NUMBER: _ClassVar[int]
    modules: _containers.RepeatedCompositeFieldContainer[Module]
    def __init__(self, modules: _Optional[_Iterable[_Union[Module, _Mapping]]] = ...) -> None: ...

class ModuleChanges(_message.Message):
    __slots__ = ("changes",)
    CHANGES_FIELD_NUMBER: _ClassVar[int]
    changes: _containers.RepeatedCompositeFieldContainer[ModuleChange]
    def __init__(self, changes: _Optional[_Iterable[_Union[ModuleChange, _Mapping]]] = ...) -> None: ...

class ModuleChange(_message.Message):
    __slots__ = ("kind", "module", "by_others")
    KIND_FIELD_NUMBER: _ClassVar[int]
    MODULE_FIELD_NUMBER: _ClassVar[int]
    BY_OTHERS_FIELD_NUMBER: _ClassVar[int]
    kind: ChangeKind
    module: Module
    by_others: bool
    def __init__(self, kind: _Optional[_Union[ChangeKind, str]] = ..., module: _Optional[_Union[Module, _Mapping]] = ..., by_others: bool = ...) -> None: ...

class FinishedOperation(_message.Message):
    __slots__ = ("number", "action", "what", "socket", "role", "duration", "loaded", "unloaded", "failure", "caller", "origin", "device")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    ACTION_FIELD_NUMBER: _ClassVar[int]
    WHAT_FIELD_NUMBER: _ClassVar[int]
    SOCKET_FIELD_NUMBER: _ClassVar[int]
    ROLE_FIELD_NUMBER: _ClassVar[int]
    DURATION_FIELD_NUMBER: _ClassVar[int]
    LOADED_FIELD_NUMBER: _ClassVar[int]
    UNLOADED_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    CALLER_FIELD_NUMBER: _ClassVar[int]
    ORIGIN_FIELD_NUMBER: _ClassVar[int]
    DEVICE_FIELD_NUMBER: _ClassVar[int]
    number: int
    action: OperationAction
    what: str
    socket: str
    role: str
    duration: _duration_pb2.Duration
    loaded: _containers.RepeatedScalarFieldContainer[str]
    unloaded: _containers.RepeatedScalarFieldContainer[str]
    failure: _errors_pb2.Failure
    caller: _caller_pb2.Caller
    origin: str
    device: str
    def __init__(self, number: _Optional[int] = ..., action: _Optional[_Union[OperationAction, str]] = ..., what: _Optional[str] = ..., socket: _Optional[str] = ..., role: _Optional[str] = ..., duration: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., loaded: _Optional[_Iterable[str]] = ..., unloaded: _Optional[_Iterable[str]] = ..., failure: _Optional[_Union[_errors_pb2.Failure, _Mapping]] = ..., caller: _Optional[_Union[_caller_pb2.Caller, _Mapping]] = ..., origin: _Optional[str] = ..., device: _Optional[str] = ...) -> None: ...

class ListOutdatedRequest(_message.Message):
    __slots__ = ("page_size", "page_token")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ModuleBuild(_message.Message):
    __slots__ = ("build_id", "source_version")
    BUILD_ID_FIELD_NUMBER: _ClassVar[int]
    SOURCE_VERSION_FIELD_NUMBER: _ClassVar[int]
    build_id: bytes
    source_version: str
    def __init__(self, build_id: _Optional[bytes] = ..., source_version: _Optional[str] = ...) -> None: ...

class OutdatedModule(_message.Message):
    __slots__ = ("module", "staleness", "path", "loaded", "file", "why")
    MODULE_FIELD_NUMBER: _ClassVar[int]
    STALENESS_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    LOADED_FIELD_NUMBER: _ClassVar[int]
    FILE_FIELD_NUMBER: _ClassVar[int]
    WHY_FIELD_NUMBER: _ClassVar[int]
    module: str
    staleness: Staleness
    path: str
    loaded: ModuleBuild
    file: ModuleBuild
    why: str
    def __init__(self, module: _Optional[str] = ..., staleness: _Optional[_Union[Staleness, str]] = ..., path: _Optional[str] = ..., loaded: _Optional[_Union[ModuleBuild, _Mapping]] = ..., file: _Optional[_Union[ModuleBuild, _Mapping]] = ..., why: _Optional[str] = ...) -> None: ...

class ListOutdatedResponse(_message.Message):
    __slots__ = ("modules", "next_page_token")
    MODULES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    modules: _containers.RepeatedCompositeFieldContainer[OutdatedModule]
    next_page_token: str
    def __init__(self, modules: _Optional[_Iterable[_Union[OutdatedModule, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class ReloadModulesRequest(_message.Message):
    __slots__ = ("names", "outdated", "dry_run", "force_holders")
    NAMES_FIELD_NUMBER: _ClassVar[int]
    OUTDATED_FIELD_NUMBER: _ClassVar[int]
    DRY_RUN_FIELD_NUMBER: _ClassVar[int]
    FORCE_HOLDERS_FIELD_NUMBER: _ClassVar[int]
    names: _containers.RepeatedScalarFieldContainer[str]
    outdated: bool
    dry_run: bool
    force_holders: bool
    def __init__(self, names: _Optional[_Iterable[str]] = ..., outdated: bool = ..., dry_run: bool = ..., force_holders: bool = ...) -> None: ...

class ReloadedModule(_message.Message):
    __slots__ = ("module", "cause", "fate", "path", "parameters", "parameters_left", "failure", "note")
    MODULE_FIELD_NUMBER: _ClassVar[int]
    CAUSE_FIELD_NUMBER: _ClassVar[int]
    FATE_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    PARAMETERS_FIELD_NUMBER: _ClassVar[int]
    PARAMETERS_LEFT_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    NOTE_FIELD_NUMBER: _ClassVar[int]
    module: str
    cause: ReloadCause
    fate: ReloadFate
    path: str
    parameters: _containers.RepeatedCompositeFieldContainer[GivenParameter]
    parameters_left: _containers.RepeatedScalarFieldContainer[str]
    failure: _errors_pb2.Failure
    note: str
    def __init__(self, module: _Optional[str] = ..., cause: _Optional[_Union[ReloadCause, str]] = ..., fate: _Optional[_Union[ReloadFate, str]] = ..., path: _Optional[str] = ..., parameters: _Optional[_Iterable[_Union[GivenParameter, _Mapping]]] = ..., parameters_left: _Optional[_Iterable[str]] = ..., failure: _Optional[_Union[_errors_pb2.Failure, _Mapping]] = ..., note: _Optional[str] = ...) -> None: ...

class GivenParameter(_message.Message):
    __slots__ = ("name", "value")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    name: str
    value: str
    def __init__(self, name: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...

class ReloadModulesResponse(_message.Message):
    __slots__ = ("modules", "steps", "config_problems")
    MODULES_FIELD_NUMBER: _ClassVar[int]
    STEPS_FIELD_NUMBER: _ClassVar[int]
    CONFIG_PROBLEMS_FIELD_NUMBER: _ClassVar[int]
    modules: _containers.RepeatedCompositeFieldContainer[ReloadedModule]
    steps: _containers.RepeatedCompositeFieldContainer[_errors_pb2.Step]
    config_problems: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, modules: _Optional[_Iterable[_Union[ReloadedModule, _Mapping]]] = ..., steps: _Optional[_Iterable[_Union[_errors_pb2.Step, _Mapping]]] = ..., config_problems: _Optional[_Iterable[str]] = ...) -> None: ...
