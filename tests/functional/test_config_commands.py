# SPDX-License-Identifier: Apache-2.0
"""Install and remove commands of modprobe.d: run only where allowed, told little, bounded."""

import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from kmodctl.errors import CallError
from kmodd import daemon as daemon_module
from kmodd.kernel import emulated
from kmodd.kernel.base import InsertFlags
from kmodd.kernel.emulated import IsolatedKernel
from kmodd.settings import Settings, SocketSettings
from tests.support.daemon import Daemon, configure, running_daemon, wait_until
from tests.support.here import run_here
from tests.support.require import require
from tests.support.tree import ModuleTree

LIMIT = 2.0
"""Seconds that a command may take where that is tried."""


@pytest.fixture
def commanding(modules_root: ModuleTree) -> Iterator[Daemon]:
    """A daemon that runs commands."""
    with running_daemon(modules_root.root, "--allow-commands", "--no-watch") as running:
        yield running


@pytest.fixture
def impatient(modules_root: ModuleTree) -> Iterator[Daemon]:
    """A daemon that runs commands for a short time each."""
    words = ("--allow-commands", "--command-time", str(LIMIT), "--no-watch")
    with running_daemon(modules_root.root, *words) as running:
        yield running


@pytest.fixture
def tree(modules_root: ModuleTree) -> ModuleTree:
    return modules_root


def names(daemon: Daemon) -> list[str]:
    with daemon.client() as client:
        return [module.name for module in client.list_modules()]


def test_commands_are_refused_unless_they_are_allowed(
    daemon: Daemon, tree: ModuleTree, tmp_path: Path
) -> None:
    trace = tmp_path / "trace"
    configure(daemon, tree, f"install world touch {trace}\nremove greet touch {trace}\n")
    result = daemon.kmodctl("modprobe", "world")
    assert result.stderr == (
        "modprobe: ERROR: could not insert 'world': the install command of world is not run on "
        f"this kernel: touch {trace}\n"
    )
    assert daemon.kmodctl("modprobe", "-r", "greet").returncode == 1
    assert daemon.kmodctl("modprobe", "-i", "world").returncode == 0
    assert not trace.exists()


def test_a_command_knows_its_module_and_its_parameters_and_its_output_comes_back(
    commanding: Daemon, tree: ModuleTree
) -> None:
    text = (
        'install greet echo "$MODPROBE_MODULE <$CMDLINE_OPTS>"; pwd; echo oops >&2; cat; exit 4\n'
    )
    configure(commanding, tree, text + "options greet a=1\n")
    result = commanding.kmodctl("modprobe", "greet", "times=2", "whom=two words")
    assert result.stdout == 'greet <a=1 times=2 whom="two words">\n/\n'
    assert result.stderr.startswith("oops\nmodprobe: ERROR: Error running install command '")
    assert result.stderr.endswith(
        "for module greet: retcode 4\nmodprobe: ERROR: could not insert 'greet': Invalid argument\n"
    )
    assert result.returncode == 1


@pytest.mark.parametrize(
    "command",
    [
        "echo $CMDLINE_OPTS",
        'echo "$CMDLINE_OPTS"',
        "modprobe -i greet $CMDLINE_OPTS",
        "true '$CMDLINE_OPTS'",
        "cat <<END\n$CMDLINE_OPTS\nEND".replace("\n", "\\n"),
    ],
)
def test_nothing_that_a_caller_says_is_evaluated_by_a_shell(
    commanding: Daemon, tree: ModuleTree, tmp_path: Path, command: str
) -> None:
    trace = tmp_path / "trace"
    configure(commanding, tree, f"install greet {command}\ninstall ghost* {command}\n")
    for text in ("$(touch {})", "`touch {}`", "; touch {};", "' ; touch {} '", '"; touch {}; "'):
        attack = text.format(trace)
        for name in ("greet", f"ghost{attack}"):
            run_here(commanding.socket, "modprobe", name, f"p={attack}", attack)
            run_here(commanding.socket, "modprobe", "-r", name)
        with commanding.client() as client, pytest.raises(CallError):
            client.load("world", parameters=f"a=1\0{attack}")
    assert not trace.exists()


STOCK = r"""
install world /sbin/modprobe --ignore-install world $CMDLINE_OPTS && \
    { /sbin/modprobe --quiet --use-blacklist hello ; : ; }
remove greet (/sbin/lsmod | grep -o -e ^world -e ^greet | xargs /sbin/rmmod)
"""
"""As distributions write it: with the paths of kmod's tools."""

WITHOUT_NAMESPACES = 'echo 0 >/proc/sys/user/max_mnt_namespaces && exec "$@"'


def require_namespaces(*options: str) -> None:
    unshare = require("unshare", "whether namespaces are allowed is tried with unshare")
    tried = subprocess.run([unshare, *options, "true"], check=False)
    require(not tried.returncode, "namespaces are not allowed here")


@pytest.fixture
def confined(modules_root: ModuleTree) -> Iterator[Daemon]:
    """A daemon that runs commands and can have no mounts for them."""
    through = ("unshare", "--map-root-user", "sh", "-c", WITHOUT_NAMESPACES, "sh")
    require_namespaces(*through[1:])
    words = ("--allow-commands", "--no-watch")
    with running_daemon(modules_root.root, *words, through=through) as running:
        yield running


@pytest.mark.parametrize("bin_directory", ["/sbin", "/usr/sbin", "/bin", "/usr/bin"])
def test_a_command_that_names_kmods_tools_by_path_is_about_the_daemons_kernel(
    commanding: Daemon, tree: ModuleTree, bin_directory: str
) -> None:
    require_namespaces("--map-current-user", "--mount")
    configure(commanding, tree, STOCK.replace("/sbin/", f"{bin_directory}/"))
    loaded = commanding.kmodctl("modprobe", "-v", "world")
    assert (loaded.stderr, loaded.returncode) == ("", 0)
    assert names(commanding) == ["hello", "world", "greet"]
    unloaded = commanding.kmodctl("modprobe", "-r", "greet")
    assert (unloaded.stderr, unloaded.returncode) == ("", 0)
    assert names(commanding) == ["hello"]


def test_without_mounts_of_its_own_a_command_that_names_a_path_is_refused(
    confined: Daemon, tree: ModuleTree, tmp_path: Path
) -> None:
    configure(confined, tree, f"install world touch {tmp_path}/trace; '/sbin/modprobe' -i world\n")
    result = confined.kmodctl("modprobe", "world")
    assert result.stderr == (
        "modprobe: ERROR: could not insert 'world': the install command of world is not run: it "
        "has '/sbin/modprobe', and can have no mounts of its own (unshare: No space left on "
        f"device): touch {tmp_path}/trace; '/sbin/modprobe' -i world\n"
    )
    assert result.returncode == 1
    assert names(confined) == ["greet"]
    assert not (tmp_path / "trace").exists()


@pytest.mark.parametrize("text", ["PATH=/sbin:/bin modprobe x", "command -p lsmod", "env -i lsmod"])
def test_without_mounts_of_its_own_a_command_searches_nowhere_else(
    confined: Daemon, tree: ModuleTree, text: str
) -> None:
    require("lsmod", "only where the machine has kmod's tools they must not be found")
    configure(confined, tree, f"install world {text}\n")
    with confined.client() as client, pytest.raises(CallError) as caught:
        client.load("world")
    assert caught.value.reason == "COMMAND_REFUSED"


def test_without_mounts_of_its_own_a_command_has_kmods_tools_by_name(
    confined: Daemon, tree: ModuleTree
) -> None:
    configure(confined, tree, STOCK.replace("/sbin/", ""))
    assert confined.kmodctl("modprobe", "world").returncode == 0
    assert names(confined) == ["hello", "world", "greet"]
    assert confined.kmodctl("modprobe", "-r", "greet").returncode == 0
    assert names(confined) == ["hello"]


def test_a_user_without_privileges_has_the_same_mounts(modules_root: ModuleTree) -> None:
    require_namespaces("--map-current-user", "--mount")
    through = ("unshare", "--user", "--map-user=1000", "--map-group=1000")
    require_namespaces(*through[1:])
    text = "install world /sbin/modprobe -i world && id -u\n"
    words = ("--allow-commands", "--no-watch", "--no-publish")
    with running_daemon(modules_root.root, *words, through=through) as daemon:
        configure(daemon, modules_root, text)
        result = daemon.kmodctl("modprobe", "world")
        assert (result.stdout, result.stderr) == ("1000\n", "")
        assert names(daemon) == ["world", "greet"]


def test_a_command_may_load_its_own_module(commanding: Daemon, tree: ModuleTree) -> None:
    text = "install world modprobe -i world $CMDLINE_OPTS && echo loaded $MODPROBE_MODULE\n"
    configure(commanding, tree, text)
    result = commanding.kmodctl("modprobe", "world")
    assert (result.stdout, result.stderr, result.returncode) == ("loaded world\n", "", 0)
    assert names(commanding) == ["world", "greet"]


@pytest.mark.parametrize(
    "config",
    [
        "install greet modprobe greet\n",
        "install greet modprobe hello\ninstall hello modprobe greet\n",
        "remove greet modprobe -r greet\n",
        "install greet modprobe -r greet\nremove greet modprobe greet\n",
        "install greet modprobe world && modprobe -i greet\n",
    ],
)
def test_a_command_that_comes_back_to_itself_ends_in_an_error(
    commanding: Daemon, tree: ModuleTree, config: str
) -> None:
    configure(commanding, tree, config)
    if "remove greet modprobe -r" in config:
        result = commanding.kmodctl("modprobe", "-r", "greet")
    else:
        result = commanding.kmodctl("modprobe", "greet")
    assert result.returncode == 1
    assert "calls for itself again" in result.stderr
    assert commanding.kmodctl("modprobe", "-i", "greet").returncode == 0


def test_a_command_that_comes_back_as_a_soft_dependency_is_passed_over(
    commanding: Daemon, tree: ModuleTree
) -> None:
    configure(commanding, tree, "install greet modprobe hello\nsoftdep hello pre: greet\n")
    result = commanding.kmodctl("modprobe", "greet")
    assert (result.stdout, result.stderr, result.returncode) == ("", "", 0)
    assert names(commanding) == ["hello"]


@pytest.mark.parametrize(
    "config",
    [
        "install greet modprobe --ignore-install greet && modprobe -q world\n",
        "install greet modprobe -i greet $CMDLINE_OPTS && { modprobe -q world ; : ; }\n",
        "install greet modprobe -i greet && modprobe world\ninstall world modprobe -i world\n",
        "install greet modprobe -i greet && modprobe world\n"
        "install world modprobe greet && modprobe -i world\n",
        "install greet modprobe -i greet && modprobe hello\nsoftdep hello pre: greet post: world\n",
    ],
)
@pytest.mark.parametrize("name", ["greet", "world"])
def test_a_command_may_load_what_needs_its_own_module_once_that_is_loaded(
    commanding: Daemon, tree: ModuleTree, config: str, name: str
) -> None:
    configure(commanding, tree, config)
    result = commanding.kmodctl("modprobe", name)
    assert (result.stdout, result.stderr, result.returncode) == ("", "", 0)
    assert {"greet", "world"} <= set(names(commanding))


def test_a_command_may_unload_what_would_unload_its_own_module(
    commanding: Daemon, tree: ModuleTree
) -> None:
    text = "remove greet modprobe -r hello && modprobe -r -i greet\nsoftdep hello pre: greet\n"
    configure(commanding, tree, text)
    commanding.kmodctl("modprobe", "-a", "greet", "hello")
    result = commanding.kmodctl("modprobe", "-r", "greet")
    assert (result.stdout, result.stderr, result.returncode) == ("", "", 0)
    assert names(commanding) == []


def test_a_command_that_hangs_is_ended_with_all_that_it_started(
    impatient: Daemon, tree: ModuleTree, tmp_path: Path
) -> None:
    child = tmp_path / "child"
    configure(impatient, tree, f"install greet sleep 300 & echo $! > {child}; wait\n")
    result = impatient.kmodctl("modprobe", "greet")
    assert result.returncode == 1
    assert f"the install command of greet took more than {LIMIT:g} seconds" in result.stderr
    process = Path("/proc", child.read_text().strip())
    wait_until(lambda: not process.exists() or "Z (zombie)" in (process / "status").read_text())


def test_what_a_command_leaves_running_is_not_waited_for(
    commanding: Daemon, tree: ModuleTree
) -> None:
    configure(commanding, tree, "install ghost sleep 300 & echo $!\n")
    result = commanding.kmodctl("modprobe", "ghost")
    assert result.returncode == 0
    os.kill(int(result.stdout), 9)


def test_callers_who_want_one_module_share_a_run_of_its_command(
    commanding: Daemon, tree: ModuleTree, tmp_path: Path
) -> None:
    trace = tmp_path / "trace"
    text = f"install greet echo x >> {trace}; sleep 0.5; modprobe -i greet\n"
    configure(commanding, tree, text)

    def load(_: int) -> None:
        with commanding.client() as client:
            client.load("greet")

    with ThreadPoolExecutor(20) as pool:
        list(pool.map(load, range(20)))
    assert trace.read_text() == "x\n"
    assert names(commanding) == ["greet"]


def test_two_commands_that_want_each_others_module_do_not_wait_for_each_other(
    commanding: Daemon, tree: ModuleTree
) -> None:
    wanting = "sleep 0.3; modprobe {other}; modprobe -i {own}"
    configure(
        commanding,
        tree,
        f"install greet {wanting.format(other='hello', own='greet')}\n"
        f"install hello {wanting.format(other='greet', own='hello')}\n",
    )
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda name: commanding.kmodctl("modprobe", name), ("greet", "hello")))
    assert sorted(names(commanding)) == ["greet", "hello"]


def test_a_token_ends_with_its_operation(
    commanding: Daemon, tree: ModuleTree, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure(commanding, tree, "install ghost echo $KMODD_TOKEN\n")
    token = commanding.kmodctl("modprobe", "ghost").stdout.strip()
    assert len(token) >= 32
    assert commanding.kmodctl("modprobe", "ghost").stdout.strip() != token
    monkeypatch.setenv("KMODD_SOCKET", str(commanding.socket))
    for stale in (token, "never was one"):
        monkeypatch.setenv("KMODD_TOKEN", stale)
        with commanding.client() as client, pytest.raises(CallError) as caught:
            client.load("greet")
        assert caught.value.reason == "OPERATION_ENDED"
    monkeypatch.delenv("KMODD_TOKEN")
    assert names(commanding) == []


def test_a_nested_call_is_not_hindered_by_the_pins_of_its_own_operation(
    commanding: Daemon, tree: ModuleTree
) -> None:
    configure(commanding, tree, "install world modprobe -r greet && modprobe -i world\n")
    result = commanding.kmodctl("modprobe", "world")
    assert (result.stderr, result.returncode) == ("", 0)
    assert names(commanding) == ["world", "greet"]


def test_quiet_and_verbose_reach_the_nested_call(commanding: Daemon, tree: ModuleTree) -> None:
    configure(commanding, tree, "install ghost modprobe nosuch; modprobe greet\n")
    quiet = commanding.kmodctl("modprobe", "-q", "ghost")
    assert (quiet.stdout, quiet.stderr) == ("", "")
    commanding.kmodctl("modprobe", "-r", "greet")
    verbose = commanding.kmodctl("modprobe", "-v", "ghost")
    assert "\ninsmod " in verbose.stdout


def test_a_module_whose_load_makes_the_kernel_ask_for_another_finishes(
    modules_root: ModuleTree, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel runs modprobe while it loads (request_module), and waits for it."""
    socket = tmp_path / "run" / "s"

    class AskingKernel(IsolatedKernel):
        def finit_module(self, fd: int, parameters: str, flags: InsertFlags) -> None:
            if b"name=world\0" in os.pread(fd, 1 << 20, 0):
                command = [sys.executable, "-m", "kmodctl", "--socket", str(socket)]
                subprocess.run([*command, "modprobe", "-q", "--", "front-door"], check=True)
            super().finit_module(fd, parameters, flags)

    monkeypatch.setattr(emulated, "IsolatedKernel", AskingKernel)
    listening = (SocketSettings(path=socket),)
    settings = Settings(root=modules_root.root, sockets=listening, watch=False)
    with daemon_module.running(settings) as daemon:
        from kmodctl.client import Client

        with Client(str(daemon.socket), timeout=30) as client:
            client.load("world")
            assert [each.name for each in client.list_modules()] == ["world", "facade", "greet"]
