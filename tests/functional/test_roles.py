# SPDX-License-Identifier: Apache-2.0
"""Sockets with roles: who may do what, over real sockets."""

import signal
import stat
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import grpc
import pytest

from kmodctl import CallError, Client, NoDaemonError
from kmodd.access.caller import Role
from kmodd.access.policy import policy_of
from kmodd.v1 import module_service_pb2
from tests.support.daemon import Daemon, configure, running_daemon, wait_until
from tests.support.elf_writer import ModuleSpec, write_module
from tests.support.here import Ran, run_here
from tests.support.methods import METHODS, Method
from tests.support.param_writer import Param
from tests.support.tree import ModuleTree

SETTINGS = """
run_commands = true

[[socket]]
path = "@/observer/s"
role = "observer"
mode = 0o666

[[socket]]
path = "@/loader/s"
role = "loader"
allow = ["world", "hell[a-z]"]
deny = ["gplsym"]

[[socket]]
path = "@/steward/s"
role = "steward"
allow = ["world", "hell[a-z]"]
deny = ["gplsym"]

[[socket]]
path = "@/admin/s"
role = "admin"
"""

DENIED = "ACCESS_DENIED"

ROLES = (Role.OBSERVER, Role.STEWARD, Role.LOADER, Role.ADMIN)
"""Those that a socket can have."""


@pytest.fixture
def guarded(modules_root: ModuleTree) -> Iterator[Daemon]:
    """A daemon with a socket for each role."""
    with running_daemon(modules_root.root, place="admin/s", settings=SETTINGS) as running:
        yield running


@pytest.fixture(scope="module")
def lasting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """The same for all the cells of the table, of which none changes anything."""
    tree = ModuleTree(tmp_path_factory.mktemp("roles") / "root", "6.1.0-roles")
    tree.directory.mkdir(parents=True)
    (tree.directory / "modules.order").touch()
    with running_daemon(tree.root, place="admin/s", settings=SETTINGS) as running:
        yield running


def client_of(daemon: Daemon, role: str) -> Client:
    """Connect to a socket of the daemon's; it shows one after the other, and some anew later."""
    found: list[Client] = []

    def connects() -> bool:
        with suppress(NoDaemonError):
            found.append(Client(str(daemon.socket.parents[1] / role / "s")))
        return bool(found)

    wait_until(connects)
    return found[0]


def reason_of(call: object, *arguments: object, **options: object) -> str:
    """Return the reason of a call's failure."""
    assert callable(call)
    with pytest.raises(CallError) as caught:
        call(*arguments, **options)
    return caught.value.reason


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("method", METHODS, ids=str)
def test_each_method_is_open_to_the_roles_of_its_cell(
    lasting: Daemon, method: Method, role: Role
) -> None:
    allowed = role.has(policy_of(method.path).role)
    socket = lasting.socket.parents[1] / role / "s"
    with grpc.insecure_channel(f"unix:{socket}") as channel:
        failure = _failure_of(method, channel)
    assert ("refused to the" in failure) is not allowed
    assert ("PERMISSION_DENIED" in failure) is not allowed


def test_the_status_tells_the_role_of_the_socket(guarded: Daemon) -> None:
    roles = {}
    for role in ROLES:
        with client_of(guarded, role) as client:
            roles[role] = client.status().role
    assert [*roles.values()] == [1, 5, 2, 3]


def test_each_socket_has_its_mode(guarded: Daemon) -> None:
    directory = guarded.socket.parents[1]
    modes = {role: stat.S_IMODE((directory / role / "s").stat().st_mode) for role in ROLES}
    assert modes == {"admin": 0o600, "observer": 0o666, "steward": 0o600, "loader": 0o600}


def test_a_loader_loads_what_it_may_have_with_what_that_needs(guarded: Daemon) -> None:
    with client_of(guarded, "loader") as client:
        client.load("world")
        client.load("hello")
        names = [each.name for each in client.list_modules()]
        assert names == ["hello", "world", "greet"]
        client.unload("world")
        names = [each.name for each in client.list_modules()]
        assert names == ["hello", "greet"], "what it may not have by name stays"


@pytest.mark.parametrize("name", ["greet", "facade", "front-door", "symbol:greet", "gpluser"])
def test_a_loader_loads_nothing_else_and_by_alias_neither(guarded: Daemon, name: str) -> None:
    with client_of(guarded, "loader") as client:
        assert reason_of(client.load, name) in (DENIED, "MODULE_NOT_FOUND")
        assert not client.list_modules()


def test_denials_are_logged_with_what_was_missing(guarded: Daemon) -> None:
    with client_of(guarded, "loader") as client:
        assert reason_of(client.load, "greet") == DENIED
    log = guarded.log.read_text()
    assert "refused to the loader socket" in log
    assert "greet is not among the modules it may have" in log


def test_what_is_denied_to_a_socket_is_not_loaded_for_another_module(
    modules_root: ModuleTree,
) -> None:
    settings = SETTINGS.replace("hell[a-z]", "gpluser")
    with (
        running_daemon(modules_root.root, place="admin/s", settings=settings) as daemon,
        client_of(daemon, "loader") as client,
    ):
        assert reason_of(client.load, "gpluser") == DENIED
        assert not client.list_modules()


def test_an_alias_is_resolved_before_the_module_is_asked_for(
    guarded: Daemon, modules_root: ModuleTree
) -> None:
    configure(guarded, modules_root, "alias greetings world\nalias hello-there greet\n")
    with client_of(guarded, "loader") as client:
        client.load("greetings")
        client.unload("world")
        assert reason_of(client.load, "hello-there") == DENIED
        assert [each.name for each in client.list_modules()] == ["greet"]


def test_a_loader_does_not_unload_what_it_may_not_have(guarded: Daemon) -> None:
    with client_of(guarded, "admin") as admin, client_of(guarded, "loader") as client:
        admin.load("facade")
        admin.load("greet")
        for name in ("facade", "greet"):
            assert reason_of(client.unload, name) == DENIED
            assert reason_of(client.remove, name) == DENIED


@pytest.mark.parametrize(
    ("field", "value"), [("kmod_exact", True), ("release", "x"), ("ignore_vermagic", True)]
)
def test_a_loader_overrules_nothing(guarded: Daemon, field: str, value: object) -> None:
    request = module_service_pb2.LoadModulesRequest(names=["world"])
    setattr(request, field, value)
    (method,) = (each for each in METHODS if each.path.endswith("/LoadModules"))
    socket = guarded.socket.parents[1] / "loader" / "s"
    with grpc.insecure_channel(f"unix:{socket}") as channel, pytest.raises(grpc.RpcError) as caught:
        method.call(channel, request)
    assert isinstance(caught.value, grpc.Call)
    assert caught.value.code() is grpc.StatusCode.PERMISSION_DENIED
    assert field in caught.value.details()


@pytest.mark.parametrize(
    ("other", "loaded"), [("world", ["hello", "world", "greet"]), ("facade", [])]
)
def test_a_command_that_a_loader_sets_off_has_the_loaders_role(
    guarded: Daemon, modules_root: ModuleTree, other: str, loaded: list[str]
) -> None:
    """Its calls come in by the admins' socket."""
    configure(guarded, modules_root, f"install hello modprobe {other} && modprobe -i hello\n")
    with client_of(guarded, "loader") as client:
        if loaded:
            client.load("hello")
        else:
            assert reason_of(client.load, "hello") == "COMMAND_FAILED"
        assert [each.name for each in client.list_modules()] == loaded


@pytest.fixture
def giving(modules_root: ModuleTree) -> Iterator[Daemon]:
    """A daemon whose loaders may give parameters."""
    settings = SETTINGS.replace('deny = ["gplsym"]', 'deny = ["gplsym"]\nparameters = true')
    with running_daemon(modules_root.root, place="admin/s", settings=settings) as running:
        yield running


@pytest.mark.parametrize(
    "parameters",
    [
        *("-f", "--force", "-r", "-S 5.10", "-C /etc/shadow", "-d/tmp", "--", "-- -f", "a=1 -f"),
        *("a=1\n-r", "a=1\t-r", '"-f"', 'a="1" "-r x"', "-q"),
    ],
)
def test_what_a_loader_gives_as_parameters_looks_like_no_option(
    giving: Daemon, parameters: str
) -> None:
    with client_of(giving, "loader") as client, client_of(giving, "admin") as admin:
        assert reason_of(client.load, "world", parameters=parameters) == DENIED
        assert not admin.list_modules()
        admin.load("world", parameters=parameters)


@pytest.mark.parametrize(
    "parameters",
    ['times="1 -f"', 'times="1 --force-vermagic x"', 'a="1\n-r', 'a=" -C /etc/shadow "'],
)
@pytest.mark.parametrize(
    "command",
    [
        "modprobe --ignore-install world $CMDLINE_OPTS",
        "modprobe $CMDLINE_OPTS --ignore-install world",
        "modprobe --ignore-install $CMDLINE_OPTS world",
        "MODPROBE_OPTIONS=$CMDLINE_OPTS; modprobe $MODPROBE_OPTIONS --ignore-install world",
        "rmmod greet $CMDLINE_OPTS",
        "insmod /nosuch.ko $CMDLINE_OPTS",
        "modinfo $CMDLINE_OPTS",
        "depmod $CMDLINE_OPTS",
        "kmodctl status $CMDLINE_OPTS",
    ],
)
def test_no_part_of_a_parameter_becomes_an_option_of_a_command(
    giving: Daemon, modules_root: ModuleTree, command: str, parameters: str
) -> None:
    program = f'kmodctl() {{ {sys.executable} -P -m kmodctl "$@"; }}'
    configure(giving, modules_root, f"install world {program}; {command} 2>&1\n")
    with client_of(giving, "loader") as client, client_of(giving, "admin") as admin:
        assert reason_of(client.load, "world", parameters=parameters) == "COMMAND_FAILED"
        assert [each.name for each in admin.list_modules()] == ["greet"]
        (result,) = admin.load_modules(
            module_service_pb2.LoadModulesRequest(
                names=["world"], parameters=parameters, failure_in_result=True
            )
        ).results
    assert (
        b" is refused in a command of modprobe.d: it is in $CMDLINE_OPTS" in result.steps[-1].output
    )


def test_a_loaders_parameters_reach_the_module_through_a_command(
    giving: Daemon, modules_root: ModuleTree
) -> None:
    configure(giving, modules_root, "install world modprobe -i world $CMDLINE_OPTS\n")
    with client_of(giving, "loader") as client, client_of(giving, "admin") as admin:
        client.load("world", parameters="a=-1 b=x-f")
        log = [record.text for record in admin.read_log()]
    assert any("unknown parameter 'a'" in line for line in log)
    assert any("unknown parameter 'b'" in line for line in log)


@pytest.mark.parametrize(
    ("command", "denied"),
    [
        ("modprobe -i world", ""),
        ("modprobe --ignore-install world times=3 p=1 $CMDLINE_OPTS", ""),
        ("modprobe -b -i world && modprobe -v hello", ""),
        ("modprobe --force-vermagic -i world", "ignore_vermagic"),
        ("modprobe --force-modversion -i world", "ignore_modversions"),
        ("modprobe -S 1.2.3 -i world", "release"),
        ("modprobe -i hello", "ignore_install_commands"),
        ("modprobe -r -i world", "ignore_remove_commands"),
        ("modprobe -r -f hello", "force"),
        ("rmmod -f hello", "force"),
        ("insmod $MODULES/world.ko", "InsertModule takes the role admin"),
        ("depmod", "RebuildDatabase takes the role admin"),
    ],
)
def test_a_command_that_a_loader_sets_off_asks_for_no_more_than_the_loader_may(
    guarded: Daemon, modules_root: ModuleTree, command: str, denied: str
) -> None:
    extra = modules_root.directory / "extra"
    command = command.replace("$MODULES", str(extra))
    configure(guarded, modules_root, f"install world {command}\n")
    with client_of(guarded, "loader") as client:
        if denied:
            assert reason_of(client.load, "world") == "COMMAND_FAILED"
            assert denied in guarded.log.read_text()
        else:
            client.load("world")
        assert ("world" in {each.name for each in client.list_modules()}) is not bool(denied)
    with client_of(guarded, "admin") as admin:
        admin.load("world", "hello", ignore_install_commands=True)


def test_the_command_of_what_a_loaders_module_needs_may_load_that_which_then_stays(
    guarded: Daemon, modules_root: ModuleTree
) -> None:
    text = "install greet modprobe -i greet\nremove greet rmmod greet\nsoftdep hello post: greet\n"
    configure(guarded, modules_root, text)
    with client_of(guarded, "loader") as client:
        client.load("world")
        assert [each.name for each in client.list_modules()] == ["world", "greet"]
        client.unload("world")
        client.load("hello")
        client.unload("hello")
        assert [each.name for each in client.list_modules()] == ["greet"]
        assert reason_of(client.load, "greet") == DENIED


def test_the_command_of_what_a_loaders_module_needs_loads_nothing_that_is_denied(
    guarded: Daemon, modules_root: ModuleTree
) -> None:
    configure(guarded, modules_root, "install hello modprobe -i gplsym\ninstall gplsym true\n")
    with client_of(guarded, "loader") as client:
        assert reason_of(client.load, "hello") == "COMMAND_FAILED"
        assert not client.list_modules()


def test_what_a_command_writes_is_for_admins(guarded: Daemon, modules_root: ModuleTree) -> None:
    configure(guarded, modules_root, "install hello echo secret; modprobe -i hello\n")
    with client_of(guarded, "admin") as admin, client_of(guarded, "loader") as client:
        (told,) = client.load("hello")
        assert [step.output for step in told.steps] == [b""]
        admin.remove("hello")
        (told,) = admin.load("hello")
        assert [step.output for step in told.steps] == [b"secret\n"]


def test_an_observer_is_not_shown_addresses(guarded: Daemon) -> None:
    with client_of(guarded, "admin") as admin, client_of(guarded, "observer") as observer:
        admin.load("hello")
        (seen,), (shown,) = admin.list_modules(), observer.list_modules()
        whole, part = admin.get_module("hello").sections, observer.get_module("hello").sections
    assert seen.address != 0
    assert shown.address == 0
    assert [each.name for each in part] == [each.name for each in whole]
    assert seen.address in {each.address for each in whole}
    assert {each.address for each in part} == {0}


def test_values_that_not_everybody_may_read_are_for_admins(guarded: Daemon, tmp_path: Path) -> None:
    spec = ModuleSpec(parameters=(Param("open", mode=0o444), Param("secret", mode=0o400)))
    path = tmp_path / "sample.ko"
    path.write_bytes(write_module(spec))
    with client_of(guarded, "admin") as admin, client_of(guarded, "observer") as observer:
        admin.insert(path, "open=1 secret=2")
        for client, values in ((admin, ["1", "2"]), (observer, ["1", None])):
            details = client.get_module("sample")
            for parameters in (client.get_parameters("sample"), details.parameters):
                shown = [each.value if each.HasField("value") else None for each in parameters]
                assert shown == values
            assert bool(details.module.address) is (client is admin)


def test_a_loader_is_not_told_them_either_when_it_gives_others(modules_root: ModuleTree) -> None:
    spec = ModuleSpec(parameters=(Param("open", mode=0o444), Param("secret", mode=0o400)))
    (modules_root.directory / "extra/sample.ko").write_bytes(write_module(spec))
    giver = '[[socket]]\npath = "@/giver/s"\nrole = "loader"\nallow = ["sample"]\n'
    settings = f"{SETTINGS}\n{giver}parameters = true\n"
    with (
        running_daemon(modules_root.root, place="admin/s", settings=settings) as daemon,
        client_of(daemon, "admin") as admin,
        client_of(daemon, "giver") as loader,
    ):
        admin.load("sample", parameters="open=1 secret=2")
        for client, values in ((admin, ["1", "2"]), (loader, ["1", ""])):
            (told,) = client.load("sample", parameters="open=8 secret=9")
            assert [each.in_force for each in told.ignored_parameters] == values


def test_modinfo_of_a_file_needs_no_role(guarded: Daemon, modules_root: ModuleTree) -> None:
    (file,) = modules_root.directory.rglob("hello.ko")
    told = [
        run_here(guarded.socket.parents[1] / role / "s", "modinfo", str(file))
        for role in ("observer", "admin")
    ]
    assert told[0] == told[1]
    assert "filename:" in told[0].output


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("modprobe", "greet"), "could not insert 'greet': refused to the loader socket "),
        (("modprobe", "-r", "greet"), "could not remove 'greet': refused to the loader socket "),
        (("rmmod", "greet"), "could not remove 'greet': refused to the loader socket "),
        (("modprobe", "world", "a=1"), "modules may be given no parameters here"),
        (("depmod",), "RebuildDatabase takes the role admin"),
    ],
)
def test_kmodctl_says_what_was_missing(guarded: Daemon, words: tuple[str, ...], said: str) -> None:
    with client_of(guarded, "admin") as admin:
        if words != ("modprobe", "greet"):
            admin.load("greet")
    result = run_here(guarded.socket.parents[1] / "loader" / "s", *words)
    assert result.status == 1
    assert said in result.errors


def test_a_loader_uses_kmodctl(guarded: Daemon) -> None:
    loader = guarded.socket.parents[1] / "loader" / "s"
    for words in (("modprobe", "world"), ("modprobe", "-r", "world")):
        assert run_here(loader, *words) == Ran("", "", 0)


def test_sighup_takes_sockets_and_allow_lists_over_and_keeps_the_rest(guarded: Daemon) -> None:
    config = guarded.socket.parents[1] / "kmodd.toml"
    text = config.read_text()
    with client_of(guarded, "observer") as kept, client_of(guarded, "admin") as admin:
        pid = admin.status().pid
        config.write_text(text.replace('"world", "hell[a-z]"', '"greet"'))
        guarded.process.send_signal(signal.SIGHUP)
        with client_of(guarded, "loader") as client:
            wait_until(lambda: _loads(client, "greet"))
            assert reason_of(client.load, "world") == DENIED
        assert kept.status().pid == pid


def test_wrong_settings_leave_the_old_ones_in_force(guarded: Daemon) -> None:
    config = guarded.socket.parents[1] / "kmodd.toml"
    config.write_text("kernel = 'solaris'\n")
    guarded.process.send_signal(signal.SIGHUP)
    wait_until(lambda: "the settings stay as they are" in guarded.log.read_text())
    assert f"{config}:1: kernel is one of emulated, vm, linux" in guarded.log.read_text()
    with client_of(guarded, "loader") as client:
        client.load("world")


def _loads(client: Client, name: str) -> bool:
    try:
        client.load(name)
    except (CallError, NoDaemonError):
        return False
    return True


def _failure_of(method: Method, channel: grpc.Channel) -> str:
    """Call a method with an empty request; return code and words of its failure, if it fails."""
    try:
        method.call(channel)
    except grpc.RpcError as error:
        return str(error)
    return ""


def test_a_loader_holds_what_it_may_load_and_nothing_else(guarded: Daemon) -> None:
    with client_of(guarded, "loader") as client, client_of(guarded, "admin") as admin:
        with client.hold("world", unload=True) as hold:
            assert list(hold.answer.modules) == ["greet", "world"]
            assert reason_of(client.list_holds) == DENIED
            assert reason_of(client.end_hold, hold.answer.hold) == DENIED
            assert reason_of(admin.remove, "world") == "MODULE_HELD"
            (listed,) = admin.list_holds()
            assert listed.role == "loader"
        assert reason_of(client.hold, "facade") == DENIED
        assert reason_of(client.hold, "world", parameters="x=1") == DENIED
        assert reason_of(client.hold, "world", ignore_vermagic=True) == DENIED


def test_only_admins_are_told_by_which_socket_and_what_was_denied(guarded: Daemon) -> None:
    with client_of(guarded, "loader") as client, client_of(guarded, "admin") as admin:
        status = admin.status()
        assert reason_of(client.load, "facade") == DENIED
        client.load("world")
        newest = admin.status().newest_revision
    for role, sockets in (("admin", 2), ("observer", 0), ("loader", 0)):
        operations = []
        with client_of(guarded, role) as client:
            for message in client.watch_modules(status.epoch, status.newest_revision):
                if message.WhichOneof("content") == "operation":
                    operations.append(message.operation)
                if message.revision >= newest:
                    break
        assert len(operations) == (2 if role == "admin" else 1)
        assert sum(bool(operation.socket) for operation in operations) == sockets
        assert sum(bool(operation.role) for operation in operations) == sockets


def test_a_value_that_was_rejected_is_for_admins(guarded: Daemon) -> None:
    with client_of(guarded, "admin") as admin, client_of(guarded, "observer") as observer:
        before = admin.status()
        assert reason_of(admin.load, "greet", parameters="times=s3cret") == "INVALID_PARAMETER"
        admin.load("greet")
        assert reason_of(admin.set_parameter, "greet", "times", "s3cret2") == "INVALID_PARAMETER"
        revision = admin.status().newest_revision

        def seen(client: Client) -> str:
            events = []
            for event in client.watch_modules(before.epoch, before.newest_revision):
                events.append(str(event))
                if event.revision == revision:
                    break
            return "".join((*events, *(record.text for record in client.read_log())))

        assert "s3cret" in seen(admin)
        assert "s3cret" not in seen(observer)
