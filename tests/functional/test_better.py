# SPDX-License-Identifier: Apache-2.0
"""What kmodctl does that kmod does not, and that --kmod-exact takes it back."""

import json
from collections.abc import Iterator

import pytest

from tests.support.daemon import Daemon, running_daemon
from tests.support.here import Ran, run_here
from tests.support.tree import ModuleTree


@pytest.fixture
def tree(modules_root: ModuleTree) -> ModuleTree:
    return modules_root


def configure(daemon: Daemon, tree: ModuleTree, text: str) -> None:
    directory = tree.root / "etc/modprobe.d"
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "test.conf").write_text(text)
    with daemon.client() as client:
        client.rebuild_database()


def names(daemon: Daemon) -> list[str]:
    with daemon.client() as client:
        return [module.name for module in client.list_modules()]


def run(daemon: Daemon, *words: str) -> Ran:
    return run_here(daemon.socket, *words)


def test_atomic_takes_back_what_a_failed_load_brought(daemon: Daemon, tree: ModuleTree) -> None:
    extra = tree.directory / "extra"
    failed = run(daemon, "modprobe", "-v", "--atomic", "gpluser")
    assert failed.output == (
        f"insmod {extra}/gplsym.ko \ninsmod {extra}/gpluser.ko \nrmmod gplsym\n"
    )
    assert failed.status == 1
    assert names(daemon) == []
    run(daemon, "modprobe", "gpluser")
    assert names(daemon) == ["gplsym"], "without it what was loaded stays, as in kmod"


def test_atomic_is_for_all_names_together_and_leaves_what_was_there(
    daemon: Daemon, tree: ModuleTree
) -> None:
    extra = tree.directory / "extra"
    run(daemon, "modprobe", "greet")
    failed = run(daemon, "modprobe", "-a", "-v", "--atomic", "world", "hello", "nosuch", "noexit")
    assert failed.output == (
        f"insmod {extra}/world.ko \nrmmod world\ninsmod {extra}/hello.ko \nrmmod hello\n"
    )
    assert failed.errors == (
        f"modprobe: WARNING: Module nosuch not found in directory {tree.directory}\n"
    )
    assert names(daemon) == ["greet"]
    assert run(daemon, "modprobe", "-a", "--atomic", "world", "hello").status == 0
    assert names(daemon) == ["hello", "world", "greet"]


def test_parameters_that_come_too_late_are_reported_with_those_in_force(daemon: Daemon) -> None:
    run(daemon, "modprobe", "greet", "times=2", "loud=1")
    late = run(daemon, "modprobe", "greet", "times=3", "loud=y", "nosuch=1")
    assert late == Ran(
        "",
        "modprobe: WARNING: greet is in the kernel already, ignored: "
        "times=3 (in force: times=2), nosuch=1\n",
        0,
    )
    assert run(daemon, "modprobe", "greet", "times=2") == Ran("", "", 0)
    assert run(daemon, "--kmod-exact", "modprobe", "greet", "times=3") == Ran("", "", 0)
    (result,) = json.loads(run(daemon, "--json", "modprobe", "greet", "times=3").output)
    assert result["ignored_parameters"] == [
        {"module": "greet", "given": "times=3", "in_force": "2"}
    ]


def test_nothing_is_told_of_parameters_where_a_plan_is_shown(
    daemon: Daemon, tree: ModuleTree
) -> None:
    configure(daemon, tree, "alias x nowhere\n")
    assert run(daemon, "modprobe", "-D", "x", "times=2") == Ran("", "", 0)


def test_the_kernels_lines_come_with_a_failure_that_is_to_be_verbose(daemon: Daemon) -> None:
    line = "modprobe: kernel: greet: `many' invalid for parameter `times'\n"
    assert line in run(daemon, "modprobe", "-v", "greet", "times=many").errors
    assert line not in run(daemon, "--kmod-exact", "modprobe", "-v", "greet", "times=many").errors


@pytest.fixture
def denying(tree: ModuleTree) -> Iterator[Daemon]:
    words = ("--deny", "gre*=not in this house", "--deny", "hello", "--no-watch")
    with running_daemon(tree.root, *words) as running:
        yield running


def test_what_is_denied_is_not_loaded_whoever_needs_it(denying: Daemon, tree: ModuleTree) -> None:
    refused = run(denying, "modprobe", "world")
    assert refused == Ran(
        "",
        "modprobe: ERROR: could not insert 'world': "
        "world needs greet, which is denied: not in this house\n",
        1,
    )
    path = str(tree.directory / "extra/greet.ko")
    assert run(denying, "insmod", path).errors == (
        f"insmod: ERROR: could not insert module {path}: greet is denied: not in this house\n"
    )
    assert run(denying, "modprobe", "hello").errors.endswith("'hello': hello is denied\n")
    assert run(denying, "modprobe", path).errors.endswith("greet is denied: not in this house\n")
    assert run(denying, "modprobe", "front-door") == Ran("", "", 0)
    assert names(denying) == ["facade"], "a denied soft dependency is left out"
    assert run(denying, "--kmod-exact", "modprobe", "world").status == 1, "a caller cannot lift it"


def test_a_daemon_that_is_exact_denies_nothing(tree: ModuleTree) -> None:
    words = ("--deny", "greet", "--kmod-exact", "--no-watch")
    with running_daemon(tree.root, *words) as daemon:
        assert run(daemon, "modprobe", "world").status == 0


def test_a_module_file_is_loaded_with_what_it_needs(daemon: Daemon, tree: ModuleTree) -> None:
    path = tree.directory / "extra/world.ko"
    copy = tree.root / "wor-ld.ko"
    copy.write_bytes(path.read_bytes())
    extra = tree.directory / "extra"
    planned = run(daemon, "modprobe", "-D", str(copy), "a=1")
    assert planned.output == f"insmod {extra}/greet.ko \ninsmod {copy} a=1\n"
    assert run(daemon, "modprobe", str(copy)) == Ran("", "", 0)
    assert names(daemon) == ["world", "greet"]
    missing = run(daemon, "modprobe", "./nosuch.ko")
    assert missing == Ran("", "modprobe: FATAL: Module ./nosuch.ko not found.\n", 1)


def test_a_tree_is_drawn_once_for_each_module(daemon: Daemon, tree: ModuleTree) -> None:
    configure(daemon, tree, "softdep world pre: hello post: front-door\n")
    run(daemon, "modprobe", "greet")
    assert run(daemon, "tree", "world").output == (
        "world\n"
        "├── hello (softdep, before)\n"
        "├── greet (loaded)\n"
        "└── facade (softdep, after)\n"
        "    └── greet (softdep, before, loaded)\n"
    )
    whole = json.loads(run(daemon, "--json", "tree", "world").output)
    assert [each["name"] for each in whole["modules"]] == ["world", "hello", "greet", "facade"]
    assert whole["modules"][0]["depends"] == ["greet"]
    assert run(daemon, "tree", "nosuch").status == 1


def test_a_loop_of_soft_dependencies_is_drawn_once(daemon: Daemon, tree: ModuleTree) -> None:
    configure(daemon, tree, "softdep hello pre: noexit\nsoftdep noexit pre: hello\n")
    assert run(daemon, "tree", "hello").output == (
        "hello\n└── noexit (softdep, before)\n    └── hello (softdep, before) (see above)\n"
    )


def test_every_command_prints_json_on_request(daemon: Daemon, tree: ModuleTree) -> None:
    extra = str(tree.directory / "extra")
    for words in (
        ("lsmod",),
        ("modprobe", "-n", "world"),
        ("modprobe", "world"),
        ("modprobe", "-r", "nosuch"),
        ("modprobe", "-c"),
        ("modprobe", "-R", "-a", "front-door", "greet"),
        ("modprobe", "--show-exports", f"{extra}/greet.ko"),
        ("modinfo", "greet", "world"),
        ("modinfo", f"{extra}/greet.ko"),
        ("insmod", f"{extra}/hello.ko"),
        ("rmmod", "nosuch"),
        ("depmod",),
        ("static-nodes",),
        ("tree", "world"),
        ("status",),
    ):
        assert json.loads(run(daemon, "--json", *words).output) is not None, words
    lines = run(daemon, "--json", "dmesg").output.splitlines()
    assert all("text" in json.loads(line) for line in lines)


def test_static_nodes_have_kmods_three_forms(
    daemon: Daemon, tree: ModuleTree, tmp_path_factory: pytest.TempPathFactory
) -> None:
    human = run(daemon, "static-nodes").output
    assert human == (
        "Module: facade\n\tDevice node: /dev/kmodd/facade\n\t\tType: character device\n"
        "\t\tMajor: 240\n\t\tMinor: 7\n"
    )
    devname = (tree.directory / "modules.devname").read_text().partition("\n")[2]
    assert run(daemon, "static-nodes", "-f", "devname").output == devname
    file = tmp_path_factory.mktemp("out") / "made/for/it"
    assert run(daemon, "static-nodes", "-f", "tmpfiles", "-o", str(file)) == Ran("", "", 0)
    assert file.read_text() == ("d /dev/kmodd 0755 - - -\nc! /dev/kmodd/facade 0600 - - - 240:7\n")
    assert run(daemon, "static-nodes", "-f", "nosuch").status == 1


def test_a_load_tells_what_a_blacklist_kept_out(daemon: Daemon, tree: ModuleTree) -> None:
    configure(daemon, tree, "blacklist greet\nalias other greet\nalias other hello\n")
    with daemon.client() as client:
        (named,) = client.load("greet", use_blacklist=True)
        assert (list(named.modules), list(named.blacklisted_modules)) == ([], ["greet"])
        (meant,) = client.load("other")
        assert (list(meant.modules), list(meant.blacklisted_modules)) == (["hello"], ["greet"])
        (needing,) = client.load("world", use_blacklist=True)
        assert (list(needing.modules), list(needing.blacklisted_modules)) == (["world"], [])
        client.unload("world")
    quiet = run(daemon, "modprobe", "-b", "greet")
    assert (quiet.status, quiet.output, quiet.errors) == (0, "", ""), "as in kmod"
