# SPDX-License-Identifier: Apache-2.0
"""What a database is put together from, and what the next one may take over."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Part:
    """Some of a database's files, and what there was to complain of when each of them was made."""

    files: Mapping[str, bytes]
    problems: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Made:
    """Something of a database, and all that it was made of: equal ingredients, equal thing."""

    made_of: object
    value: Any
