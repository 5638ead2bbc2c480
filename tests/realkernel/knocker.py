# SPDX-License-Identifier: Apache-2.0
"""Knocks at a socket until its standard input ends: ``knocker.py SOCKET [CALLERS]``.

So many CALLERS knock besides, each again as soon as it was answered. It prints "answered" once it
was answered for the first time, and in the end, as JSON, for each knock when it began and when it
was over (time.monotonic), the errno of connect(2), and the status of its call.
"""

import json
import re
import select
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.realkernel.service_unit import PATIENCE
from tests.support.http2 import RawConnection

CALL = "/kmodd.v1.ModuleService/ListModules"
PAUSE = 0.25
"""Seconds between two knocks: each waits on a thread of its own for what becomes of it."""

THREADS = 256

Knock = tuple[float, float, int, str]


def main(path: Path, callers: int) -> None:
    """Knock, whatever becomes of the knocks before."""
    over = threading.Event()
    with ThreadPoolExecutor(THREADS) as pool:
        knocks = [pool.submit(knock, path)]
        knocks[0].result()
        calling = [pool.submit(knock_on, path, over) for _ in range(callers)]
        print("answered", flush=True)
        while not select.select([sys.stdin], [], [], PAUSE)[0]:
            knocks.append(pool.submit(knock, path))
        over.set()
        called = [each for caller in calling for each in caller.result()]
        print(json.dumps([*called, *(each.result() for each in knocks)]))


def knock_on(path: Path, over: threading.Event) -> list[Knock]:
    """Knock without a pause until it is ``over``."""
    knocks = []
    while not over.is_set():
        knocks.append(knock(path))
    return knocks


def knock(path: Path) -> Knock:
    """Connect, and call once; "" is the status of a call whose connection ended before it did."""
    began = time.monotonic()
    refusal, status = _answer(path)
    return began, time.monotonic(), refusal, status


def _answer(path: Path) -> tuple[int, str]:
    try:
        connection = RawConnection(path, patience=PATIENCE)
    except OSError as error:
        return error.errno or -1, ""
    with connection:
        try:
            trailers = connection.end_of(connection.call(CALL))
        except OSError:
            return 0, ""
    status = re.search(rb"grpc-status.(\d+)", trailers, re.DOTALL)
    return 0, status[1].decode() if status else ""


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0)
