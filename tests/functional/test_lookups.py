# SPDX-License-Identifier: Apache-2.0
"""What a program can ask of a tree: names, modules, the configuration, needs, device nodes."""

from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import pytest

from kmodctl.errors import CallError
from kmodctl.failures import call_error
from kmodd.v1 import database_service_pb2 as pb
from kmodd.v1 import database_service_pb2_grpc
from tests.functional.test_api import details
from tests.support.daemon import Daemon, running_daemon
from tests.support.modules import SOURCES, module_tree
from tests.support.tree import ModuleTree


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Daemon, ModuleTree]]:
    """A daemon that these tests ask together, and its root."""
    tree = module_tree(tmp_path_factory.mktemp("world") / "root")
    with running_daemon(tree.root, "--no-watch") as running:
        yield running, tree


@pytest.fixture
def daemon(world: tuple[Daemon, ModuleTree]) -> Daemon:
    return world[0]


@pytest.fixture
def modules_root(world: tuple[Daemon, ModuleTree]) -> ModuleTree:
    return world[1]


@pytest.fixture
def stub(daemon: Daemon) -> Iterator[database_service_pb2_grpc.DatabaseServiceStub]:
    with grpc.insecure_channel(f"unix:{daemon.socket}") as channel:
        yield database_service_pb2_grpc.DatabaseServiceStub(channel)


def upload(*parts: bytes, name: str = "greet.ko") -> Iterator[pb.InspectModuleRequest]:
    yield pb.InspectModuleRequest(header=pb.InspectModuleHeader(file_name=name))
    for part in parts:
        yield pb.InspectModuleRequest(chunk=part)


def test_a_name_is_resolved_with_the_source_that_knew_it(daemon: Daemon) -> None:
    with daemon.client() as client:
        found = client.resolve("kmodd-test:x")
        assert (list(found.modules), found.source) == (["facade"], pb.NAME_SOURCE_ALIAS)
        assert client.resolve("greet").source == pb.NAME_SOURCE_MODULE
        assert client.resolve("symbol:greet_somebody").source == pb.NAME_SOURCE_SYMBOL
        with pytest.raises(CallError) as caught:
            client.resolve("nosuch")
        assert caught.value.reason == "MODULE_NOT_FOUND"


@pytest.mark.parametrize("option", ["--show-exports", "--show-modversions"])
def test_symbols_are_shown_by_name_as_by_path(
    daemon: Daemon, modules_root: ModuleTree, option: str
) -> None:
    # As newer kmod does; kmod 30 takes every word for a path.
    extra = modules_root.directory / "extra"
    for name in ("greet", "facade"):
        shown = daemon.kmodctl("modprobe", option, f"{extra}/{name}.ko")
        assert daemon.kmodctl("modprobe", option, name).stdout == shown.stdout
        assert daemon.kmodctl("modprobe", option, f"{name}").returncode == shown.returncode
    by_file = daemon.kmodctl("modprobe", option, f"{extra}/facade.ko").stdout
    assert daemon.kmodctl("modprobe", option, "front-door").stdout == by_file
    assert daemon.kmodctl("modprobe", option, "symbol:greet_somebody").stdout == (
        daemon.kmodctl("modprobe", option, f"{extra}/greet.ko").stdout
    )


def test_symbols_that_cannot_be_shown_by_name_are_told(
    daemon: Daemon, modules_root: ModuleTree
) -> None:
    absent = daemon.kmodctl("modprobe", "--show-exports", "nosuch")
    assert (absent.stderr, absent.returncode) == (
        f"modprobe: FATAL: Module nosuch not found in directory {modules_root.directory}\n",
        1,
    )
    none = daemon.kmodctl("modprobe", "--show-exports", "hello")
    assert (none.stdout, none.stderr, none.returncode) == (
        "",
        "modprobe: FATAL: could not get symbols of hello: No such file or directory\n",
        1,
    )


def test_symbols_of_a_name_are_told_where_they_are_asked_for(daemon: Daemon) -> None:
    with daemon.client() as client:
        (plain,) = client.module_infos("greet")
        (whole,) = client.module_infos("greet", symbols=True)
    assert (len(plain.exports), len(plain.versions)) == (0, 0)
    assert [each.symbol for each in whole.exports] == ["greet_somebody"]
    assert "_printk" in [each.symbol for each in whole.versions]


def test_a_module_tells_its_fields_wherever_its_file_is(
    daemon: Daemon, modules_root: ModuleTree
) -> None:
    with daemon.client() as client:
        (known,) = client.module_infos("greet")
        sent = client.inspect(SOURCES / "greet.ko")
    assert known.path == str(modules_root.directory / "extra/greet.ko")
    assert sent.path == ""
    assert list(known.fields) == list(sent.fields)
    assert {field.key for field in known.fields} >= {"license", "parm", "vermagic"}
    assert "greet_somebody" in [each.symbol for each in sent.exports]
    assert "module_layout" in [each.symbol for each in sent.versions]


@pytest.mark.parametrize(
    ("image", "errno"), [(b"", 22), (b"I am not a module at all", 8), (b"\x7fELF" + bytes(99), 22)]
)
def test_what_is_no_module_is_told_in_the_answer(
    stub: database_service_pb2_grpc.DatabaseServiceStub, image: bytes, errno: int
) -> None:
    module = stub.InspectModule(upload(image)).module
    assert (module.name, module.error_errno) == ("greet", errno)
    assert module.error


@pytest.mark.parametrize(
    "requests",
    [
        [],
        [pb.InspectModuleRequest(chunk=b"x")],
        [*upload(), *upload()],
        [*upload(bytes(2 << 20))],
    ],
    ids=["nothing", "no header", "two headers", "a huge chunk"],
)
def test_an_upload_that_is_wrong_is_an_invalid_request(
    stub: database_service_pb2_grpc.DatabaseServiceStub, requests: list[pb.InspectModuleRequest]
) -> None:
    with pytest.raises(grpc.RpcError) as failed:
        stub.InspectModule(iter(requests))
    assert details(failed.value)[0].reason == "INVALID_REQUEST"


def test_bytes_that_are_no_utf8_come_as_they_are(daemon: Daemon, modules_root: ModuleTree) -> None:
    image = (SOURCES / "greet.ko").read_bytes()
    file = modules_root.root / "odd.ko"
    file.write_bytes(image.replace(b"parm=loud:Whether", b"parm=loud:W\xe9ether"))
    with daemon.client() as client:
        (field,) = (each for each in client.inspect(file).fields if each.raw_value)
    assert field.raw_value.startswith(b"loud:W\xe9ether")
    assert field.value.startswith("loud:W\ufffdether")


def test_a_file_that_went_away_is_told_in_the_answer(
    daemon: Daemon, modules_root: ModuleTree
) -> None:
    (modules_root.directory / "extra/hello.ko").write_bytes(b"short")
    with daemon.client() as client:
        (info,) = client.module_infos("hello")
    assert (info.error_errno, bool(info.error)) == (22, True)


def test_the_configuration_tells_where_each_line_is_from(
    daemon: Daemon, modules_root: ModuleTree
) -> None:
    directory = modules_root.root / "etc/modprobe.d"
    directory.mkdir(parents=True)
    (directory / "a.conf").write_text("\nblacklist a-b\nnonsense\noptions greet times=2\n")
    with daemon.client() as client:
        client.rebuild_database()
        parts = list(client.configuration())
    entries = [entry for part in parts for entry in part.entries]
    told = [(each.directive, each.name, each.text, each.line) for each in entries]
    assert told[:2] == [
        (pb.CONFIG_DIRECTIVE_BLACKLIST, "a_b", "", 2),
        (pb.CONFIG_DIRECTIVE_OPTIONS, "greet", "times=2", 4),
    ]
    assert entries[0].file == str(directory / "a.conf")
    assert entries[2].file == "modules.softdep"
    (problem,) = parts[0].problems
    assert problem == f"{directory}/a.conf line 3: ignoring bad line starting with 'nonsense'"
    assert any(each.alias == "symbol:greet_somebody" for part in parts for each in part.aliases)


def questions(
    stub: database_service_pb2_grpc.DatabaseServiceStub, release: str
) -> list[Callable[[], object]]:
    """Every question about a release; the last two are about the configuration as well."""
    return [
        lambda: stub.GetModuleInfo(pb.GetModuleInfoRequest(name="greet", release=release)),
        lambda: stub.GetDependencies(pb.GetDependenciesRequest(name="greet", release=release)),
        lambda: stub.GetStaticNodes(pb.GetStaticNodesRequest(release=release)),
        lambda: stub.ResolveAlias(pb.ResolveAliasRequest(name="greet", release=release)),
        lambda: list(stub.GetConfiguration(pb.GetConfigurationRequest(release=release))),
    ]


def reason_of(ask: Callable[[], object]) -> str:
    with pytest.raises(grpc.RpcError) as failed:
        ask()
    return str(details(failed.value)[0].reason)


def test_a_release_that_cannot_be_one_is_refused_by_every_question(
    stub: database_service_pb2_grpc.DatabaseServiceStub,
) -> None:
    assert [reason_of(ask) for ask in questions(stub, "../x")] == 5 * ["INVALID_NAME"]


def test_a_release_without_a_tree_has_the_configuration_and_nothing_else(
    tmp_path: Path,
) -> None:
    tree = module_tree(tmp_path)
    with running_daemon(tree.root) as daemon, grpc.insecure_channel(f"unix:{daemon.socket}") as it:
        stub = database_service_pb2_grpc.DatabaseServiceStub(it)
        check_treeless(stub, tree)


def check_treeless(
    stub: database_service_pb2_grpc.DatabaseServiceStub, modules_root: ModuleTree
) -> None:
    *others, resolve, _ = questions(stub, "9.9.9")
    assert [reason_of(ask) for ask in others] == 3 * ["TREE_NOT_FOUND"]
    assert reason_of(resolve) == "MODULE_NOT_FOUND"
    directory = modules_root.root / "etc" / "modprobe.d"
    directory.mkdir(parents=True)
    (directory / "a.conf").write_text("alias greet world\n")
    assert list(stub.ResolveAlias(pb.ResolveAliasRequest(name="greet", release="9.9.9")).modules)
    shown = stub.GetConfiguration(pb.GetConfigurationRequest(release="9.9.9"))
    assert [entry.name for part in shown for entry in part.entries] == ["greet"]


def test_a_module_that_came_just_now_is_found(daemon: Daemon, modules_root: ModuleTree) -> None:
    with daemon.client() as client:
        image = (SOURCES / "hello.ko").read_bytes()
        (modules_root.directory / "extra/newcomer.ko").write_bytes(image)
        assert list(client.resolve("newcomer").modules) == ["newcomer"]
        assert client.module_infos("newcomer")[0].path.endswith("newcomer.ko")


def test_needs_are_direct_and_go_all_the_way_down(daemon: Daemon) -> None:
    with daemon.client() as client:
        needs = client.dependencies("front-door")
        below = {each.name: list(each.soft_before) for each in needs.modules}
        assert (list(needs.names), below) == (["facade"], {"facade": ["greet"], "greet": []})
        assert list(client.dependencies("world").modules[0].depends) == ["greet"]


def test_device_nodes_are_those_of_the_database(daemon: Daemon) -> None:
    with daemon.client() as client:
        (node,) = client.static_nodes()
    assert (node.module, node.path, node.major, node.minor) == ("facade", "kmodd/facade", 240, 7)
    assert node.kind == pb.DEVICE_KIND_CHARACTER


def test_the_clients_errors_are_made_of_a_status_alone() -> None:
    from google.rpc import status_pb2

    status = status_pb2.Status(code=5, message="not there")
    error = call_error(status.SerializeToString())
    assert (str(error), error.reason, error.errno) == ("not there", "", 0)


def test_modules_are_listed_and_searched_by_what_is_said_of_them(
    daemon: Daemon, modules_root: ModuleTree
) -> None:
    greet = "greet                   A greeting with parameters"
    assert daemon.kmodctl("list", "gr*").stdout == "greet\n"
    assert daemon.kmodctl("list", "--description", "gr*").stdout == f"{greet}\n"
    assert greet in daemon.kmodctl("search", "PARAM", "greet").stdout.splitlines()
    by_alias = daemon.kmodctl("search", "front-door").stdout
    assert by_alias.startswith("facade ")
    assert by_alias.endswith("(alias front_door)\n")
    every = daemon.kmodctl("list").stdout.split()
    assert every == sorted(path.stem for path in (modules_root.directory / "extra").glob("*.ko"))
    none = daemon.kmodctl("list", "no*such")
    assert (none.stdout, none.returncode) == ("", 1)
    assert none.stderr == "kmodctl list: ERROR: 'no*such' is no module's name\n"
    wrong = daemon.kmodctl("list", "a[b")
    assert (wrong.stderr, wrong.returncode) == (
        "kmodctl list: ERROR: unmatched bracket in 'a[b'\n",
        1,
    )
    with daemon.client() as client:
        (found,) = client.find_modules("greet", "with")
        assert (found.name, found.path.endswith("/greet.ko"), found.builtin) == (
            "greet",
            True,
            False,
        )
        assert [each.name for each in client.find_modules(pattern="wor*")] == ["world"]
