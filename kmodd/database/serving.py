# SPDX-License-Identifier: Apache-2.0
"""The assistant's own side (see ``kmodd.database.assistant``).

It and what it imports are kept light, since the time until it answers is lost.
"""

import gc
import pickle
import struct
import zlib
from typing import BinaryIO

MAGIC = b"kmR1"
FRAME = struct.Struct("<4sQI")
"""What precedes a result: MAGIC, the length, and the CRC-32."""

FRAME_MAX = 1 << 30
"""Bytes of the longest result."""


def serve(requests: BinaryIO, results: BinaryIO) -> None:
    """Answer requests until they end. A function that raises ends it: nobody is told why."""
    gc.disable()  # nothing here is in a cycle, and what is read stays until the process ends
    while True:
        try:
            function, args, kwargs = pickle.load(requests)
        except EOFError:
            return
        answer = pickle.dumps(function(*args, **kwargs), protocol=5)
        results.write(FRAME.pack(MAGIC, len(answer), zlib.crc32(answer)))
        results.write(answer)
        results.flush()
