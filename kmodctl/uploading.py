# SPDX-License-Identifier: Apache-2.0
"""Sends module files: a header, then the bytes in pieces."""

import os

from kmodd.messages.module_service import (
    InsertModuleHeader,
    InsertModuleRequest,
    InsertModuleResponse,
    LoadModulesRequest,
    Module,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from io import BufferedReader

    from kmodctl.api import Api

CHUNK = 256 << 10
"""Bytes of a module file in one message."""


def insert(
    api: "Api",
    path: str,
    parameters: str = "",
    *,
    ignore_vermagic: bool = False,
    ignore_modversions: bool = False,
) -> Module:
    """Send the module file ``path`` and load it as it is; return it as listed.

    Raises OSError where the file cannot be read, CallError where it cannot be loaded.
    """
    header = InsertModuleHeader(
        file_name=sendable(path),
        parameters=parameters,
        ignore_vermagic=ignore_vermagic,
        ignore_modversions=ignore_modversions,
    )
    return _sent(api, path, header).module or Module()


def load_file(api: "Api", path: str, request: LoadModulesRequest) -> InsertModuleResponse:
    """Send the module file ``path`` and load it with what it needs, as ``request`` says.

    Raises as ``insert`` does.
    """
    name = os.path.join(os.getcwd(), path)
    return _sent(api, path, InsertModuleHeader(file_name=sendable(name), load=request))


def sendable(text: str) -> str:
    """Return a file's name as a message can carry it."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _sent(api: "Api", path: str, header: InsertModuleHeader) -> InsertModuleResponse:
    with open(path, "rb") as file:
        return api.modules.insert_module(_requests(header, file))


def _requests(
    header: InsertModuleHeader, file: "BufferedReader"
) -> "Iterator[InsertModuleRequest]":
    yield InsertModuleRequest(header=header)
    while chunk := file.read(CHUNK):
        yield InsertModuleRequest(chunk=chunk)
