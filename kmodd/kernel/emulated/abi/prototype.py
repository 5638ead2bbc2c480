# SPDX-License-Identifier: Apache-2.0
"""C prototypes: what a kernel function takes and gives."""

import re
from functools import cache

from kmodd.records import record

_NUMBERS = {
    "void": (0, False),
    "bool": (1, False),
    "char": (1, True),
    "u8": (1, False),
    "s8": (1, True),
    "u16": (2, False),
    "short": (2, True),
    "umode_t": (2, False),
    "__be16": (2, False),
    "int": (4, True),
    "u32": (4, False),
    "s32": (4, True),
    "gfp_t": (4, False),
    "dev_t": (4, False),
    "slab_flags_t": (4, False),
    "pci_power_t": (4, True),
    "irqreturn_t": (4, False),
    "acpi_status": (4, False),
    "long": (8, True),
    "u64": (8, False),
    "s64": (8, True),
    "size_t": (8, False),
    "ssize_t": (8, True),
    "loff_t": (8, True),
    "ktime_t": (8, True),
    "dma_addr_t": (8, False),
    "phys_addr_t": (8, False),
    "resource_size_t": (8, False),
    "sector_t": (8, False),
    "async_cookie_t": (8, False),
    "time64_t": (8, True),
    "clockid_t": (4, True),
    "u_int8_t": (1, False),
}
"""The bytes of types, and whether they can be below zero; all others are pointers."""

_STRUCTURES = frozenset({"kuid_t", "kgid_t", "pgprot_t", "sockptr_t", "guid_t"})
"""Types that are structures by another name."""

_SHAPE = re.compile(
    r"(?P<result>.*?[\s*])(?P<names>\w+(?:\|\w+)*)\((?P<parameters>.*)\)"
    r"(?: since (?P<since>\d+\.\d+))?(?: until (?P<until>\d+\.\d+))?"
)
_WORD = re.compile(r"\w+|\*")


@record
class Kind:
    """A type as far as a call depends on it: ``size`` in bytes, 0 for void."""

    size: int
    signed: bool
    is_pointer: bool = False
    is_structure: bool = False

    @property
    def letter(self) -> str:
        """What stands for it in a word (kernelimage.prototypes)."""
        if self.is_pointer or self.is_structure:
            return "p" if self.is_pointer else "s"
        return _LETTERS[self.size, self.signed]

    def take(self, word: int) -> int:
        """Return what a register's contents stand for."""
        if self.size == 8 and not self.signed:
            return word
        value = word & ((1 << 8 * self.size) - 1)
        return value - (1 << 8 * self.size) if self.signed and value >> 8 * self.size - 1 else value


POINTER = Kind(8, signed=False, is_pointer=True)
_STRUCTURE = Kind(8, signed=False, is_structure=True)
_LETTERS = {
    (0, False): "v",
    (1, False): "1",
    (2, False): "2",
    (4, False): "4",
    (8, False): "8",
    (1, True): "b",
    (2, True): "h",
    (4, True): "i",
    (8, True): "l",
}
_FIRST, _LAST = (0, 0), (1 << 16, 0)
_COARSE = str.maketrans(dict.fromkeys("1248bhil", "n"))

Version = tuple[int, int]
"""A kernel's version and patch level: (6, 12)."""


@record
class Prototype:
    """A function's declaration. ``text`` is how it is written down.

    ``coarse_word`` is what a kernel that has it so says of it (kernelimage.prototypes), with ``n``
    for a number. ``since`` and ``until`` are the first and the last kernel that it is of, None for
    any.
    """

    text: str
    name: str
    result: Kind
    parameters: tuple[tuple[str, Kind], ...]
    is_variadic: bool = False
    coarse_word: str = ""
    since: Version | None = None
    until: Version | None = None

    def position(self, parameter: str) -> int:
        """Return which one of the parameters has that name; raises ValueError."""
        return [name for name, _ in self.parameters].index(parameter)

    def is_of(self, version: Version) -> bool:
        """Tell whether it is that of a kernel of this version."""
        return (self.since or version) <= version <= (self.until or version)

    def meets(self, other: "Prototype") -> bool:
        """Tell whether there may be a kernel of which nothing says that it has one of the two, and
        not the other.
        """
        first = max(self.since or _FIRST, other.since or _FIRST)
        is_together = first <= min(self.until or _LAST, other.until or _LAST)
        return is_together and self.coarse_word == other.coarse_word

    def agrees(self, word: str) -> bool:
        """Tell whether a kernel's function with that word (kernelimage.prototypes) is this one.

        The parameters are as many, and each of the same kind, and so is what is returned: a
        pointer, a number, a structure, or nothing. How wide a number is does not count: one that is
        passed is within either width. Nor does a number that is returned where nothing is: nobody
        looks there.
        """
        theirs = _coarse(word.partition(":")[0])
        ours = self.coarse_word
        return ours == theirs or (theirs[0] == "v" and ours[0] == "n" and ours[1:] == theirs[1:])


def _coarse(word: str) -> str:
    """Return a word with one letter for all numbers."""
    return word.translate(_COARSE)


def parse_prototype(text: str) -> Prototype:
    """Read the prototype of one function; raises ValueError for another text."""
    (prototype,) = parse_prototypes(text)
    return prototype


def parse_prototypes(text: str) -> tuple[Prototype, ...]:
    """Read a prototype in which every parameter has a name, for each function that has it.

    ``void *kmalloc_trace|__kmalloc_cache_noprof(void *s, gfp_t flags, size_t size)`` has two, which
    differ in nothing but their names. Behind it may stand of which kernels it is, from the first
    to the last: ``since 6.4``, ``until 6.3``, ``since 5.15 until 6.3``.

    Raises ValueError for another text.
    """
    text = " ".join(text.split())
    found = _SHAPE.fullmatch(text)
    if found is None:
        raise ValueError(f"not a prototype: {text}")
    parameters: list[tuple[str, Kind]] = []
    variadic = False
    for part in _parts(found["parameters"]):
        if part == "...":
            variadic = True
        elif part != "void":
            words = _WORD.findall(part)
            is_function = "(" in part
            name = words[words.index("*") + 1] if is_function else words[-1]
            points = is_function or "[" in part
            parameters.append((name, POINTER if points else _kind(part[: part.rindex(name)])))
    result, since, until = (
        _kind(found["result"]),
        _version(found["since"]),
        _version(found["until"]),
    )
    letters = "".join(kind.letter for kind in (result, *(kind for _, kind in parameters)))
    word = _coarse(letters) + "." * variadic
    return tuple(
        Prototype(text, name, result, tuple(parameters), variadic, word, since, until)
        for name in found["names"].split("|")
    )


def _version(text: str | None) -> Version | None:
    if text is None:
        return None
    major, _, minor = text.partition(".")
    return int(major), int(minor)


def _parts(text: str) -> list[str]:
    """Cut parameters at the commas that are not within parentheses."""
    parts, depth, start = list[str](), 0, 0
    for at, letter in enumerate(text):
        depth += (letter == "(") - (letter == ")")
        if letter == "," and not depth:
            parts.append(text[start:at].strip())
            start = at + 1
    return [*parts, text[start:].strip()] if text.strip() else []


@cache
def _kind(text: str) -> Kind:
    """Return the type that is written as ``text``."""
    if "*" in text or "[" in text or "va_list" in text:
        return POINTER
    words = [word for word in text.split() if word not in ("const", "extern")]
    if words[0] in ("struct", "union") or words[-1] in _STRUCTURES:
        return _STRUCTURE
    unsigned = "unsigned" in words
    if words[:1] == ["enum"] or words == ["unsigned"]:
        return Kind(4, signed=False)
    found = _NUMBERS.get(words[-1])
    return POINTER if found is None else Kind(found[0], found[1] and not unsigned)
