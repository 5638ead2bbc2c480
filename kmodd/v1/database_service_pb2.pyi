import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class RebuildDatabaseRequest(_message.Message):
    __slots__ = ("release",)
    RELEASE_FIELD_NUMBER: _ClassVar[int]
    release: str
    def __init__(self, release: _Optional[str] = ...) -> None: ...

class RebuildDatabaseResponse(_message.Message):
    __slots__ = ("progress", "tree")
    PROGRESS_FIELD_NUMBER: _ClassVar[int]
    TREE_FIELD_NUMBER: _ClassVar[int]
    progress: RebuildProgress
    tree: Tree
    def __init__(self, progress: _Optional[_Union[RebuildProgress, _Mapping]] = ..., tree: _Optional[_Union[Tree, _Mapping]] = ...) -> None: ...

class RebuildProgress(_message.Message):
    __slots__ = ("files_read", "files_total")
    FILES_READ_FIELD_NUMBER: _ClassVar[int]
    FILES_TOTAL_FIELD_NUMBER: _ClassVar[int]
    files_read: int
    files_total: int
    def __init__(self, files_read: _Optional[int] = ..., files_total: _Optional[int] = ...) -> None: ...

class ListTreesRequest(_message.Message):
    __slots__ = ("page_size", "page_token")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListTreesResponse(_message.Message):
    __slots__ = ("trees", "next_page_token")
    TREES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    trees: _containers.RepeatedCompositeFieldContainer[Tree]
    next_page_token: str
    def __init__(self, trees: _Optional[_Iterable[_Union[Tree, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class WatchDatabaseRequest(_message.Message):
    __slots__ = ("release",)
    RELEASE_FIELD_NUMBER: _ClassVar[int]
    release: str
    def __init__(self, release: _Optional[str] = ...) -> None: ...

class WatchDatabaseResponse(_message.Message):
    __slots__ = ("tree", "gone_release")
    TREE_FIELD_NUMBER: _ClassVar[int]
    GONE_RELEASE_FIELD_NUMBER: _ClassVar[int]
    tree: Tree
    gone_release: str
    def __init__(self, tree: _Optional[_Union[Tree, _Mapping]] = ..., gone_release: _Optional[str] = ...) -> None: ...

class Tree(_message.Message):
    __slots__ = ("release", "directory", "generation", "built_time", "module_count", "published", "problem", "warnings")
    RELEASE_FIELD_NUMBER: _ClassVar[int]
    DIRECTORY_FIELD_NUMBER: _ClassVar[int]
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    BUILT_TIME_FIELD_NUMBER: _ClassVar[int]
    MODULE_COUNT_FIELD_NUMBER: _ClassVar[int]
    PUBLISHED_FIELD_NUMBER: _ClassVar[int]
    PROBLEM_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    release: str
    directory: str
    generation: int
    built_time: _timestamp_pb2.Timestamp
    module_count: int
    published: bool
    problem: str
    warnings: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, release: _Optional[str] = ..., directory: _Optional[str] = ..., generation: _Optional[int] = ..., built_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., module_count: _Optional[int] = ..., published: bool = ..., problem: _Optional[str] = ..., warnings: _Optional[_Iterable[str]] = ...) -> None: ...
