# SPDX-License-Identifier: Apache-2.0
"""What an image says of its kernel, and the same as bytes, to be kept.

The format of those is this project's own: a line with its name and version, a line with the SHA-256
of all that follows, and JSON.
"""

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from kmodd.kernelimage.questions import Answers, LayoutQuestion, digest_of
from kmodd.modulefile.exports import ExportedSymbol
from kmodd.records import field, record

HEADER = b"kmodd kernel image 4\n"
"""Another version is another header, and what is kept under the old one is read again."""

_DIGEST_SIZE = hashlib.sha256().digest_size * 2 + 1


class ImageStamp(NamedTuple):
    """What changes with an image: what is kept of it is of the file that has this stamp."""

    device: int
    inode: int
    size: int
    mtime_ns: int
    ctime_ns: int


@record
class ImageFacts:
    """What an image says of its kernel.

    ``vermagic`` is empty, and ``exports`` and ``directories`` (the names that are in /sys/module
    before any module is loaded) are None, where it does not say. ``certificates`` are those that
    the kernel trusts, X.509 in DER. ``layouts`` are the answers to what was asked of its types,
    None for a kernel that has none. ``per_cpu`` are its variables of which each processor has its
    own, with their bytes, as far as the types tell them. ``prototypes`` are words for what exported
    functions take and return (kernelimage.prototypes), of those alone of which the types say it.
    """

    release: str
    banner: str
    vermagic: str = ""
    exports: tuple[ExportedSymbol, ...] | None = None
    directories: frozenset[str] | None = None
    certificates: tuple[bytes, ...] = ()
    layouts: Answers | None = None
    per_cpu: Mapping[str, int] = field(default_factory=dict)
    prototypes: Mapping[str, str] = field(default_factory=dict)


def stamp_of(path: str) -> ImageStamp:
    """Return the stamp of the file as it is now; raises OSError."""
    status = os.stat(path)
    return ImageStamp(
        status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
    )


def dump_facts(
    facts: ImageFacts, stamp: ImageStamp, questions: Sequence[LayoutQuestion] = ()
) -> bytes:
    """Return what ``load_facts`` makes the same of again, for the same questions."""
    layouts = facts.layouts
    exports = facts.exports
    content = {
        "stamp": list(stamp),
        "release": facts.release,
        "banner": facts.banner,
        "vermagic": facts.vermagic,
        "exports": None if exports is None else _columns(exports),
        "directories": None if facts.directories is None else sorted(facts.directories),
        "certificates": [each.hex() for each in facts.certificates],
        "per_cpu": dict(facts.per_cpu),
        "prototypes": dict(facts.prototypes),
        "asked": digest_of(questions),
        "answers": None if layouts is None else [layouts.get(each) for each in questions],
    }
    body = json.dumps(content, separators=(",", ":")).encode()
    return b"%b%b\n%b" % (HEADER, hashlib.sha256(body).hexdigest().encode(), body)


def _columns(exports: tuple[ExportedSymbol, ...]) -> list[list[Any]]:
    """Return a list for each field: JSON is half as large that way."""
    return [[each[field] for each in exports] for field in range(len(ExportedSymbol._fields))]


def load_facts(
    data: bytes, stamp: ImageStamp, questions: Sequence[LayoutQuestion] = ()
) -> ImageFacts | None:
    """Return what ``data`` has of the image with that stamp, and of the answers to these questions.

    None where it is of another image, or others were asked.

    Raises ValueError for bytes of another version, and for any that are damaged.
    """
    start = len(HEADER) + _DIGEST_SIZE
    body = data[start:]
    if not data.startswith(HEADER):
        raise ValueError("it is of another version")
    if data[len(HEADER) : start] != hashlib.sha256(body).hexdigest().encode() + b"\n":
        raise ValueError("it is damaged: its checksum is wrong")
    try:
        return _facts(json.loads(body), stamp, questions)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError("it is not what kmodd writes") from error


def _facts(
    content: dict[str, Any], stamp: ImageStamp, questions: Sequence[LayoutQuestion]
) -> ImageFacts | None:
    if ImageStamp(*content["stamp"]) != stamp or content["asked"] != digest_of(questions):
        return None
    answers = content["answers"]
    exports, directories = content["exports"], content["directories"]
    return ImageFacts(
        release=content["release"],
        banner=content["banner"],
        vermagic=content["vermagic"],
        exports=None if exports is None else tuple(map(ExportedSymbol, *exports)),
        directories=None if directories is None else frozenset(directories),
        certificates=tuple(map(bytes.fromhex, content["certificates"])),
        layouts=None if answers is None else _given(questions, answers),
        per_cpu=content["per_cpu"],
        prototypes=content["prototypes"],
    )


def _given(questions: Sequence[LayoutQuestion], answers: list[int | None]) -> Answers:
    pairs = zip(questions, answers, strict=True)
    return {question: value for question, value in pairs if value is not None}
