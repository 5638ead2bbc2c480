# SPDX-License-Identifier: Apache-2.0
"""The rooms of kmodd stand on floors and import downwards; the pure ones know no outside."""

import ast
import re
from collections import defaultdict
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import kmodctl
import kmodd
from kmodd.server import SERVICES
from tests.support.imports import import_graph, imported_names, rooms, runs_up

PACKAGE = Path(kmodd.__file__).parent
CLIENT = Path(kmodctl.__file__).parent

FLOORS = (
    ("__main__",),
    ("daemon",),
    ("owner", "metrics_file"),
    ("servers",),
    ("listener",),
    ("front_server",),
    ("server",),
    ("service", "oneshot", "setup"),
    ("namespace",),
    ("queries", "front"),
    ("trees", "host", "desired"),
    ("plan", "state", "settings", "checking"),
    ("kernel", "database"),
    ("access", "kernelimage", "keys"),
    ("modulefile", "config"),
    ("names",),
    ("errors", "globs", "messages", "v1"),
    ("system_calls",),
    ("log_kinds", "tallies", "freed_memory"),
    ("records", "tuples", "enums", "escapes", "confinement", "places"),
)
"""The rooms, folders and files alike, from the top to the ground."""

KERNELS = (
    ("opening", "file_parameters"),
    ("vm", "emulated"),
    ("linux", "trials"),
    ("base", "proc_modules"),
    ("files", "loaded", "taints"),
)
"""The rooms of ``kernel``, likewise."""

OUTSIDE = {"grpc", "threading", "socket", "subprocess", "watchdog"}

GRAPH = import_graph(PACKAGE)


def sources_of(room: str) -> list[Path]:
    return [*PACKAGE.glob(f"{room}.py"), *PACKAGE.glob(f"{room}/**/*.py")]


def test_every_room_stands_on_one_floor() -> None:
    standing = [room for floor in FLOORS for room in floor]
    assert sorted(standing) == sorted(rooms(GRAPH, "kmodd"))


def test_no_import_runs_up() -> None:
    assert runs_up(GRAPH, FLOORS, "kmodd") == []


def test_the_kernels_stand_on_floors_of_their_own() -> None:
    standing = [room for floor in KERNELS for room in floor]
    assert sorted(standing) == sorted(rooms(GRAPH, "kmodd.kernel"))
    assert runs_up(GRAPH, KERNELS, "kmodd.kernel") == []


def test_no_file_imports_one_that_imports_it() -> None:
    TopologicalSorter(GRAPH).prepare()  # raises CycleError


@pytest.mark.parametrize(
    "line",
    [
        "import pkg.high.file",
        "from pkg.high import file",
        "from pkg import high",
        "def later() -> None:\n    from pkg.high.file import something",
        "from ..high import file",
        "from pkg.beside import other",
    ],
)
def test_an_import_that_runs_up_is_found_however_it_is_written(tmp_path: Path, line: str) -> None:
    for name in ("high/__init__", "high/file", "beside/__init__", "beside/other", "low/__init__"):
        source = tmp_path / "pkg" / f"{name}.py"
        source.parent.mkdir(parents=True, exist_ok=True)
        source.touch()
    (tmp_path / "pkg/__init__.py").touch()
    (tmp_path / "pkg/high/file.py").write_text("import pkg.low.one")
    (tmp_path / "pkg/low/one.py").write_text(line)
    graph = import_graph(tmp_path / "pkg")
    (found,) = runs_up(graph, (("high",), ("low", "beside")), "pkg")
    assert found.startswith("pkg.low.one -> pkg.")


@pytest.mark.parametrize(
    "room",
    [
        "plan",
        "config",
        "modulefile",
        "kernelimage",
        "keys",
        "names",
        "access",
        "settings",
        "desired",
    ],
)
def test_a_pure_room_knows_no_daemon_no_thread_and_no_process(room: str) -> None:
    known = frozenset().union(*map(imported_names, sources_of(room)))
    assert known
    assert not known & OUTSIDE


def test_grpc_is_known_to_the_service_and_those_above_it() -> None:
    knowing = {
        room
        for floor in FLOORS
        for room in floor
        if room != "v1" and any("grpc" in imported_names(path) for path in sources_of(room))
    }
    assert knowing == {"front", "service", "server", "host"}


def test_a_class_is_the_only_one_of_its_name() -> None:
    """But for a service, which has the API's name at both of its ends, messages, what etcd's API is
    made into, and the client, of which there are two.
    """
    homes = defaultdict(list)
    made = {*PACKAGE.glob("messages/*.py"), *CLIENT.glob("fleet/*_pb2*.py")}
    for package in (PACKAGE, CLIENT):
        for path in sorted(set(package.rglob("*.py")) - made):
            for node in ast.parse(path.read_text()).body:
                if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                    homes[node.name].append(path)
    shared = {name: paths for name, paths in homes.items() if len(paths) > 1}
    services = {service.rpartition(".")[2] for service in SERVICES}
    assert {name: paths for name, paths in shared.items() if name not in services} == {
        "Client": [CLIENT / "aio" / "client.py", CLIENT / "client.py"]
    }


def test_a_thread_is_the_only_one_of_its_name() -> None:
    sources = "".join(path.read_text() for path in PACKAGE.rglob("*.py"))
    names = re.findall(r'(?:name|thread_name_prefix)="(kmodd-[a-z-]+)"', sources)
    assert len(names) > 5
    assert sorted(names) == sorted(set(names))
