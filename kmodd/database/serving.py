# SPDX-License-Identifier: Apache-2.0
"""The assistant's own side (see ``kmodd.database.assistant``).

It and what it imports are kept light, since the time until it answers is lost: pickle, typing, re
and dataclasses together take three times as long as Python's own start.
"""

from __future__ import annotations

import gc
import marshal
import struct
from binascii import crc32

from kmodd.freed_memory import keep_freed_memory

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, BinaryIO

MAGIC = b"kmR2"
FRAME = struct.Struct("<4sQI")
"""What precedes a result: MAGIC, the length, and the CRC-32."""

FRAME_MAX = 1 << 30
"""Bytes of the longest result."""


def serve(requests: BinaryIO, results: BinaryIO) -> None:
    """Answer requests until they end. A function that raises ends it: nobody is told why."""
    keep_freed_memory()
    gc.disable()  # nothing here is in a cycle, and what is read stays until the process ends
    while True:
        try:
            module, path, args = marshal.load(requests)
        except EOFError:
            return
        answer = marshal.dumps(_function(module, path)(*args))
        results.write(FRAME.pack(MAGIC, len(answer), crc32(answer)))
        results.write(answer)
        results.flush()


def _function(module: str, path: str) -> Callable[..., Any]:
    """Return what has that name in a module, which is imported."""
    found: Any = __import__(module, fromlist=("_",))
    for name in path.split("."):
        found = getattr(found, name)
    return found  # type: ignore[no-any-return]
