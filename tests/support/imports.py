# SPDX-License-Identifier: Apache-2.0
"""Which modules of a package import which, read from the sources without running them."""

import ast
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

Graph = Mapping[str, frozenset[str]]
"""What each module of a package imports of that package, all by their dotted names."""


def import_graph(package: Path) -> Graph:
    """Return what the modules of ``package`` import of it.

    Imports within functions, under ``if TYPE_CHECKING`` and relative ones count like all others. A
    package that is imported is its ``__init__``, unless what is taken from it is a module.
    """
    sources = {_name(path, package.parent): path for path in package.rglob("*.py")}
    return {name: frozenset(_imports(name, path, sources)) for name, path in sources.items()}


def imported_names(path: Path) -> frozenset[str]:
    """Return the dotted names of all modules that a source imports, of whatever package."""
    return frozenset(module for module, _ in _statements(path, ""))


def runs_up(graph: Graph, floors: Sequence[Sequence[str]], package: str) -> list[str]:
    """Return, a line each, the imports between rooms of ``package`` that do not run down.

    ``floors`` are the rooms from the top to the ground; those of one floor import none of each
    other. Raises KeyError for a room that stands on no floor.
    """
    floor_of = {room: number for number, floor in enumerate(floors) for room in floor}
    found = []
    for module, imported in sorted(graph.items()):
        for other in sorted(imported):
            room, below = _room(module, package), _room(other, package)
            if "" not in (room, below) and room != below and floor_of[below] <= floor_of[room]:
                found.append(f"{module} -> {other}")
    return found


def rooms(graph: Graph, package: str) -> frozenset[str]:
    """Return the names of the folders and files directly below ``package``."""
    return frozenset(_room(module, package) for module in graph) - {""}


def _room(module: str, package: str) -> str:
    """Return the part of a name behind the package's, "" for what is the package or outside it."""
    if not module.startswith(f"{package}."):
        return ""
    return module.removeprefix(f"{package}.").partition(".")[0]


def _name(path: Path, above: Path) -> str:
    parts = path.relative_to(above).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _imports(name: str, path: Path, sources: Mapping[str, Path]) -> Iterator[str]:
    package = name if path.stem == "__init__" else name.rpartition(".")[0]
    for module, taken in _statements(path, package):
        for each in (f"{module}.{taken}", module):
            if each in sources:
                if each != name:
                    yield each
                break


def _statements(path: Path, package: str) -> Iterator[tuple[str, str]]:
    """Yield the module of each import in a source, and what is taken from it, "" for all."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package.split(".")[: len(package.split(".")) - node.level + 1]
            above = ".".join(base) if node.level else ""
            module = ".".join(part for part in (above, node.module or "") if part)
            yield from ((module, alias.name) for alias in node.names)
