from kmodd.v1 import module_service_pb2 as _module_service_pb2
from kmodd.v1 import policy_pb2 as _policy_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

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

class KernelFile(_message.Message):
    __slots__ = ("path", "is_directory", "module", "mode")
    PATH_FIELD_NUMBER: _ClassVar[int]
    IS_DIRECTORY_FIELD_NUMBER: _ClassVar[int]
    MODULE_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    path: str
    is_directory: bool
    module: str
    mode: int
    def __init__(self, path: _Optional[str] = ..., is_directory: bool = ..., module: _Optional[str] = ..., mode: _Optional[int] = ...) -> None: ...

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
