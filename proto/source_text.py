# SPDX-License-Identifier: Apache-2.0
"""What the writers of source share: comments of the API's files as docstrings."""

from collections.abc import Iterator
from textwrap import wrap

from google.protobuf.descriptor_pb2 import FileDescriptorProto

WIDTH = 100
"""Columns of a line of source."""


def docstring(text: str, indent: int = 4) -> Iterator[str]:
    """Yield the lines of a docstring, indented by so many columns."""
    for line in wrap(f'"""{text}"""', WIDTH - indent, break_on_hyphens=False):
        yield f"{' ' * indent}{line}"


def comment_of(file: FileDescriptorProto, path: tuple[int, ...]) -> str:
    """Return the comment of what stands at ``path`` (descriptor.proto, SourceCodeInfo)."""
    locations = file.source_code_info.location
    (place,) = (each for each in locations if tuple(each.path) == path)
    return " ".join(place.leading_comments.split())
