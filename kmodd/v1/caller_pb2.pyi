from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable
from typing import ClassVar as _ClassVar, Optional as _Optional

DESCRIPTOR: _descriptor.FileDescriptor

class Caller(_message.Message):
    __slots__ = ("uid", "user", "gids", "pid", "start_ticks", "command", "unit", "container")
    UID_FIELD_NUMBER: _ClassVar[int]
    USER_FIELD_NUMBER: _ClassVar[int]
    GIDS_FIELD_NUMBER: _ClassVar[int]
    PID_FIELD_NUMBER: _ClassVar[int]
    START_TICKS_FIELD_NUMBER: _ClassVar[int]
    COMMAND_FIELD_NUMBER: _ClassVar[int]
    UNIT_FIELD_NUMBER: _ClassVar[int]
    CONTAINER_FIELD_NUMBER: _ClassVar[int]
    uid: int
    user: str
    gids: _containers.RepeatedScalarFieldContainer[int]
    pid: int
    start_ticks: int
    command: str
    unit: str
    container: str
    def __init__(self, uid: _Optional[int] = ..., user: _Optional[str] = ..., gids: _Optional[_Iterable[int]] = ..., pid: _Optional[int] = ..., start_ticks: _Optional[int] = ..., command: _Optional[str] = ..., unit: _Optional[str] = ..., container: _Optional[str] = ...) -> None: ...
