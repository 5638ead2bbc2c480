# SPDX-License-Identifier: Apache-2.0
"""The rooms of kmodd import each other in one direction, and the pure ones know no outside."""

import ast
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import kmodd

PACKAGE = Path(kmodd.__file__).parent

SOURCES = sorted(
    path for path in PACKAGE.rglob("*.py") if PACKAGE / "v1" not in (path, *path.parents)
)

OUTSIDE = {"grpc", "threading", "socket", "subprocess", "watchdog"}


def imports(path: Path) -> Iterator[str]:
    """Yield the modules that a source imports when it is run."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            if node.module == "kmodd":
                yield from (f"kmodd.{name.name}" for name in node.names)
            else:
                yield node.module


def room_of(module: str) -> str:
    """Return a module's folder or file below kmodd, "" for what is none of kmodd's."""
    first, _, rest = module.partition(".")
    return rest.partition(".")[0] if first == "kmodd" else ""


def room_of_file(path: Path) -> str:
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def test_no_room_imports_one_that_imports_it() -> None:
    graph: dict[str, set[str]] = {}
    for path in SOURCES:
        room = room_of_file(path)
        graph.setdefault(room, set()).update(map(room_of, imports(path)))
        graph[room] -= {room, "", "v1", "__version__"}
    TopologicalSorter(graph).prepare()  # raises CycleError


@pytest.mark.parametrize("room", ["plan", "config", "modulefile", "names", "access", "settings"])
def test_a_pure_room_knows_no_daemon_no_thread_and_no_process(room: str) -> None:
    known = {each for path in SOURCES if room_of_file(path) == room for each in imports(path)}
    assert known
    assert not known & OUTSIDE
    assert not {"daemon", "server", "service", "namespace"} & set(map(room_of, known))


def test_grpc_is_known_to_the_service_and_those_above_it() -> None:
    rooms = {room_of_file(path) for path in SOURCES if "grpc" in imports(path)}
    assert rooms == {"service", "server", "host"}
