# SPDX-License-Identifier: Apache-2.0
"""``python -m tests.conformance.mutate [N]``: load N modules with mistakes in them.

Genuine modules are changed where it hurts: in headers, tables, names, counts and offsets, or by a
cut. Whatever comes of a load, it is success or a KernelError; the emulated kernel's process must
not end, and if it does, that is a panic with a line in the log, and the run fails with the image
that did it. So it does where the log owns to a mistake of the emulated kernel that has ended a
module's call, and where a load takes too long.
"""

import argparse
import gzip
import itertools
import random
import struct
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from kmodd.errors import KernelError
from kmodd.kernel.base import InsertFlags
from kmodd.kernel.emulated import CoreSymbol, IsolatedKernel, MachineType, Sample, Vmlinux
from kmodd.kernel.emulated.machine.crash import OWN_BUG
from kmodd.modulefile import ModuleFile
from tests.support.elf_writer import (
    VERMAGIC,
    Export,
    Import,
    ModuleSpec,
    append_signature,
    write_module,
)
from tests.support.emulated import CORE
from tests.support.modules import MODULES
from tests.support.param_writer import Param
from tests.support.signatures import signature_by

SLOW_SECONDS = 60.0
"""Seconds that no load may take: code that a mistake has made endless is ended long before."""

SEED_MAX, SEEDS_OF_TREE = 48 << 10, 100
"""Bytes of the largest module that is taken from a tree, and about how many there are taken."""

_PARAMETERS = ("", "", "count=1", "count=x pair=1,2,3", "-- x", '"', "times=2 numbers=1,,2", "\0")
_VALUES = (
    0,
    1,
    2,
    0x7F,
    0x80,
    0xFF,
    0x7FFF,
    0xFFFF,
    0x7FFFFFFF,
    0xFFFFFFFF,
    1 << 40,
    (1 << 64) - 1,
)


@dataclass(slots=True)
class Tally:
    """What came of the loads: how many, the errnos, and the slowest, in seconds.

    ``faults`` are what should not have come of any: the end of the log, and the image.
    """

    loads: int = 0
    errnos: Counter[int] = field(default_factory=Counter)
    faults: list[tuple[str, bytes]] = field(default_factory=list)
    slowest: float = 0.0


def seeds() -> list[bytes]:
    """Return genuine modules with every kind of table, but not the one that never ends by itself:
    most of what came of that would be the wait for its end.
    """
    crafted = ModuleSpec(
        name="crafted",
        imports=(Import("_printk", crc=CORE["_printk"].crc), Import("kfree", weak=True)),
        exports=(Export("crafted_do"), Export("crafted_gpl", gpl_only=True, namespace="SPACE")),
        parameters=(
            Param("count"),
            Param("pair", elements=2),
            Param("text", "charp", initial=b"first"),
            Param("label", "string", buffer=8),
        ),
    )
    image = write_module(crafted)
    return [
        image,
        append_signature(image, signature_by(b"\x12\x34")),
        write_module(ModuleSpec(name="extended", extended_versions=True, exports=(Export("ext"),))),
        *(path.read_bytes() for path in MODULES if path.stem != "endless"),
    ]


def seeds_of(root: Path) -> list[bytes]:
    """Return modules from all over the trees under ``root``, none of them large."""
    files = sorted(path for path in root.glob("lib/modules/*/**/*.ko") if path.is_file())
    small = [path for path in files if path.stat().st_size <= SEED_MAX]
    return [path.read_bytes() for path in small[:: max(1, len(small) // SEEDS_OF_TREE)]]


def symbols(images: Sequence[bytes]) -> dict[str, CoreSymbol]:
    """Return a kernel's symbols that let all of these modules load."""
    wanted = [ModuleFile.parse(image).undefined() for image in images]
    names = {symbol.name for symbols in wanted for symbol in symbols if not symbol.weak}
    return {**dict.fromkeys(names, CoreSymbol()), **CORE}


def mutants(images: Sequence[bytes], seed: int) -> Iterator[bytes]:
    """Yield changed images for ever; the same ones for the same ``seed``."""
    chance = random.Random(seed)
    while True:
        image = bytearray(chance.choice(images))
        for _ in range(chance.choice((1, 1, 1, 2, 3, 8))):
            chance.choice(_CHANGES)(image, chance)
        yield gzip.compress(image, 1, mtime=0) if chance.random() < 0.02 else bytes(image)


def run(count: float, seconds: float, seed: int, images: Sequence[bytes] = ()) -> Tally:
    """Load up to ``count`` mutants of ``images`` for up to ``seconds``; of ``seeds()`` for none."""
    images = images or seeds()
    vmlinux = Vmlinux(
        VERMAGIC.split()[0],
        vermagic=VERMAGIC,
        sample=Sample(MachineType(64, "little", 62), key=b"\x12\x34"),
        symbols=symbols(images),
    )
    kernel = IsolatedKernel(vmlinux.release, lambda: vmlinux)
    tally = Tally()
    chance = random.Random(seed)
    end = time.monotonic() + seconds
    try:
        for image in mutants(images, seed):
            if tally.loads >= count or time.monotonic() >= end:
                return tally
            _try(kernel, image, chance, tally)
    finally:
        kernel.close()
    return tally


def _try(kernel: IsolatedKernel, image: bytes, chance: random.Random, tally: Tally) -> None:
    """Load and unload one mutant, and look at what came of it."""
    parameters, flags = chance.choice(_PARAMETERS), InsertFlags(chance.choice((0, 0, 3)))
    boot_id, began = kernel.boot_id, time.monotonic()
    log, code = list[str](), 0
    try:
        kernel.init_module(image, parameters, flags)
    except KernelError as error:
        log += error.log
        code = error.errno
    took = time.monotonic() - began
    for module in kernel.modules():
        try:
            kernel.details(module.name)
            kernel.delete_module(module.name, force=True)
        except KernelError as error:
            log += error.log
    tally.loads += 1
    tally.errnos[code] += 1
    tally.slowest = max(tally.slowest, took)
    if kernel.boot_id != boot_id:
        lines = [record.text for record in kernel.read_log()]
        last = [line for line in lines if line.startswith("Kernel panic - not syncing")]
        tally.faults.append(("\n".join([*lines[-20:], *last[-1:]]), image))
    elif any(line.startswith(OWN_BUG) for line in log):
        tally.faults.append(("\n".join(log), image))
    elif took > SLOW_SECONDS:
        tally.faults.append((f"a load took {took:.1f} s", image))


def _flip_byte(image: bytearray, chance: random.Random) -> None:
    if image:
        image[chance.randrange(len(image))] ^= 1 << chance.randrange(8)


def _write_number(image: bytearray, chance: random.Random) -> None:
    _put(image, chance.randrange(max(len(image), 1)), chance)


def _change_header(image: bytearray, chance: random.Random) -> None:
    _put(image, chance.randrange(64), chance)


def _change_section_row(image: bytearray, chance: random.Random) -> None:
    rows = _rows(image)
    if rows:
        field_at = chance.choice((0, 4, 8, 16, 24, 32, 40, 44, 48, 56))
        _put(image, chance.choice(rows) + field_at, chance)


def _change_contents(image: bytearray, chance: random.Random) -> None:
    """Change a number within a section: a symbol, a relocation, a version, a parameter."""
    rows = _rows(image)
    if not rows:
        return
    offset, size = struct.unpack_from("<QQ", image, chance.choice(rows) + 24)
    if 0 < size <= len(image) and offset < len(image):
        _put(image, offset + chance.randrange(size), chance)


def _swap_rows(image: bytearray, chance: random.Random) -> None:
    rows = _rows(image)
    if len(rows) > 1:
        one, other = chance.sample(rows, 2)
        kept = image[one : one + 64]
        image[one : one + 64] = image[other : other + 64]
        image[other : other + 64] = kept


def _cut(image: bytearray, chance: random.Random) -> None:
    del image[chance.randrange(len(image) + 1) :]


def _cut_out(image: bytearray, chance: random.Random) -> None:
    at = chance.randrange(len(image) + 1)
    del image[at : at + chance.randrange(64)]


def _repeat(image: bytearray, chance: random.Random) -> None:
    at = chance.randrange(len(image) + 1)
    image[at:at] = image[at : at + chance.randrange(64)]


_CHANGES: tuple[Callable[[bytearray, random.Random], None], ...] = (
    _flip_byte,
    _write_number,
    _change_header,
    *itertools.repeat(_change_section_row, 4),
    *itertools.repeat(_change_contents, 6),
    _swap_rows,
    _cut,
    _cut_out,
    _repeat,
)


def _rows(image: bytearray) -> list[int]:
    """Return where the rows of the section table are, as far as they are in the image."""
    if len(image) < 64:
        return []
    (table,) = struct.unpack_from("<Q", image, 40)
    (count,) = struct.unpack_from("<H", image, 60)
    return [at for at in range(table, table + 64 * min(count, 256), 64) if at + 64 <= len(image)]


def _put(image: bytearray, at: int, chance: random.Random) -> None:
    """Write a number that somebody may not have thought of, in one to eight bytes."""
    size = chance.choice((1, 2, 4, 8))
    value = chance.choice((*_VALUES, len(image), len(image) - 1, chance.getrandbits(64)))
    end = min(at + size, len(image))
    image[at:end] = (value & (1 << 64) - 1).to_bytes(8, "little")[: max(end - at, 0)]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run, print the tally, and return 0 where there was no fault."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.conformance.mutate",
        description="Load modules with mistakes in them into the emulated kernel.",
    )
    parser.add_argument("count", type=int, nargs="?", default=1_000_000, metavar="N")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="stop after so many")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path, metavar="DIR", help="write the images at fault there")
    parser.add_argument("--root", type=Path, metavar="DIR", help="take modules from there instead")
    options = parser.parse_args(arguments)
    began = time.monotonic()
    images = seeds_of(options.root) if options.root else ()
    tally = run(options.count, options.seconds, options.seed, images)
    took = time.monotonic() - began
    print(f"{tally.loads} loads in {took:.0f} s, the slowest {tally.slowest * 1000:.0f} ms")
    for code, times in tally.errnos.most_common():
        print(f"{times:10} {'loaded' if not code else f'errno {code}'}")
    for number, (lines, image) in enumerate(tally.faults):
        print(f"\nfault {number}:\n{lines}")
        if options.keep:
            (options.keep / f"fault-{options.seed}-{number}.ko").write_bytes(image)
    return 1 if tally.faults else 0


if __name__ == "__main__":
    sys.exit(main())
