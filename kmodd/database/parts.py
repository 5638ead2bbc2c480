# SPDX-License-Identifier: Apache-2.0
"""What a database is put together from, and what the next one may take over."""

from __future__ import annotations

from kmodd.records import field, record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, Protocol

    class Filed(Protocol):
        """What has files, whatever else it keeps for the next ones like them."""

        @property
        def files(self) -> Mapping[str, bytes]:
            """The files, by name."""

        @property
        def problems(self) -> Mapping[str, tuple[str, ...]]:
            """What there was to complain of, by the names of the files."""


@record
class Part:
    """Some of a database's files, and what there was to complain of when each of them was made."""

    files: Mapping[str, bytes]
    problems: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@record
class Made:
    """Something of a database, and all that it was made of: equal ingredients, equal thing."""

    made_of: Any
    value: Any
