# SPDX-License-Identifier: Apache-2.0
"""Options that name another root or configuration, which kmodctl reads itself."""

import shutil
from pathlib import Path

import pytest

from tests.support.daemon import Daemon, kmodctl, running_daemon
from tests.support.modules import module_tree
from tests.support.tree import ModuleTree


def files_of(root: Path) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in root.rglob("*")}


@pytest.fixture
def other(tmp_path: Path) -> ModuleTree:
    """Another root, with the only copy of a module."""
    tree = module_tree(tmp_path / "other")
    (tree.directory / "extra/hello.ko").rename(tree.directory / "extra/only.ko")
    publish(tree)
    return tree


def publish(tree: ModuleTree) -> None:
    """Write the databases of a tree."""
    assert kmodctl("depmod", "-b", str(tree.root), tree.release).returncode == 0


def loaded(daemon: Daemon) -> list[str]:
    with daemon.client() as client:
        return [module.name for module in client.list_modules()]


def test_another_root_is_asked_without_a_daemon_and_left_as_it_is(other: ModuleTree) -> None:
    before = files_of(other.root)
    root, extra = str(other.root), other.directory / "extra"
    place = ("-d", root, "-S", other.release)
    planned = kmodctl("modprobe", *place, "-D", "world")
    assert planned.stdout == f"insmod {extra}/greet.ko \ninsmod {extra}/world.ko \n"
    assert (planned.stderr, planned.returncode) == ("", 0)
    assert kmodctl("modprobe", *place, "-R", "front-door").stdout == "facade\n"
    assert kmodctl("modinfo", "-b", root, "-n", "only").stdout == f"{extra}/only.ko\n"
    missing = kmodctl("modprobe", *place, "-n", "nosuch")
    assert missing.stderr == (
        f"modprobe: FATAL: Module nosuch not found in directory {other.directory}\n"
    )
    assert files_of(other.root) == before


def test_a_root_without_databases_has_no_modules_as_kmod_has_it(tmp_path: Path) -> None:
    tree = module_tree(tmp_path / "bare")
    before = files_of(tree.root)
    for options in (("-D",), ("-R",), ("-n",), ("--show-exports",)):
        place = ("-d", str(tree.root), "-S", tree.release)
        result = kmodctl("modprobe", *place, *options, "world")
        assert (result.stdout, result.returncode) == ("", 1)
        assert result.stderr == (
            f"modprobe: FATAL: Module world not found in directory {tree.directory}\n"
        )
    told = kmodctl("modinfo", "-b", str(tree.root), "-k", tree.release, "world")
    assert (told.stdout, told.returncode) == ("", 1)
    assert told.stderr == "modinfo: ERROR: Module world not found.\n"
    assert files_of(tree.root) == before


def test_modules_of_another_root_are_loaded_into_the_daemons_kernel(
    daemon: Daemon, other: ModuleTree
) -> None:
    place = ("-d", str(other.root), "-S", other.release)
    result = daemon.kmodctl("modprobe", *place, "-v", "only")
    assert result.stdout == f"insmod {other.directory}/extra/only.ko \n"
    assert (result.stderr, result.returncode) == ("", 0)
    assert loaded(daemon) == ["hello"]
    daemon.kmodctl("modprobe", "greet")
    result = daemon.kmodctl("modprobe", *place, "-v", "world")
    assert result.stdout == f"insmod {other.directory}/extra/world.ko \n"
    assert loaded(daemon) == ["world", "greet", "hello"]
    again = daemon.kmodctl("modprobe", *place, "--first-time", "world")
    assert again.stderr == "modprobe: ERROR: could not insert 'world': Module already in kernel\n"


def test_another_configuration_plans_for_the_daemons_tree(
    daemon: Daemon, modules_root: ModuleTree, tmp_path: Path
) -> None:
    config = tmp_path / "my.config"
    config.write_text("alias wonder world\noptions world a=1\ninstall hello echo no\n")
    result = daemon.kmodctl("modprobe", "-C", str(config), "-v", "wonder")
    extra = modules_root.directory / "extra"
    assert result.stdout == f"insmod {extra}/greet.ko \ninsmod {extra}/world.ko a=1 \n"
    assert loaded(daemon) == ["world", "greet"]
    refused = daemon.kmodctl("modprobe", "-C", str(config), "hello")
    assert refused.stderr == (
        "modprobe: ERROR: could not insert 'hello': "
        "the install command of hello is not the daemon's own: echo no\n"
    )
    assert daemon.kmodctl("modprobe", "-C", str(config), "-r", "wonder").returncode == 0
    assert loaded(daemon) == []


def test_modules_are_unloaded_as_another_root_says(daemon: Daemon, other: ModuleTree) -> None:
    there = ("-d", str(other.root), "-S", other.release)
    with daemon.client() as client:
        client.load("world")
        client.load("hello")
    planned = daemon.kmodctl("modprobe", *there, "-r", "-n", "-v", "world")
    assert planned.stdout == "rmmod world\nrmmod greet\n"
    assert loaded(daemon) == ["hello", "world", "greet"]
    in_use = daemon.kmodctl("modprobe", *there, "-r", "greet")
    assert (in_use.stderr, in_use.returncode) == ("modprobe: FATAL: Module greet is in use.\n", 1)
    done = daemon.kmodctl("modprobe", *there, "-r", "-v", "world")
    assert (done.stdout, done.stderr) == ("rmmod world\nrmmod greet\n", "")
    assert loaded(daemon) == ["hello"]


def test_a_remove_command_of_ones_own_configuration_is_not_run(
    daemon: Daemon, tmp_path: Path
) -> None:
    config = tmp_path / "own.conf"
    config.write_text(f"remove hello touch {tmp_path}/ran\n")
    with daemon.client() as client:
        client.load("hello")
    result = daemon.kmodctl("modprobe", "-C", str(config), "-r", "hello")
    assert result.returncode == 1
    assert "the remove command of hello is not the daemon's own" in result.stderr
    assert loaded(daemon) == ["hello"]
    assert not (tmp_path / "ran").exists()


@pytest.fixture
def file(tmp_path: Path, modules_root: ModuleTree) -> Path:
    """A module file outside all trees, which needs greet of the tree."""
    return Path(shutil.copy(modules_root.directory / "extra/world.ko", tmp_path / "world.ko"))


def test_a_file_is_loaded_with_what_it_needs_as_another_configuration_says(
    daemon: Daemon, modules_root: ModuleTree, file: Path
) -> None:
    own = file.with_name("own.conf")
    own.write_text("options greet times=3\noptions world a=1\n")
    greet = f"insmod {modules_root.directory}/extra/greet.ko times=3 \n"
    options = ("-C", str(own), "-v")
    planned = daemon.kmodctl("modprobe", *options, "-n", str(file))
    assert (planned.stdout, loaded(daemon)) == (f"{greet}insmod {file} a=1 \n", [])
    result = daemon.kmodctl("modprobe", *options, str(file), "b=2")
    assert (result.stdout, result.stderr) == (f"{greet}insmod {file} a=1 b=2\n", "")
    assert (result.returncode, loaded(daemon)) == (0, ["world", "greet"])
    with daemon.client() as client:
        (times,) = (each for each in client.get_parameters("greet") if each.name == "times")
    assert times.value == "3"


def test_a_file_is_loaded_with_what_it_needs_of_another_root(
    daemon: Daemon, other: ModuleTree, file: Path
) -> None:
    place = ("-d", str(other.root), "-S", other.release)
    greet, only = (other.directory / "extra" / f"{name}.ko" for name in ("greet", "only"))
    result = daemon.kmodctl("modprobe", *place, "-v", str(file))
    assert result.stdout == f"insmod {greet} \ninsmod {file} \n"
    assert (result.stderr, result.returncode, loaded(daemon)) == ("", 0, ["world", "greet"])
    assert daemon.kmodctl("modprobe", *place, "-q", str(only)).returncode == 0
    assert loaded(daemon) == ["hello", "world", "greet"]


def test_a_file_of_a_module_that_is_loaded_is_passed_over(daemon: Daemon, file: Path) -> None:
    own = file.with_name("own.conf")
    own.write_text("install world echo no\nsoftdep world post: hello\n")
    with daemon.client() as client:
        client.load("world")
    for options in ((), ("-n",)):
        again = daemon.kmodctl("modprobe", "-C", str(own), "-v", *options, str(file))
        assert (again.stdout, again.stderr, again.returncode) == ("", "", 0)
    first = daemon.kmodctl("modprobe", "-C", str(own), "--first-time", str(file))
    assert first.stderr == "modprobe: ERROR: could not insert 'world': Module already in kernel\n"
    given = daemon.kmodctl("modprobe", "-C", str(own), str(file), "a=1")
    assert given.stderr == ("modprobe: WARNING: world is in the kernel already, ignored: a=1\n")
    assert loaded(daemon) == ["world", "greet"]


def test_a_file_that_cannot_be_loaded_is_told_as_without_another_configuration(
    daemon: Daemon, modules_root: ModuleTree, file: Path
) -> None:
    own = file.with_name("own.conf")
    own.write_text("")
    file.write_text("no module")
    greet = str(modules_root.directory / "extra/greet.ko")
    calls = (["/nosuch.ko"], ["-q", "/nosuch.ko"], [str(file)], [greet, "times=many"])
    for words in calls:
        usual = daemon.kmodctl("modprobe", *words)
        result = daemon.kmodctl("modprobe", "-C", str(own), *words)
        assert (result.stdout, result.stderr) == (usual.stdout, usual.stderr)
        assert result.returncode == usual.returncode == 1
    assert loaded(daemon) == []


def test_a_file_is_not_loaded_without_a_daemon_to_load_it(file: Path, other: ModuleTree) -> None:
    place = ("-d", str(other.root), "-S", other.release)
    planned = kmodctl("modprobe", *place, "-n", str(file))
    assert planned.stdout.endswith(f"insmod {file} \n")
    refused = kmodctl("modprobe", *place, str(file))
    assert refused.returncode == 1
    assert refused.stderr.startswith("kmodctl: no daemon answers")


def test_what_is_loaded_is_not_planned_by_another_configuration(
    daemon: Daemon, modules_root: ModuleTree, tmp_path: Path
) -> None:
    own = tmp_path / "own.conf"
    own.write_text("install greet echo no\n")
    with daemon.client() as client:
        client.load("greet")
    for options in (("-n",), ()):
        result = daemon.kmodctl("modprobe", "-C", str(own), "-v", *options, "world")
        assert result.stdout == f"insmod {modules_root.directory}/extra/world.ko \n"
        assert (result.stderr, result.returncode) == ("", 0)
    assert loaded(daemon) == ["world", "greet"]


def test_a_module_that_a_plan_names_twice_is_loaded_and_unloaded_once(
    daemon: Daemon, modules_root: ModuleTree, tmp_path: Path
) -> None:
    own = tmp_path / "own.conf"
    own.write_text("softdep world post: greet\n")
    extra = modules_root.directory / "extra"
    for options in ((), ("--first-time",)):
        result = daemon.kmodctl("modprobe", "-C", str(own), "-v", *options, "world")
        assert result.stdout == f"insmod {extra}/greet.ko \ninsmod {extra}/world.ko \n"
        assert (result.stderr, result.returncode) == ("", 0)
        assert loaded(daemon) == ["world", "greet"]
        result = daemon.kmodctl("modprobe", "-C", str(own), "-r", "-v", *options, "world")
        assert sorted(result.stdout.splitlines()) == ["rmmod greet", "rmmod world"]
        assert (result.stderr, result.returncode, loaded(daemon)) == ("", 0, [])


def test_atomic_holds_with_another_configuration(
    daemon: Daemon, modules_root: ModuleTree, tmp_path: Path
) -> None:
    own = tmp_path / "own.conf"
    own.write_text("")
    extra = modules_root.directory / "extra"
    result = daemon.kmodctl(
        "modprobe", "-C", str(own), "--atomic", "-v", "-a", "world", "nosuch", "hello"
    )
    assert result.stdout.splitlines() == [
        f"insmod {extra}/greet.ko ",
        f"insmod {extra}/world.ko ",
        "rmmod world",
        "rmmod greet",
    ]
    assert (result.returncode, loaded(daemon)) == (1, [])


def test_a_daemon_that_does_as_kmod_does_has_it_done_so_with_another_configuration(
    modules_root: ModuleTree, tmp_path: Path
) -> None:
    own = tmp_path / "own.conf"
    own.write_text("softdep world pre: hello\nsoftdep world pre: noexit\ninstall hello echo no\n")
    file = str(modules_root.directory / "extra/world.ko")
    for arguments, second in ((("--kmod-exact",), False), ((), True)):
        with running_daemon(modules_root.root, *arguments) as daemon:
            with daemon.client() as client:
                assert client.status().kmod_exact is not second
            for name in ("world", file):
                planned = daemon.kmodctl("modprobe", "-C", str(own), "-D", name)
                assert ("/noexit.ko" in planned.stdout) is second
            there = ("-d", str(modules_root.root), "-C", str(own))
            planned = daemon.kmodctl("modprobe", *there, "-D", "world")
            assert ("/noexit.ko" in planned.stdout) is second


def test_another_root_is_asked_for_the_release_of_the_daemons_kernel(
    daemon: Daemon, other: ModuleTree
) -> None:
    newer = other.directory.with_name("99.1.0-newer")
    newer.mkdir()
    (newer / "only.ko").write_bytes((other.directory / "extra/only.ko").read_bytes())
    publish(ModuleTree(other.root, newer.name))
    root, extra = str(other.root), other.directory / "extra"
    planned = daemon.kmodctl("modprobe", "-d", root, "-D", "only")
    assert planned.stdout == f"insmod {extra}/only.ko \n"
    assert daemon.kmodctl("modinfo", "-b", root, "-n", "only").stdout == f"{extra}/only.ko\n"
    assert daemon.kmodctl("modprobe", "-d", root, "only").returncode == 0
    assert loaded(daemon) == ["hello"]
    alone = kmodctl("modprobe", "-d", root, "-D", "only")
    assert alone.stdout == f"insmod {newer}/only.ko \n"


def test_another_release_of_the_daemons_root_needs_no_daemon_of_ones_own(
    modules_root: ModuleTree,
) -> None:
    older = modules_root.directory.with_name("5.0.0-old")
    older.mkdir()
    (older / "greet.ko").write_bytes((modules_root.directory / "extra/greet.ko").read_bytes())
    with running_daemon(modules_root.root, "--release", modules_root.release) as daemon:
        planned = daemon.kmodctl("modprobe", "-S", "5.0.0-old", "-D", "greet")
        assert planned.stdout == f"insmod {older}/greet.ko \n"
        found = daemon.kmodctl("modinfo", "-k", "5.0.0-old", "-n", "greet")
        assert found.stdout == f"{older}/greet.ko\n"
        missing = daemon.kmodctl("modprobe", "-S", "9.9.9", "greet")
        assert missing.stderr == (
            f"modprobe: FATAL: Module greet not found in directory {older.with_name('9.9.9')}\n"
        )
        assert daemon.kmodctl("modprobe", "-S", "../../..", "greet").returncode == 1


def test_a_root_that_is_none_is_told(tmp_path: Path) -> None:
    nowhere = tmp_path / "nowhere"
    result = kmodctl("modprobe", "-d", str(nowhere), "-S", "6.1.0", "-D", "greet")
    assert (result.stdout, result.returncode) == ("", 1)
    assert result.stderr == (
        f"modprobe: FATAL: Module greet not found in directory {nowhere}/lib/modules/6.1.0\n"
    )
