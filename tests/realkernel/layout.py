# SPDX-License-Identifier: Apache-2.0
"""The module tree and the files to upload that the scenarios count on."""

import random
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from kmodd.database import Database
from kmodd.modulefile import Compression
from tests.realkernel.lessons import put_lessons
from tests.realkernel.machine import BOOT_MODULES, database_of, needed_modules, partial_tree
from tests.realkernel.reloads import lay_out_chain
from tests.support.compression import SUFFIXES, compress
from tests.support.debian import DebianTree
from tests.support.tree import ModuleTree

ON_REQUEST = ("minix", "pppox", "efs")
"""Modules of Debian's that the kernel itself asks for: file systems, a network protocol."""

FOR_INIT = ("crc32c_generic",)
"""Modules of Debian's that the init of others asks for: libcrc32c does."""

OWN = ("chores", "gpluser", "halfway", "hello", "noexit", "world")
"""Modules of tests/modules that lie in the tree as they were built."""

PACKED = {"greet": Compression.XZ, "facade": Compression.XZ, "gplsym": Compression.ZSTD}
"""Those that lie there compressed. The guest's own modprobe must be able to read greet."""


@dataclass(frozen=True, slots=True)
class Layout:
    """``tree`` is a root with a module tree, ``uploads`` has files for insmod, ``drawn`` names
    the modules of Debian's that are to be loaded one after the other.
    """

    tree: ModuleTree
    uploads: Path
    drawn: tuple[str, ...]


def lay_out(debian: DebianTree, place: Path, lessons: Path, *, seed: int, count: int) -> Layout:
    """Make the tree of our modules, as built for Debian's kernel, and of ``count`` of Debian's.

    ``place`` has the modules that were built, in ``built`` and ``chain``, and ``lessons`` those.
    """
    built = place / "built"
    database = database_of(debian)
    drawn = draw(database, seed, count)
    tree = partial_tree(
        debian, place / "root", needed_modules(database, (*drawn, *ON_REQUEST, *FOR_INIT))
    )
    extra = tree.directory / "extra"
    extra.mkdir(parents=True)
    for name in OWN:
        shutil.copy(built / f"{name}.ko", extra)
    for name, compression in PACKED.items():
        data = compress((built / f"{name}.ko").read_bytes(), compression)
        (extra / f"{name}{SUFFIXES[compression]}").write_bytes(data)
    put_lessons(lessons, tree)
    uploads = place / "uploads"
    shutil.copytree(built, uploads)
    _add_uploads(uploads)
    lay_out_chain(place / "chain", extra, uploads / "chain")
    listing = (tree.directory / "modules.builtin").read_text()
    (uploads / "builtin").write_text(Path(listing.split()[0]).stem)
    aliases = tree.root / "etc/modprobe.d/kmodd-test.conf"
    aliases.parent.mkdir(parents=True)
    aliases.write_text("alias packed_xz facade\nalias packed_zst gplsym\n")
    return Layout(tree, uploads, drawn)


def draw(database: Database, seed: int, count: int) -> tuple[str, ...]:
    """Draw ``count`` of Debian's modules, but for those that have another part."""
    used = needed_modules(database, (*BOOT_MODULES, *ON_REQUEST))
    taken = {Path(path).name for path in used}
    names = sorted(
        record.name
        for record in database.modules.values()
        if Path(record.path).name not in taken and not _is_unsuitable(record.path)
    )
    return tuple(random.Random(seed).sample(names, count))


def _is_unsuitable(path: str) -> bool:
    """Whether a module waits for hardware for long, tests the kernel, or takes the console."""
    return re.search(r"kernel/(drivers/(gpu|watchdog|mtd|video)|arch|.*test)", path) is not None


def _add_uploads(uploads: Path) -> None:
    """Add a module for another kernel, one that is cut off, and something else altogether."""
    image = (uploads / "gplsym.ko").read_bytes()
    (uploads / "foreign.ko").write_bytes(_edited(image, b" SMP preempt", b" SMP PREEMPT"))
    (uploads / "cut.ko").write_bytes(image[: len(image) // 2])
    (uploads / "nonsense.ko").write_bytes(b"this is no module\n")


def _edited(image: bytes, old: bytes, new: bytes) -> bytes:
    edited = image.replace(old, new)
    assert edited != image, f"{old!r} is not in the module"
    return edited
