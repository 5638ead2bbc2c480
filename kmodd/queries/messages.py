# SPDX-License-Identifier: Apache-2.0
"""What a module says of itself, as a message of the API."""

from kmodd.modulefile import Signature
from kmodd.modulefile.versions import SymbolVersion
from kmodd.queries.modinfo import ModuleInfo
from kmodd.v1 import database_service_pb2 as pb


def text(value: str) -> str:
    """Return ``value`` as a protobuf string can carry it: bytes that are not UTF-8 replaced."""
    if value.isascii():
        return value
    return value.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def info_message(info: ModuleInfo) -> pb.ModuleInfo:
    """Return what a module says of itself."""
    return pb.ModuleInfo(
        name=text(info.name),
        path=text(info.path),
        builtin=info.builtin,
        fields=[_field(key, value) for key, value in info.fields],
        build_id=info.build_id,
        signature=_signature(info.signature) if info.signature else None,
        versions=map(_symbol, info.versions),
        exports=map(_symbol, info.exports),
        error=text(info.error),
        error_errno=info.errno,
    )


def _field(key: str, value: str) -> pb.ModuleInfoField:
    return pb.ModuleInfoField(
        key=text(key), value=text(value), raw_value=_raw(value), raw_key=_raw(key)
    )


def _raw(value: str) -> bytes:
    """Return the bytes of ``value`` where they are not UTF-8, none where they are."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return value.encode("utf-8", "surrogateescape")
    return b""


def _signature(signature: Signature) -> pb.ModuleSignature:
    return pb.ModuleSignature(
        id=signature.type.value,
        signer=text(signature.signer),
        raw_signer=_raw(signature.signer),
        key_id=signature.key_id,
        hash_algorithm=signature.hash_algorithm,
        value=signature.value,
    )


def _symbol(version: SymbolVersion) -> pb.SymbolCrc:
    return pb.SymbolCrc(symbol=text(version.name), crc=version.crc & 0xFFFFFFFF)
