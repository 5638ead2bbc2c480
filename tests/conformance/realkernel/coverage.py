# SPDX-License-Identifier: Apache-2.0
"""``python -m tests.conformance.realkernel.coverage --root ROOT``: what nobody has modelled.

A line for each function of the kernel that a tree's modules import and that is not modelled, or not
as that release has it: how many modules hang on it, directly or through what they need, its name,
and its kernelimage.prototypes word. Functions alone, as far as the image tells them from variables.
"""

import argparse
import sys
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import kmodd.kernel.emulated.functions.everything  # noqa: F401  # declares the kernel's functions
from kmodd.database import Database
from kmodd.database.releases import newest_release
from kmodd.errors import KmoddError
from kmodd.kernel.emulated import VmlinuxSource
from kmodd.kernel.emulated.abi.function_table import FUNCTIONS, UNLIKE, adopt
from kmodd.trees import Trees, modules_directory
from tests.support.debian import unpacked_tree


class Missing(NamedTuple):
    """A function that is not modelled: how many modules hang on it, and what it takes."""

    modules: int
    name: str
    word: str
    is_unlike: bool

    def __str__(self) -> str:
        why = ", modelled with another prototype" if self.is_unlike else ""
        return f"{self.modules:6} {self.name} ({self.word}{why})"


def missing_functions(
    database: Database, prototypes: Mapping[str, str], modelled: Collection[str]
) -> Iterator[Missing]:
    """Yield the functions with a prototype that nobody has modelled, the most wanted first."""
    wanted: Counter[str] = Counter()
    for name, record in database.modules.items():
        needed = (record, *database.dependencies(name))
        wanted.update({each for module in needed for each in module.imports})
    for name, modules in sorted(wanted.items(), key=lambda each: (-each[1], each[0])):
        if name in prototypes and name not in modelled:
            yield Missing(modules, name, prototypes[name], name in UNLIKE)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the functions; returns 0 when the tree and its image could be read."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.conformance.realkernel.coverage",
        description="List the functions of the kernel that a tree's modules import and that the "
        "emulated kernel does not model: how many modules hang on each, its name, and what it "
        "returns and takes, a letter each (kmodd/kernelimage/prototypes.py).",
    )
    parser.add_argument(
        "--root", type=Path, metavar="ROOT", help="as of python -m tests.conformance.realkernel"
    )
    parser.add_argument("--release", default="", help="the release (default: the newest in ROOT)")
    options = parser.parse_args(arguments)
    try:
        root = options.root or unpacked_tree().root
        release = options.release or newest_release(str(modules_directory(root)))
        if release is None:
            raise ValueError(f"{modules_directory(root)} has no module tree")
        trees = Trees(root, release, publish=False)
        database = trees.rebuild().database
    except (KmoddError, OSError, ValueError) as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 1
    vmlinux = VmlinuxSource(root, release, trees.directory, lambda: database.modules)()
    if not vmlinux.prototypes:
        print(f"{parser.prog}: no image under {root} tells of functions", file=sys.stderr)
        return 1
    adopt(vmlinux.version, release, vmlinux.prototypes)
    for each in missing_functions(database, vmlinux.prototypes, FUNCTIONS):
        print(each)
    return 0


if __name__ == "__main__":
    sys.exit(main())
