# SPDX-License-Identifier: Apache-2.0
"""A file of wishes for a fleet: one of kmodd-state(7), and for which nodes it is meant.

    [selector]
    release = ">=6.1"
    architecture = "x86_64"
    labels = { rack = "b*" }

    [[module]]
    name = "wireguard"

What a node's daemon is given is the same text, line for line, with the selector's lines empty.
"""

import os
import re
import sys
import tomllib
from collections.abc import Iterator, Mapping
from typing import Any

from kmodctl.errors import KmodctlError
from kmodctl.fleet.encoding import MAX_DOCUMENT
from kmodctl.fleet.model import NAME, Desired, Selector
from kmodctl.parser import CommandOptions
from kmodd.desired.condition import release_tests
from kmodd.desired.document import MAX_PATTERNS, read_document

_HEADER = re.compile(r"\s*\[\s*(?:selector|\"selector\"|'selector')\s*[\].]")
_ANY_HEADER = re.compile(r"\s*\[")


class WishFileError(KmodctlError):
    """A file of wishes is wrong; a line of the message for each complaint."""

    reason = "WRONG_WISHES"


def read_wish_file(text: bytes, name: str) -> Desired:
    """Return what a file wishes, as the wishes ``name``. Raises WishFileError."""
    if not NAME.fullmatch(name):
        raise WishFileError(f"wishes cannot be called {name!r}; give --name NAME")
    if len(text) > MAX_DOCUMENT:
        raise WishFileError(f"{name}: more than {MAX_DOCUMENT} bytes")
    try:
        decoded = text.decode()
        table = tomllib.loads(decoded)
        selector = _selector(table.pop("selector", {}))
        document = _without_selector(decoded, table)
    except (ValueError, RecursionError) as error:  # TOML's errors name their line
        raise WishFileError(f"{name}: {error}") from None
    problems = read_document(document, name).problems
    if problems:
        raise WishFileError("\n".join(problems))
    return Desired(name=name, document=document, selector=selector)


def read_named(options: CommandOptions) -> Desired:
    """Return what the first word, a file or - for stdin, wishes. Raises WishFileError."""
    file = options.words[0]
    name = options.name or os.path.basename(file).removesuffix(".toml")
    try:
        if file == "-":
            return read_wish_file(sys.stdin.buffer.read(MAX_DOCUMENT + 1), name)
        with open(file, "rb") as stream:
            return read_wish_file(stream.read(MAX_DOCUMENT + 1), name)
    except OSError as error:
        raise WishFileError(f"{file}: {error.strerror}") from None


def _without_selector(text: str, rest: Mapping[str, Any]) -> str:
    """Return the text with the lines of its selector empty, of which the ``rest`` must be left.

    Raises ValueError where a selector stands otherwise than as a table of its own.
    """
    lines, is_within = [], False
    for line in text.splitlines(keepends=True):
        if _ANY_HEADER.match(line):
            is_within = bool(_HEADER.match(line))
        lines.append("\n" if is_within else line)
    left = "".join(lines)
    try:
        is_right = tomllib.loads(left) == rest
    except tomllib.TOMLDecodeError:
        is_right = False
    if not is_right:
        raise ValueError("the selector is to be a table with a header, [selector], of its own")
    return left


def _selector(table: Any) -> Selector:
    """Return for which nodes wishes are meant. Raises ValueError."""
    if not isinstance(table, dict):
        raise ValueError("selector is a table")
    unknown = table.keys() - {"release", "architecture", "labels"}
    if unknown:
        raise ValueError(
            f"selector has {min(unknown)!r}, which is none of release, architecture, labels"
        )
    labels = table.get("labels", {})
    if not isinstance(labels, dict):
        raise ValueError("selector.labels is a table of names and patterns")
    return Selector(
        releases=tuple(test for text in _texts(table, "release") for test in release_tests(text)),
        architectures=tuple(_texts(table, "architecture")),
        labels=tuple(sorted((name, text) for name in labels for text in _texts(labels, name))),
    )


def _texts(table: Mapping[str, Any], key: str) -> Iterator[str]:
    """Yield the texts under ``key``: one, or a list of them. Raises ValueError."""
    value = table.get(key, [])
    texts = value if isinstance(value, list) else [value]
    if len(texts) > MAX_PATTERNS or not all(isinstance(each, str) for each in texts):
        raise ValueError(f"selector.{key} is a text, or a list of at most {MAX_PATTERNS}")
    yield from texts
