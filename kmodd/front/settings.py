# SPDX-License-Identifier: Apache-2.0
"""What a front is told at its start."""

import json
from dataclasses import asdict, dataclass, fields


@dataclass(frozen=True, slots=True, kw_only=True)
class FrontSettings:
    """What a front is told at its start. Sizes in bytes, times in seconds.

    ``methods`` are all that there are, ``streaming`` those that take a stream of requests, and
    ``answering`` those that answer with one. ``memory`` is how much data the process can have;
    where ``memory_eased`` is in use, connections are ended that cost most.
    """

    methods: tuple[str, ...]
    streaming: tuple[str, ...]
    answering: tuple[str, ...]
    message_bytes: int
    header_bytes: int
    streams: int
    calls: int
    user_bytes: int
    connection_bytes: int
    connection_idle: float
    ping_interval: float
    handshake: float
    memory: int
    memory_eased: int

    def words(self) -> str:
        """Return it as it is sent."""
        return json.dumps(asdict(self))

    @classmethod
    def of(cls, words: str) -> "FrontSettings":
        """Return what ``words`` say, which are the daemon's."""
        told = json.loads(words)
        return cls(**{each.name: told[each.name] for each in fields(cls)})
