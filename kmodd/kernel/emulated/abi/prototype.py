# SPDX-License-Identifier: Apache-2.0
"""C prototypes: what a kernel function takes and gives."""

import re
from dataclasses import dataclass
from functools import cache

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
}
"""The bytes of types, and whether they can be below zero; all others are pointers."""

_SHAPE = re.compile(r"(?P<result>.*?[\s*])(?P<name>\w+)\((?P<parameters>.*)\)", re.DOTALL)
_WORD = re.compile(r"\w+|\*")


@dataclass(frozen=True, slots=True)
class Kind:
    """A type as far as a call depends on it: ``size`` in bytes, 0 for void."""

    size: int
    signed: bool
    is_pointer: bool = False

    def take(self, word: int) -> int:
        """Return what a register's contents stand for."""
        if self.size == 8 and not self.signed:
            return word
        value = word & ((1 << 8 * self.size) - 1)
        return value - (1 << 8 * self.size) if self.signed and value >> 8 * self.size - 1 else value


POINTER = Kind(8, signed=False, is_pointer=True)


@dataclass(frozen=True, slots=True)
class Prototype:
    """A function's declaration. ``text`` is how it is written down."""

    text: str
    name: str
    result: Kind
    parameters: tuple[tuple[str, Kind], ...]
    is_variadic: bool = False

    def position(self, parameter: str) -> int:
        """Return which one of the parameters has that name; raises ValueError."""
        return [name for name, _ in self.parameters].index(parameter)


def parse_prototype(text: str) -> Prototype:
    """Read a prototype in which every parameter has a name; raises ValueError for another text."""
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
    return Prototype(text, found["name"], _kind(found["result"]), tuple(parameters), variadic)


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
    unsigned = "unsigned" in words
    if words[:1] == ["enum"] or words == ["unsigned"]:
        return Kind(4, signed=False)
    found = _NUMBERS.get(words[-1])
    return POINTER if found is None else Kind(found[0], found[1] and not unsigned)
