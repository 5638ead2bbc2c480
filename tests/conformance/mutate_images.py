# SPDX-License-Identifier: Apache-2.0
"""``python -m tests.conformance.mutate_images [N]``: read N damaged images of a kernel.

A small image that has all that is asked of one, in every packing, is changed in some bytes, or cut.
Whatever comes of that, a release's kernel is known by it as far as it goes, with a word in the log
and no code run where it tells too little. Some of those that can be read are booted, and two
modules loaded: a load fails or not, and whatever it is, the kernel answers the next call. The run
fails with the images that did anything else, which are kept.
"""

import argparse
import logging
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from kmodd.errors import KernelError, Reason
from kmodd.kernel.base import InsertFlags
from kmodd.kernel.emulated import CoreSymbol, IsolatedKernel, Vmlinux, VmlinuxSource
from kmodd.modulefile import ModuleFile
from tests.support.damage import damaged
from tests.support.kernel_image import (
    BASE,
    PACKINGS,
    Linked,
    bz_image,
    pack,
    unified_image,
    vmlinux_sections,
    write_vmlinux,
    zboot_image,
)
from tests.support.known_types import known_types
from tests.support.modules import SOURCES

RELEASE = "6.2.0-test"
"""One of which nothing is known without an image."""

SLOW_SECONDS = 60.0
"""Seconds that no image may take to be read."""

LOADED = ("hello", "gadget")


@dataclass(slots=True)
class ImageTally:
    """What came of the images: ``ends`` counts how, ``slowest`` is in seconds.

    ``faults`` are what should not have come of any: what, and the image.
    """

    images: int = 0
    ends: Counter[str] = field(default_factory=Counter)
    boots: int = 0
    faults: list[tuple[str, bytes]] = field(default_factory=list)
    slowest: float = 0.0


def whole_images() -> list[bytes]:
    """Return a kernel with all its tables, by itself and in what kernels come in.

    The most without packing: damage to that is seen in the tables, and not as a broken stream.
    """
    sections = [*vmlinux_sections(RELEASE), Linked(".BTF", BASE + 0x40000, known_types())]
    kernel = write_vmlinux(sections)
    packed = [bz_image(pack(kernel, packing)) for packing in PACKINGS]
    wrapped = [zboot_image(pack(kernel, "gzip"), "gzip"), unified_image(kernel)]
    return [*[kernel] * 2 * len(packed), *packed, *wrapped]


def mutants(seed: int) -> Iterator[bytes]:
    """Yield damaged images for ever; the same ones for the same ``seed``."""
    dice, wholes = random.Random(seed), whole_images()
    while True:
        yield damaged(dice.choice(wholes), dice)


def run(count: float, seconds: float, seed: int, boot_every: int) -> ImageTally:
    """Read up to ``count`` mutants for up to ``seconds``; boot one good one in ``boot_every``."""
    tally = ImageTally()
    end = time.monotonic() + seconds
    modules = {name: (SOURCES / f"{name}.ko").read_bytes() for name in LOADED}
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, f"boot/vmlinuz-{RELEASE}")
        path.parent.mkdir()
        for image in mutants(seed):
            if tally.images >= count or time.monotonic() >= end:
                break
            path.write_bytes(image)
            tally.images += 1
            found = _read(Path(directory), image, tally)
            good = tally.ends["read"]
            if found is not None and not found.why_not_run and good % boot_every == 1 % boot_every:
                tally.boots += 1
                _boot(found, modules, image, tally)
    return tally


def _read(root: Path, image: bytes, tally: ImageTally) -> Vmlinux | None:
    """Ask what a kernel is by its image, which tells enough to run code, or why none is run."""
    began = time.monotonic()
    try:
        found = VmlinuxSource(root, RELEASE, root / "lib/modules", dict)()
    except Exception as error:
        tally.faults.append((f"{type(error).__name__}: {error}", image))
        return None
    took = time.monotonic() - began
    tally.slowest = max(tally.slowest, took)
    if took > SLOW_SECONDS:
        tally.faults.append((f"it took {took:.1f} s", image))
    tally.ends["no code is run" if found.why_not_run else "read"] += 1
    return found


def _boot(found: Vmlinux, modules: dict[str, bytes], image: bytes, tally: ImageTally) -> None:
    """Boot the kernel and load modules; what is not there of its symbols must not be why not."""
    names = [each.name for data in modules.values() for each in ModuleFile.parse(data).undefined()]
    found = Vmlinux(
        RELEASE,
        symbols=dict.fromkeys(names, CoreSymbol()),
        layouts=found.layouts,
        per_cpu=found.per_cpu,
    )
    kernel = IsolatedKernel(RELEASE, lambda: found)
    flags = InsertFlags.IGNORE_VERMAGIC | InsertFlags.IGNORE_MODVERSIONS
    try:
        for data in modules.values():
            tally.ends[f"load: {_load(kernel, data, flags)}"] += 1
            kernel.devices()
    except Exception as error:
        tally.faults.append((f"the kernel does not answer: {error}", image))
    finally:
        kernel.close()


def _load(kernel: IsolatedKernel, data: bytes, flags: InsertFlags) -> str:
    try:
        kernel.init_module(data, "", flags)
    except KernelError as error:
        return error.reason.name
    report = kernel.modules()[0].report
    return report.init.value if report else Reason.INTERNAL.name


def main(arguments: Sequence[str] | None = None) -> int:
    """Read the images, print what came of them; returns 1 where something came that must not."""
    parser = argparse.ArgumentParser(prog="python -m tests.conformance.mutate_images")
    parser.add_argument("count", type=int, nargs="?", default=100_000, help="how many images")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="for how long")
    parser.add_argument("--seed", type=int, default=0, help="which images")
    parser.add_argument("--boot-every", type=int, default=100, help="one in how many is booted")
    parser.add_argument("--keep", type=Path, default=Path(), help="where faulty ones are written")
    options = parser.parse_args(arguments)
    logging.disable()
    try:
        tally = run(options.count, options.seconds, options.seed, options.boot_every)
    finally:
        logging.disable(logging.NOTSET)
    print(f"{tally.images} images, {tally.boots} booted, the slowest {tally.slowest:.2f} s")
    for end, times in tally.ends.most_common():
        print(f"    {end}: {times}")
    for number, (why, image) in enumerate(tally.faults):
        path = options.keep / f"image-{options.seed}-{number}"
        path.write_bytes(image)
        print(f"{path}: {why}")
    return 1 if tally.faults else 0


if __name__ == "__main__":
    sys.exit(main())
