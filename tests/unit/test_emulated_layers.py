# SPDX-License-Identifier: Apache-2.0
"""The rooms of the emulated kernel stand one above the other, and import downwards alone."""

import ast
from collections.abc import Iterator
from graphlib import TopologicalSorter
from importlib.util import resolve_name
from pathlib import Path

import pytest

import kmodd.kernel.emulated

PACKAGE = kmodd.kernel.emulated.__name__
FOLDER = Path(kmodd.kernel.emulated.__file__).parent

ROOMS = (
    "process",
    "system_calls",
    "load",
    "execution",
    "functions",
    "machine",
    "modules",
    "release",
    "abi",
    "hardware",
    "reporting",
)
"""From top to bottom. The package itself, which says what others get, is above them all."""


def module_of(path: Path) -> str:
    """Return the dotted name of a source."""
    parts = path.relative_to(FOLDER).with_suffix("").parts
    return ".".join((PACKAGE, *parts)).removesuffix(".__init__")


SOURCES = {module_of(path): path for path in sorted(FOLDER.rglob("*.py"))}


def imported(importer: str, source: str) -> Iterator[str]:
    """Yield every module that a source imports, wherever it does: also those within functions."""
    is_package = SOURCES[importer].name == "__init__.py"
    package = importer if is_package else importer.rpartition(".")[0]
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (each.name for each in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = resolve_name("." * node.level + (node.module or ""), package)
            within = [f"{module}.{each.name}" for each in node.names]
            yield from (name if name in SOURCES else module for name in within)


def imports_of(importer: str) -> set[str]:
    """Return the sources of the emulated kernel that one of them imports."""
    found = imported(importer, SOURCES[importer].read_text())
    return {name for name in found if name in SOURCES} - {importer}


def floor(module: str) -> int:
    """Return how far below the package's own floor a module's room is."""
    room = module.removeprefix(PACKAGE).removeprefix(".").partition(".")[0]
    return ROOMS.index(room) + 1 if room else 0


def upward(importer: str, source: str) -> list[str]:
    """Return what a source imports of the rooms above its own."""
    found = set(imported(importer, source)) & SOURCES.keys()
    return sorted(name for name in found if floor(name) < floor(importer))


def test_every_source_is_in_a_room_that_has_its_place() -> None:
    rooms = {path.relative_to(FOLDER).parts[0] for path in SOURCES.values()}
    assert rooms - {"__init__.py"} == set(ROOMS)


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_none_that_is_above_it(room: str) -> None:
    inside = [name for name in SOURCES if name.startswith(f"{PACKAGE}.{room}.")]
    assert inside
    found = {name: upward(name, SOURCES[name].read_text()) for name in inside}
    assert {name: above for name, above in found.items() if above} == {}


def test_no_sources_import_each_other() -> None:
    graph = {name: imports_of(name) for name in SOURCES}
    TopologicalSorter(graph).prepare()  # raises CycleError


@pytest.mark.parametrize(
    "source",
    [
        f"from {PACKAGE}.machine.machine import Machine",
        f"def late():\n    from {PACKAGE}.machine import machine",
        f"import {PACKAGE}.machine.machine",
        "from ..machine import machine",
    ],
)
def test_no_way_of_importing_upwards_is_overlooked(source: str) -> None:
    assert upward(f"{PACKAGE}.hardware.memory", source) == [f"{PACKAGE}.machine.machine"]
