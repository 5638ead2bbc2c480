# SPDX-License-Identifier: Apache-2.0
"""The types of a kernel that is laid out as what is typed in of 6.1, and has nothing else."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

from kmodd.kernel.emulated.abi import structures
from kmodd.kernel.emulated.abi.per_cpu import OF_6_1
from kmodd.kernel.emulated.abi.structures.declaring import Structure
from kmodd.kernelimage.btf import BtfKind
from tests.support.btf_writer import BtfWriter


@dataclass(slots=True)
class _Part:
    """A structure, or a field that may be one: where it is and how large, in bytes."""

    offset: int = 0
    size: int = 0
    fields: "defaultdict[str, _Part]" = field(default_factory=lambda: defaultdict(_Part))

    @property
    def extent(self) -> int:
        """Bytes that it takes at least."""
        ends = (each.offset + each.extent for each in self.fields.values())
        return max(self.size, 1, *ends) if self.fields else max(self.size, 1)


def known_types() -> bytes:
    """Return the section ``.BTF`` that gives all of the answers that are typed in."""
    writer = BtfWriter()
    sized: dict[int, int] = {}
    for name, part in _declared().items():
        _write(writer, name, part, sized)
    _write_per_cpu(writer, OF_6_1, sized)
    return writer.data()


def _declared() -> dict[str, _Part]:
    found: dict[str, _Part] = defaultdict(_Part)
    for each in vars(structures).values():
        if not isinstance(each, Structure):
            continue
        for declared in each.declared():
            question, number = declared.question, declared.number
            if number is None:
                continue
            part = found[question.structures[0]]
            for name in question.fields[0].split(".") if question.fields else ():
                part = part.fields[name]
            if question.is_size:
                part.size = number
            else:
                part.offset = number
    return found


def _write(writer: BtfWriter, name: str, part: _Part, sized: dict[int, int]) -> int:
    """Write a type with that layout, and return its number."""
    if not part.fields and not name:
        return _sized(writer, part.extent, sized)
    members = [
        (each, _write(writer, "", inner, sized), 8 * inner.offset)
        for each, inner in sorted(part.fields.items(), key=lambda pair: pair[1].offset)
    ]
    return writer.structure(name, part.extent, members)


def _sized(writer: BtfWriter, size: int, sized: dict[int, int]) -> int:
    """Return the number of a type of so many bytes."""
    if size not in sized:
        byte = sized.get(1) or sized.setdefault(1, writer.integer("char", 1))
        if size > 1:
            sized[size] = writer.add(BtfKind.ARRAY, once=(byte, byte, size))
    return sized[size]


def _write_per_cpu(writer: BtfWriter, sizes: Mapping[str, int], sized: dict[int, int]) -> None:
    place, parts = 0, list[tuple[int, ...]]()
    for name, size in sizes.items():
        variable = writer.add(BtfKind.VAR, name, _sized(writer, size, sized), once=(1,))
        parts.append((variable, place, size))
        place += size + -size % 64
    writer.add(BtfKind.DATASEC, ".data..percpu", place, parts=parts)
