# SPDX-License-Identifier: Apache-2.0
"""modules.devname: the device nodes whose opening loads a module, as their aliases give them."""

import re
from collections.abc import Iterable

from kmodd.database.text import lines
from kmodd.records import record

_NUMBERS = re.compile(r"(char|block)-major-\s*\+?(\d{1,10})-\s*\+?(\d{1,10})", re.ASCII)
_DEVICE_LINE = re.compile(r"(\S+) (.+) ([bc])(\d{1,10}):(\d{1,10})", re.ASCII)


@record
class DeviceNode:
    """A device node whose opening loads ``module``; ``kind`` is ``c`` or ``b``."""

    module: str
    path: str
    kind: str
    major: int
    minor: int


def read_device_nodes(data: bytes) -> tuple[DeviceNode, ...]:
    """Return the device nodes that modules.devname lists."""
    found = (_DEVICE_LINE.fullmatch(line) for line in lines(data))
    return tuple(
        DeviceNode(match[1], match[2], match[3], int(match[4]), int(match[5]))
        for match in found
        if match
    )


def device_node(module: str, aliases: Iterable[str]) -> tuple[str | None, DeviceNode | None]:
    """Return the device name that a module's aliases give, and its node if they give numbers.

    The name comes of the last ``devname:``, the numbers of the last ``char-major-M-N`` or
    ``block-major-M-N`` up to the point where both are there. The name is None where none is given.
    """
    path: str | None = None
    numbers: tuple[str, int, int] | None = None
    for alias in aliases:
        if alias.startswith("devname:"):
            path = alias.removeprefix("devname:")
        elif match := _NUMBERS.match(alias):
            numbers = match[1][0], int(match[2]), int(match[3])
        if path is not None and numbers:
            return path, DeviceNode(module, path, *numbers)
    return path, None
