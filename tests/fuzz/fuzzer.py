# SPDX-License-Identifier: Apache-2.0
"""What a fuzzer is, and which there are."""

import importlib
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

NAMES = (
    "front-wire",
    "guest-wire",
    "http2",
    "kernel-image",
    "kernel-wire",
    "modprobe-d",
    "module",
    "requests",
    "settings",
)

CORPUS = Path(__file__).parent / "corpus"

Target = Callable[[bytes], None]
"""Does with an input what is done with it in a daemon. Whatever it raises is a finding."""


@dataclass(frozen=True, slots=True)
class Format:
    """How an input falls into pieces, so that one of them can be changed and all else stays whole.

    ``split`` takes any bytes, and what it leaves out is lost; ``join`` makes them an input again.
    """

    split: Callable[[bytes], list[bytes]]
    join: Callable[[list[bytes]], bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fuzzer:
    """One fuzzer.

    ``opened`` gives the target and what it needs, for many inputs. ``seeds`` are good inputs,
    beside those of the corpus; ``longest`` is how many bytes one may have. ``words`` are what the
    format consists of, ``format`` its pieces. ``memory`` is how many bytes of data the target may
    take beyond what it has at its start, ``seconds`` the time of a processor for one input.
    """

    opened: Callable[[], AbstractContextManager[Target]]
    seeds: Callable[[], Iterable[bytes]]
    longest: int = 4096
    words: tuple[str, ...] = ()
    format: Format | None = None
    memory: int = 256 << 20
    seconds: float = 10.0


def fuzzer_of(name: str) -> Fuzzer:
    """Return the fuzzer of a name in NAMES."""
    found: Fuzzer = importlib.import_module(f"tests.fuzz.{name.replace('-', '_')}").FUZZER
    return found


def corpus_of(name: str) -> list[Path]:
    """Return the inputs of a fuzzer that are checked in."""
    return sorted((CORPUS / name).glob("*"))
