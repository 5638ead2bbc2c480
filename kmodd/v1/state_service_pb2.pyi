import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from kmodd.v1 import errors_pb2 as _errors_pb2
from kmodd.v1 import policy_pb2 as _policy_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class WishedState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    WISHED_STATE_UNSPECIFIED: _ClassVar[WishedState]
    WISHED_STATE_LOADED: _ClassVar[WishedState]
    WISHED_STATE_ABSENT: _ClassVar[WishedState]
    WISHED_STATE_DENIED: _ClassVar[WishedState]
    WISHED_STATE_HELD: _ClassVar[WishedState]

class Standing(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    STANDING_UNSPECIFIED: _ClassVar[Standing]
    STANDING_DONE: _ClassVar[Standing]
    STANDING_PENDING: _ClassVar[Standing]
    STANDING_WAITING: _ClassVar[Standing]
    STANDING_DRIFTED: _ClassVar[Standing]
    STANDING_IMPOSSIBLE: _ClassVar[Standing]

class Presence(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PRESENCE_UNSPECIFIED: _ClassVar[Presence]
    PRESENCE_ABSENT: _ClassVar[Presence]
    PRESENCE_LOADED: _ClassVar[Presence]
    PRESENCE_COMING: _ClassVar[Presence]
    PRESENCE_GOING: _ClassVar[Presence]
    PRESENCE_BUILTIN: _ClassVar[Presence]

class MoveKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    MOVE_KIND_UNSPECIFIED: _ClassVar[MoveKind]
    MOVE_KIND_RELEASE: _ClassVar[MoveKind]
    MOVE_KIND_UNLOAD: _ClassVar[MoveKind]
    MOVE_KIND_LOAD: _ClassVar[MoveKind]
    MOVE_KIND_HOLD: _ClassVar[MoveKind]
    MOVE_KIND_SET: _ClassVar[MoveKind]
    MOVE_KIND_RELOAD: _ClassVar[MoveKind]
WISHED_STATE_UNSPECIFIED: WishedState
WISHED_STATE_LOADED: WishedState
WISHED_STATE_ABSENT: WishedState
WISHED_STATE_DENIED: WishedState
WISHED_STATE_HELD: WishedState
STANDING_UNSPECIFIED: Standing
STANDING_DONE: Standing
STANDING_PENDING: Standing
STANDING_WAITING: Standing
STANDING_DRIFTED: Standing
STANDING_IMPOSSIBLE: Standing
PRESENCE_UNSPECIFIED: Presence
PRESENCE_ABSENT: Presence
PRESENCE_LOADED: Presence
PRESENCE_COMING: Presence
PRESENCE_GOING: Presence
PRESENCE_BUILTIN: Presence
MOVE_KIND_UNSPECIFIED: MoveKind
MOVE_KIND_RELEASE: MoveKind
MOVE_KIND_UNLOAD: MoveKind
MOVE_KIND_LOAD: MoveKind
MOVE_KIND_HOLD: MoveKind
MOVE_KIND_SET: MoveKind
MOVE_KIND_RELOAD: MoveKind

class ParameterSetting(_message.Message):
    __slots__ = ("name", "value")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    name: str
    value: str
    def __init__(self, name: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...

class Wish(_message.Message):
    __slots__ = ("state", "parameters", "reload_when_unused", "enforce", "source", "line")
    STATE_FIELD_NUMBER: _ClassVar[int]
    PARAMETERS_FIELD_NUMBER: _ClassVar[int]
    RELOAD_WHEN_UNUSED_FIELD_NUMBER: _ClassVar[int]
    ENFORCE_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    LINE_FIELD_NUMBER: _ClassVar[int]
    state: WishedState
    parameters: _containers.RepeatedCompositeFieldContainer[ParameterSetting]
    reload_when_unused: bool
    enforce: bool
    source: str
    line: int
    def __init__(self, state: _Optional[_Union[WishedState, str]] = ..., parameters: _Optional[_Iterable[_Union[ParameterSetting, _Mapping]]] = ..., reload_when_unused: bool = ..., enforce: bool = ..., source: _Optional[str] = ..., line: _Optional[int] = ...) -> None: ...

class Move(_message.Message):
    __slots__ = ("kind", "parameter")
    KIND_FIELD_NUMBER: _ClassVar[int]
    PARAMETER_FIELD_NUMBER: _ClassVar[int]
    kind: MoveKind
    parameter: ParameterSetting
    def __init__(self, kind: _Optional[_Union[MoveKind, str]] = ..., parameter: _Optional[_Union[ParameterSetting, _Mapping]] = ...) -> None: ...

class ModuleStanding(_message.Message):
    __slots__ = ("module", "wish", "presence", "standing", "since_time", "why", "failure", "moves", "parameters")
    MODULE_FIELD_NUMBER: _ClassVar[int]
    WISH_FIELD_NUMBER: _ClassVar[int]
    PRESENCE_FIELD_NUMBER: _ClassVar[int]
    STANDING_FIELD_NUMBER: _ClassVar[int]
    SINCE_TIME_FIELD_NUMBER: _ClassVar[int]
    WHY_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    MOVES_FIELD_NUMBER: _ClassVar[int]
    PARAMETERS_FIELD_NUMBER: _ClassVar[int]
    module: str
    wish: Wish
    presence: Presence
    standing: Standing
    since_time: _timestamp_pb2.Timestamp
    why: str
    failure: _errors_pb2.Failure
    moves: _containers.RepeatedCompositeFieldContainer[Move]
    parameters: _containers.RepeatedCompositeFieldContainer[ParameterSetting]
    def __init__(self, module: _Optional[str] = ..., wish: _Optional[_Union[Wish, _Mapping]] = ..., presence: _Optional[_Union[Presence, str]] = ..., standing: _Optional[_Union[Standing, str]] = ..., since_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., why: _Optional[str] = ..., failure: _Optional[_Union[_errors_pb2.Failure, _Mapping]] = ..., moves: _Optional[_Iterable[_Union[Move, _Mapping]]] = ..., parameters: _Optional[_Iterable[_Union[ParameterSetting, _Mapping]]] = ...) -> None: ...

class StateSource(_message.Message):
    __slots__ = ("name", "applied", "wish_count", "problems", "revision")
    NAME_FIELD_NUMBER: _ClassVar[int]
    APPLIED_FIELD_NUMBER: _ClassVar[int]
    WISH_COUNT_FIELD_NUMBER: _ClassVar[int]
    PROBLEMS_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    name: str
    applied: bool
    wish_count: int
    problems: _containers.RepeatedScalarFieldContainer[str]
    revision: int
    def __init__(self, name: _Optional[str] = ..., applied: bool = ..., wish_count: _Optional[int] = ..., problems: _Optional[_Iterable[str]] = ..., revision: _Optional[int] = ...) -> None: ...

class GetStateRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetStateResponse(_message.Message):
    __slots__ = ("modules", "sources")
    MODULES_FIELD_NUMBER: _ClassVar[int]
    SOURCES_FIELD_NUMBER: _ClassVar[int]
    modules: _containers.RepeatedCompositeFieldContainer[ModuleStanding]
    sources: _containers.RepeatedCompositeFieldContainer[StateSource]
    def __init__(self, modules: _Optional[_Iterable[_Union[ModuleStanding, _Mapping]]] = ..., sources: _Optional[_Iterable[_Union[StateSource, _Mapping]]] = ...) -> None: ...

class WatchStateRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class WatchStateResponse(_message.Message):
    __slots__ = ("modules", "gone", "sources", "has_sources")
    MODULES_FIELD_NUMBER: _ClassVar[int]
    GONE_FIELD_NUMBER: _ClassVar[int]
    SOURCES_FIELD_NUMBER: _ClassVar[int]
    HAS_SOURCES_FIELD_NUMBER: _ClassVar[int]
    modules: _containers.RepeatedCompositeFieldContainer[ModuleStanding]
    gone: _containers.RepeatedScalarFieldContainer[str]
    sources: _containers.RepeatedCompositeFieldContainer[StateSource]
    has_sources: bool
    def __init__(self, modules: _Optional[_Iterable[_Union[ModuleStanding, _Mapping]]] = ..., gone: _Optional[_Iterable[str]] = ..., sources: _Optional[_Iterable[_Union[StateSource, _Mapping]]] = ..., has_sources: bool = ...) -> None: ...

class ApplyStateRequest(_message.Message):
    __slots__ = ("source", "document", "dry_run", "revision")
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    DOCUMENT_FIELD_NUMBER: _ClassVar[int]
    DRY_RUN_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    source: str
    document: bytes
    dry_run: bool
    revision: int
    def __init__(self, source: _Optional[str] = ..., document: _Optional[bytes] = ..., dry_run: bool = ..., revision: _Optional[int] = ...) -> None: ...

class ApplyStateResponse(_message.Message):
    __slots__ = ("modules", "sources")
    MODULES_FIELD_NUMBER: _ClassVar[int]
    SOURCES_FIELD_NUMBER: _ClassVar[int]
    modules: _containers.RepeatedCompositeFieldContainer[ModuleStanding]
    sources: _containers.RepeatedCompositeFieldContainer[StateSource]
    def __init__(self, modules: _Optional[_Iterable[_Union[ModuleStanding, _Mapping]]] = ..., sources: _Optional[_Iterable[_Union[StateSource, _Mapping]]] = ...) -> None: ...
