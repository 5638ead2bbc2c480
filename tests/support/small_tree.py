# SPDX-License-Identifier: Apache-2.0
"""Module trees of a few tiny modules, made for one test."""

import os
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from kmodd.modulefile import Compression
from kmodd.names import module_name_of_path
from tests.support.compression import compress
from tests.support.elf_writer import Export, Import, ModuleSpec, write_module
from tests.support.tree import ModuleTree

RELEASE = "6.1.0-small"

_COMPRESSIONS = {".gz": Compression.GZIP, ".xz": Compression.XZ, ".zst": Compression.ZSTD}


def empty_tree(root: Path) -> ModuleTree:
    """Make a root with an empty module directory."""
    tree = ModuleTree(root=root, release=RELEASE)
    tree.directory.mkdir(parents=True)
    return tree


def module_image(
    *,
    exports: Iterable[str] = (),
    imports: Iterable[str] = (),
    aliases: Iterable[str] = (),
    softdeps: Iterable[str] = (),
    weakdeps: Iterable[str] = (),
    description: str = "",
    spec: ModuleSpec | None = None,
) -> bytes:
    """Return a module that has these; ``spec`` says everything else about it."""
    strings = [("alias", each) for each in aliases]
    strings += [("softdep", each) for each in softdeps]
    strings += [("weakdep", each) for each in weakdeps]
    strings += [("description", description)] if description else []
    spec = spec or ModuleSpec(versions=())
    return write_module(
        ModuleSpec(
            name=spec.name,
            bits=spec.bits,
            byteorder=spec.byteorder,
            machine=spec.machine,
            crcs=spec.crcs,
            versions=spec.versions,
            modinfo=tuple(strings),
            exports=tuple(Export(name) for name in exports),
            imports=tuple(Import(name) for name in imports),
        )
    )


def add_module(
    tree: ModuleTree,
    path: str,
    *,
    exports: Iterable[str] = (),
    imports: Iterable[str] = (),
    aliases: Iterable[str] = (),
    softdeps: Iterable[str] = (),
    weakdeps: Iterable[str] = (),
    description: str = "",
    own_name: str = "",
) -> Path:
    """Put a module at ``path``, relative to the tree's directory, compressed as its suffix says.

    ``own_name`` is what the kernel will call it, where that is not what kmod does.
    """
    image = module_image(
        exports=exports,
        imports=imports,
        aliases=aliases,
        softdeps=softdeps,
        weakdeps=weakdeps,
        description=description,
        spec=ModuleSpec(name=own_name or module_name_of_path(path), versions=()),
    )
    file = tree.directory / path
    compression = _COMPRESSIONS.get(file.suffix, Compression.NONE)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(compress(image, compression))
    return file


def add_graph(tree: ModuleTree, edges: Sequence[tuple[str, str]]) -> None:
    """Put one module a name under ``kernel``, of which the first of each pair needs the second."""
    for name in sorted({name for edge in edges for name in edge}):
        needs = [f"{needed}_do" for user, needed in edges if user == name]
        add_module(tree, f"kernel/{name}.ko", exports=[f"{name}_do"], imports=needs)


def make_old(tree: ModuleTree) -> None:
    """Wait until nothing in the tree was changed just now, so that a scan trusts its stamps."""
    newest = max(
        os.stat(path, follow_symlinks=False).st_ctime_ns
        for path in (tree.directory, *tree.directory.rglob("*"))
    )
    while time.time_ns() - newest < 110_000_000:
        time.sleep(0.01)
