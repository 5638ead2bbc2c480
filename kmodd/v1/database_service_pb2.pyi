import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from kmodd.v1 import policy_pb2 as _policy_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class NameSource(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    NAME_SOURCE_UNSPECIFIED: _ClassVar[NameSource]
    NAME_SOURCE_CONFIG_ALIAS: _ClassVar[NameSource]
    NAME_SOURCE_MODULE: _ClassVar[NameSource]
    NAME_SOURCE_SYMBOL: _ClassVar[NameSource]
    NAME_SOURCE_COMMAND: _ClassVar[NameSource]
    NAME_SOURCE_ALIAS: _ClassVar[NameSource]
    NAME_SOURCE_BUILTIN: _ClassVar[NameSource]
    NAME_SOURCE_BUILTIN_ALIAS: _ClassVar[NameSource]

class ConfigDirective(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CONFIG_DIRECTIVE_UNSPECIFIED: _ClassVar[ConfigDirective]
    CONFIG_DIRECTIVE_BLACKLIST: _ClassVar[ConfigDirective]
    CONFIG_DIRECTIVE_INSTALL: _ClassVar[ConfigDirective]
    CONFIG_DIRECTIVE_REMOVE: _ClassVar[ConfigDirective]
    CONFIG_DIRECTIVE_ALIAS: _ClassVar[ConfigDirective]
    CONFIG_DIRECTIVE_OPTIONS: _ClassVar[ConfigDirective]
    CONFIG_DIRECTIVE_SOFTDEP: _ClassVar[ConfigDirective]
    CONFIG_DIRECTIVE_WEAKDEP: _ClassVar[ConfigDirective]

class DeviceKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    DEVICE_KIND_UNSPECIFIED: _ClassVar[DeviceKind]
    DEVICE_KIND_CHARACTER: _ClassVar[DeviceKind]
    DEVICE_KIND_BLOCK: _ClassVar[DeviceKind]
NAME_SOURCE_UNSPECIFIED: NameSource
NAME_SOURCE_CONFIG_ALIAS: NameSource
NAME_SOURCE_MODULE: NameSource
NAME_SOURCE_SYMBOL: NameSource
NAME_SOURCE_COMMAND: NameSource
NAME_SOURCE_ALIAS: NameSource
NAME_SOURCE_BUILTIN: NameSource
NAME_SOURCE_BUILTIN_ALIAS: NameSource
CONFIG_DIRECTIVE_UNSPECIFIED: ConfigDirective
CONFIG_DIRECTIVE_BLACKLIST: ConfigDirective
CONFIG_DIRECTIVE_INSTALL: ConfigDirective
CONFIG_DIRECTIVE_REMOVE: ConfigDirective
CONFIG_DIRECTIVE_ALIAS: ConfigDirective
CONFIG_DIRECTIVE_OPTIONS: ConfigDirective
CONFIG_DIRECTIVE_SOFTDEP: ConfigDirective
CONFIG_DIRECTIVE_WEAKDEP: ConfigDirective
DEVICE_KIND_UNSPECIFIED: DeviceKind
DEVICE_KIND_CHARACTER: DeviceKind
DEVICE_KIND_BLOCK: DeviceKind

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
    __slots__ = ("release", "directory", "generation", "built_time", "module_count", "published", "problem", "warnings", "unread_configuration", "left_out")
    RELEASE_FIELD_NUMBER: _ClassVar[int]
    DIRECTORY_FIELD_NUMBER: _ClassVar[int]
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    BUILT_TIME_FIELD_NUMBER: _ClassVar[int]
    MODULE_COUNT_FIELD_NUMBER: _ClassVar[int]
    PUBLISHED_FIELD_NUMBER: _ClassVar[int]
    PROBLEM_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    UNREAD_CONFIGURATION_FIELD_NUMBER: _ClassVar[int]
    LEFT_OUT_FIELD_NUMBER: _ClassVar[int]
    release: str
    directory: str
    generation: int
    built_time: _timestamp_pb2.Timestamp
    module_count: int
    published: bool
    problem: str
    warnings: _containers.RepeatedScalarFieldContainer[str]
    unread_configuration: _containers.RepeatedScalarFieldContainer[str]
    left_out: _containers.RepeatedCompositeFieldContainer[LeftOutModule]
    def __init__(self, release: _Optional[str] = ..., directory: _Optional[str] = ..., generation: _Optional[int] = ..., built_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., module_count: _Optional[int] = ..., published: bool = ..., problem: _Optional[str] = ..., warnings: _Optional[_Iterable[str]] = ..., unread_configuration: _Optional[_Iterable[str]] = ..., left_out: _Optional[_Iterable[_Union[LeftOutModule, _Mapping]]] = ...) -> None: ...

class LeftOutModule(_message.Message):
    __slots__ = ("name", "reason")
    NAME_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    name: str
    reason: str
    def __init__(self, name: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class ResolveAliasRequest(_message.Message):
    __slots__ = ("name", "release")
    NAME_FIELD_NUMBER: _ClassVar[int]
    RELEASE_FIELD_NUMBER: _ClassVar[int]
    name: str
    release: str
    def __init__(self, name: _Optional[str] = ..., release: _Optional[str] = ...) -> None: ...

class ResolveAliasResponse(_message.Message):
    __slots__ = ("modules", "source", "config_problems")
    MODULES_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    CONFIG_PROBLEMS_FIELD_NUMBER: _ClassVar[int]
    modules: _containers.RepeatedScalarFieldContainer[str]
    source: NameSource
    config_problems: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, modules: _Optional[_Iterable[str]] = ..., source: _Optional[_Union[NameSource, str]] = ..., config_problems: _Optional[_Iterable[str]] = ...) -> None: ...

class GetModuleInfoRequest(_message.Message):
    __slots__ = ("name", "release", "module_name_only", "symbols")
    NAME_FIELD_NUMBER: _ClassVar[int]
    RELEASE_FIELD_NUMBER: _ClassVar[int]
    MODULE_NAME_ONLY_FIELD_NUMBER: _ClassVar[int]
    SYMBOLS_FIELD_NUMBER: _ClassVar[int]
    name: str
    release: str
    module_name_only: bool
    symbols: bool
    def __init__(self, name: _Optional[str] = ..., release: _Optional[str] = ..., module_name_only: bool = ..., symbols: bool = ...) -> None: ...

class GetModuleInfoResponse(_message.Message):
    __slots__ = ("modules",)
    MODULES_FIELD_NUMBER: _ClassVar[int]
    modules: _containers.RepeatedCompositeFieldContainer[ModuleInfo]
    def __init__(self, modules: _Optional[_Iterable[_Union[ModuleInfo, _Mapping]]] = ...) -> None: ...

class InspectModuleRequest(_message.Message):
    __slots__ = ("header", "chunk")
    HEADER_FIELD_NUMBER: _ClassVar[int]
    CHUNK_FIELD_NUMBER: _ClassVar[int]
    header: InspectModuleHeader
    chunk: bytes
    def __init__(self, header: _Optional[_Union[InspectModuleHeader, _Mapping]] = ..., chunk: _Optional[bytes] = ...) -> None: ...

class InspectModuleHeader(_message.Message):
    __slots__ = ("file_name",)
    FILE_NAME_FIELD_NUMBER: _ClassVar[int]
    file_name: str
    def __init__(self, file_name: _Optional[str] = ...) -> None: ...

class InspectModuleResponse(_message.Message):
    __slots__ = ("module",)
    MODULE_FIELD_NUMBER: _ClassVar[int]
    module: ModuleInfo
    def __init__(self, module: _Optional[_Union[ModuleInfo, _Mapping]] = ...) -> None: ...

class ModuleInfo(_message.Message):
    __slots__ = ("name", "path", "builtin", "fields", "build_id", "signature", "versions", "exports", "error", "error_errno")
    NAME_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    BUILTIN_FIELD_NUMBER: _ClassVar[int]
    FIELDS_FIELD_NUMBER: _ClassVar[int]
    BUILD_ID_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    VERSIONS_FIELD_NUMBER: _ClassVar[int]
    EXPORTS_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    ERROR_ERRNO_FIELD_NUMBER: _ClassVar[int]
    name: str
    path: str
    builtin: bool
    fields: _containers.RepeatedCompositeFieldContainer[ModuleInfoField]
    build_id: bytes
    signature: ModuleSignature
    versions: _containers.RepeatedCompositeFieldContainer[SymbolCrc]
    exports: _containers.RepeatedCompositeFieldContainer[SymbolCrc]
    error: str
    error_errno: int
    def __init__(self, name: _Optional[str] = ..., path: _Optional[str] = ..., builtin: bool = ..., fields: _Optional[_Iterable[_Union[ModuleInfoField, _Mapping]]] = ..., build_id: _Optional[bytes] = ..., signature: _Optional[_Union[ModuleSignature, _Mapping]] = ..., versions: _Optional[_Iterable[_Union[SymbolCrc, _Mapping]]] = ..., exports: _Optional[_Iterable[_Union[SymbolCrc, _Mapping]]] = ..., error: _Optional[str] = ..., error_errno: _Optional[int] = ...) -> None: ...

class ModuleInfoField(_message.Message):
    __slots__ = ("key", "value", "raw_value", "raw_key")
    KEY_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    RAW_VALUE_FIELD_NUMBER: _ClassVar[int]
    RAW_KEY_FIELD_NUMBER: _ClassVar[int]
    key: str
    value: str
    raw_value: bytes
    raw_key: bytes
    def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ..., raw_value: _Optional[bytes] = ..., raw_key: _Optional[bytes] = ...) -> None: ...

class ModuleSignature(_message.Message):
    __slots__ = ("id", "signer", "key_id", "hash_algorithm", "value", "raw_signer")
    ID_FIELD_NUMBER: _ClassVar[int]
    SIGNER_FIELD_NUMBER: _ClassVar[int]
    KEY_ID_FIELD_NUMBER: _ClassVar[int]
    HASH_ALGORITHM_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    RAW_SIGNER_FIELD_NUMBER: _ClassVar[int]
    id: str
    signer: str
    key_id: bytes
    hash_algorithm: str
    value: bytes
    raw_signer: bytes
    def __init__(self, id: _Optional[str] = ..., signer: _Optional[str] = ..., key_id: _Optional[bytes] = ..., hash_algorithm: _Optional[str] = ..., value: _Optional[bytes] = ..., raw_signer: _Optional[bytes] = ...) -> None: ...

class SymbolCrc(_message.Message):
    __slots__ = ("symbol", "crc")
    SYMBOL_FIELD_NUMBER: _ClassVar[int]
    CRC_FIELD_NUMBER: _ClassVar[int]
    symbol: str
    crc: int
    def __init__(self, symbol: _Optional[str] = ..., crc: _Optional[int] = ...) -> None: ...

class GetConfigurationRequest(_message.Message):
    __slots__ = ("release",)
    RELEASE_FIELD_NUMBER: _ClassVar[int]
    release: str
    def __init__(self, release: _Optional[str] = ...) -> None: ...

class GetConfigurationResponse(_message.Message):
    __slots__ = ("entries", "aliases", "problems")
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    ALIASES_FIELD_NUMBER: _ClassVar[int]
    PROBLEMS_FIELD_NUMBER: _ClassVar[int]
    entries: _containers.RepeatedCompositeFieldContainer[ConfigEntry]
    aliases: _containers.RepeatedCompositeFieldContainer[AliasEntry]
    problems: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, entries: _Optional[_Iterable[_Union[ConfigEntry, _Mapping]]] = ..., aliases: _Optional[_Iterable[_Union[AliasEntry, _Mapping]]] = ..., problems: _Optional[_Iterable[str]] = ...) -> None: ...

class ConfigEntry(_message.Message):
    __slots__ = ("directive", "name", "text", "file", "line")
    DIRECTIVE_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    FILE_FIELD_NUMBER: _ClassVar[int]
    LINE_FIELD_NUMBER: _ClassVar[int]
    directive: ConfigDirective
    name: str
    text: str
    file: str
    line: int
    def __init__(self, directive: _Optional[_Union[ConfigDirective, str]] = ..., name: _Optional[str] = ..., text: _Optional[str] = ..., file: _Optional[str] = ..., line: _Optional[int] = ...) -> None: ...

class AliasEntry(_message.Message):
    __slots__ = ("alias", "module")
    ALIAS_FIELD_NUMBER: _ClassVar[int]
    MODULE_FIELD_NUMBER: _ClassVar[int]
    alias: str
    module: str
    def __init__(self, alias: _Optional[str] = ..., module: _Optional[str] = ...) -> None: ...

class GetDependenciesRequest(_message.Message):
    __slots__ = ("name", "release")
    NAME_FIELD_NUMBER: _ClassVar[int]
    RELEASE_FIELD_NUMBER: _ClassVar[int]
    name: str
    release: str
    def __init__(self, name: _Optional[str] = ..., release: _Optional[str] = ...) -> None: ...

class GetDependenciesResponse(_message.Message):
    __slots__ = ("names", "modules")
    NAMES_FIELD_NUMBER: _ClassVar[int]
    MODULES_FIELD_NUMBER: _ClassVar[int]
    names: _containers.RepeatedScalarFieldContainer[str]
    modules: _containers.RepeatedCompositeFieldContainer[ModuleNeeds]
    def __init__(self, names: _Optional[_Iterable[str]] = ..., modules: _Optional[_Iterable[_Union[ModuleNeeds, _Mapping]]] = ...) -> None: ...

class ModuleNeeds(_message.Message):
    __slots__ = ("name", "path", "builtin", "depends", "soft_before", "soft_after")
    NAME_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    BUILTIN_FIELD_NUMBER: _ClassVar[int]
    DEPENDS_FIELD_NUMBER: _ClassVar[int]
    SOFT_BEFORE_FIELD_NUMBER: _ClassVar[int]
    SOFT_AFTER_FIELD_NUMBER: _ClassVar[int]
    name: str
    path: str
    builtin: bool
    depends: _containers.RepeatedScalarFieldContainer[str]
    soft_before: _containers.RepeatedScalarFieldContainer[str]
    soft_after: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, name: _Optional[str] = ..., path: _Optional[str] = ..., builtin: bool = ..., depends: _Optional[_Iterable[str]] = ..., soft_before: _Optional[_Iterable[str]] = ..., soft_after: _Optional[_Iterable[str]] = ...) -> None: ...

class FindModulesRequest(_message.Message):
    __slots__ = ("release", "pattern", "words", "builtin", "descriptions")
    RELEASE_FIELD_NUMBER: _ClassVar[int]
    PATTERN_FIELD_NUMBER: _ClassVar[int]
    WORDS_FIELD_NUMBER: _ClassVar[int]
    BUILTIN_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTIONS_FIELD_NUMBER: _ClassVar[int]
    release: str
    pattern: str
    words: _containers.RepeatedScalarFieldContainer[str]
    builtin: bool
    descriptions: bool
    def __init__(self, release: _Optional[str] = ..., pattern: _Optional[str] = ..., words: _Optional[_Iterable[str]] = ..., builtin: bool = ..., descriptions: bool = ...) -> None: ...

class FindModulesResponse(_message.Message):
    __slots__ = ("modules",)
    MODULES_FIELD_NUMBER: _ClassVar[int]
    modules: _containers.RepeatedCompositeFieldContainer[FoundModule]
    def __init__(self, modules: _Optional[_Iterable[_Union[FoundModule, _Mapping]]] = ...) -> None: ...

class FoundModule(_message.Message):
    __slots__ = ("name", "path", "builtin", "description", "aliases")
    NAME_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    BUILTIN_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    ALIASES_FIELD_NUMBER: _ClassVar[int]
    name: str
    path: str
    builtin: bool
    description: str
    aliases: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, name: _Optional[str] = ..., path: _Optional[str] = ..., builtin: bool = ..., description: _Optional[str] = ..., aliases: _Optional[_Iterable[str]] = ...) -> None: ...

class GetStaticNodesRequest(_message.Message):
    __slots__ = ("release",)
    RELEASE_FIELD_NUMBER: _ClassVar[int]
    release: str
    def __init__(self, release: _Optional[str] = ...) -> None: ...

class GetStaticNodesResponse(_message.Message):
    __slots__ = ("nodes",)
    NODES_FIELD_NUMBER: _ClassVar[int]
    nodes: _containers.RepeatedCompositeFieldContainer[StaticNode]
    def __init__(self, nodes: _Optional[_Iterable[_Union[StaticNode, _Mapping]]] = ...) -> None: ...

class StaticNode(_message.Message):
    __slots__ = ("module", "path", "kind", "major", "minor")
    MODULE_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    MAJOR_FIELD_NUMBER: _ClassVar[int]
    MINOR_FIELD_NUMBER: _ClassVar[int]
    module: str
    path: str
    kind: DeviceKind
    major: int
    minor: int
    def __init__(self, module: _Optional[str] = ..., path: _Optional[str] = ..., kind: _Optional[_Union[DeviceKind, str]] = ..., major: _Optional[int] = ..., minor: _Optional[int] = ...) -> None: ...
