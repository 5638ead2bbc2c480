# SPDX-License-Identifier: Apache-2.0
"""kmodctl as a person at a shell uses it: what it prints, and how it exits."""

import json
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from kmodctl.commands import COMMANDS
from tests.support.daemon import Daemon, kmodctl
from tests.support.modules import SOURCES
from tests.support.small_tree import add_module
from tests.support.tree import ModuleTree

NO_DAEMON = (
    "no daemon answers on /nowhere/kmodd.sock; "
    "start one with 'kmodd serve', or use 'kmodd run -- COMMAND'"
)

HEADER = "Module                  Size  Used by\n"


def names(daemon: Daemon) -> list[str]:
    with daemon.client() as client:
        return [module.name for module in client.list_modules()]


def dmesg(daemon: Daemon) -> str:
    return daemon.kmodctl("dmesg").stdout


def test_modprobe_loads_the_dependency_first_and_unloads_it_last(
    daemon: Daemon, modules_root: ModuleTree
) -> None:
    extra = modules_root.directory / "extra"
    loaded = daemon.kmodctl("modprobe", "-v", "world")
    assert loaded.stdout == f"insmod {extra}/greet.ko \ninsmod {extra}/world.ko \n"
    assert (loaded.stderr, loaded.returncode) == ("", 0)
    assert daemon.kmodctl("lsmod").stdout == (
        f"{HEADER}world                  16384  0\ngreet                  16384  1 world\n"
    )
    unloaded = daemon.kmodctl("modprobe", "-rv", "world")
    assert (unloaded.stdout, unloaded.stderr) == ("rmmod world\nrmmod greet\n", "")
    assert daemon.kmodctl("lsmod").stdout == HEADER


def test_a_plan_is_printed_and_not_run(daemon: Daemon, modules_root: ModuleTree) -> None:
    extra = modules_root.directory / "extra"
    daemon.kmodctl("modprobe", "greet")
    planned = daemon.kmodctl("modprobe", "-n", "world")
    assert planned.stdout == f"insmod {extra}/world.ko \n"
    whole = daemon.kmodctl("modprobe", "-D", "world")
    assert whole.stdout == f"insmod {extra}/greet.ko \ninsmod {extra}/world.ko \n"
    assert names(daemon) == ["greet"]


def test_an_alias_with_a_wildcard_loads_its_module_and_the_soft_dependency(
    daemon: Daemon,
) -> None:
    result = daemon.kmodctl("modprobe", "kmodd-test:anything")
    assert (result.stderr, result.returncode) == ("", 0)
    assert names(daemon) == ["facade", "greet"]


def test_insmod_without_the_dependency_says_unknown_symbol(daemon: Daemon) -> None:
    path = str(SOURCES / "world.ko")
    result = daemon.kmodctl("insmod", path)
    assert result.stderr == (
        f"insmod: ERROR: could not insert module {path}: Unknown symbol in module\n"
    )
    assert result.returncode == 1
    assert "world: Unknown symbol greet_somebody (err -2)\n" in dmesg(daemon)
    assert names(daemon) == []


def test_rmmod_under_a_holder_says_who_holds(daemon: Daemon) -> None:
    for module in ("greet", "world"):
        assert daemon.kmodctl("insmod", str(SOURCES / f"{module}.ko")).returncode == 0
    result = daemon.kmodctl("rmmod", "greet")
    assert result.stderr == "rmmod: ERROR: Module greet is in use by: world\n"
    assert result.returncode == 1
    assert daemon.kmodctl("rmmod", "world", "greet").returncode == 0
    assert names(daemon) == []


def test_a_module_goes_by_the_name_that_the_kernel_has_for_it(
    daemon: Daemon, modules_root: ModuleTree
) -> None:
    dotted = add_module(modules_root, "kernel/dot.ted.ko", own_name="dot.ted")
    dashed = add_module(modules_root, "kernel/dash-ed.ko", own_name="dash-ed")
    assert daemon.kmodctl("depmod").returncode == 0
    assert daemon.kmodctl("modprobe", "-v", "dot").stdout == f"insmod {dotted} \n"
    assert daemon.kmodctl("insmod", str(dashed)).returncode == 0
    assert daemon.kmodctl("modprobe", "-v", "dot").stdout == ""
    listed = daemon.kmodctl("lsmod").stdout.split()
    assert {"dot.ted", "dash-ed"} <= set(listed)
    for name in ("dot.ted", "dash-ed"):
        assert daemon.kmodctl("rmmod", name).returncode == 0
    gone = daemon.kmodctl("rmmod", "dot.ted")
    assert gone.stderr == "rmmod: ERROR: Module dot is not currently loaded\n"
    assert daemon.kmodctl("modprobe", "dash-ed").returncode == 0
    assert daemon.kmodctl("modprobe", "-r", "-v", "dash-ed").stdout == "rmmod dash_ed\n"
    assert daemon.kmodctl("lsmod").stdout.count("\n") == 1


def test_rmmod_goes_on_after_a_failure_and_takes_a_file_for_its_module(daemon: Daemon) -> None:
    daemon.kmodctl("modprobe", "greet")
    result = daemon.kmodctl("rmmod", "nosuch", str(SOURCES / "greet.ko"))
    assert result.stderr == "rmmod: ERROR: Module nosuch is not currently loaded\n"
    assert result.returncode == 1
    assert names(daemon) == []


def test_a_module_without_a_licence_loads_and_taints(daemon: Daemon) -> None:
    assert daemon.kmodctl("insmod", str(SOURCES / "hello.ko")).returncode == 0
    log = dmesg(daemon)
    assert "hello: loading out-of-tree module taints kernel.\n" in log
    assert "hello: module license 'unspecified' taints kernel.\n" in log
    (module,) = json.loads(daemon.kmodctl("--json", "lsmod").stdout)
    assert module["taints"] == "PO"
    assert module["init_state"] == "INIT_STATE_RAN"


def test_a_proprietary_module_does_not_see_a_gpl_only_symbol(daemon: Daemon) -> None:
    daemon.kmodctl("modprobe", "gplsym")
    result = daemon.kmodctl("modprobe", "gpluser")
    assert result.stderr == (
        "modprobe: ERROR: could not insert 'gpluser': "
        "Unknown symbol in module, or unknown parameter (see dmesg)\n"
    )
    assert "gpluser: Unknown symbol gplsym_answer (err -2)\n" in dmesg(daemon)


def test_a_module_without_an_exit_function_stays(daemon: Daemon) -> None:
    daemon.kmodctl("modprobe", "noexit")
    result = daemon.kmodctl("rmmod", "noexit")
    assert result.stderr == (
        "rmmod: ERROR: could not remove 'noexit': Device or resource busy\n"
        "rmmod: ERROR: could not remove module noexit: Device or resource busy\n"
    )
    with daemon.client() as client:
        assert client.get_module("noexit").module.permanent


def test_parameters_are_checked_by_their_type(daemon: Daemon) -> None:
    wrong = daemon.kmodctl("modprobe", "greet", "times=many")
    assert wrong.stderr == "modprobe: ERROR: could not insert 'greet': Invalid argument\n"
    assert "greet: `many' invalid for parameter `times'\n" in dmesg(daemon)
    right = ("times=2", "loud=1", "whom=two words", "numbers=1,-2", "nosuch=1")
    assert daemon.kmodctl("modprobe", "greet", *right).returncode == 0
    assert "greet: unknown parameter 'nosuch' ignored\n" in dmesg(daemon)


def test_a_load_for_the_second_time_is_quiet_unless_asked(daemon: Daemon) -> None:
    daemon.kmodctl("modprobe", "greet")
    again = daemon.kmodctl("modprobe", "-v", "greet")
    assert (again.stdout, again.stderr, again.returncode) == ("", "", 0)
    first = daemon.kmodctl("modprobe", "--first-time", "greet")
    assert first.stderr == "modprobe: ERROR: could not insert 'greet': Module already in kernel\n"
    assert first.returncode == 1
    inserted = daemon.kmodctl("insmod", str(SOURCES / "greet.ko"))
    assert inserted.stderr.endswith("greet.ko: File exists\n")


def test_a_module_in_use_is_not_removed(daemon: Daemon) -> None:
    daemon.kmodctl("modprobe", "world")
    result = daemon.kmodctl("modprobe", "-r", "greet")
    assert result.stderr == "modprobe: FATAL: Module greet is in use.\n"
    assert result.returncode == 1


def test_an_unknown_module_is_told_with_the_directory(
    daemon: Daemon, modules_root: ModuleTree
) -> None:
    result = daemon.kmodctl("modprobe", "nosuch")
    assert result.stderr == (
        f"modprobe: FATAL: Module nosuch not found in directory {modules_root.directory}\n"
    )
    assert result.returncode == 1
    quiet = daemon.kmodctl("modprobe", "-q", "nosuch")
    assert (quiet.stderr, quiet.returncode) == ("", 1)
    assert daemon.kmodctl("modprobe", "-r", "nosuch").stderr == (
        "modprobe: FATAL: Module nosuch not found.\n"
    )


@pytest.mark.parametrize("name", ["", "a/b", "../../etc/passwd", "a" * 5000, "[", "-"])
def test_a_name_that_is_none_is_refused(daemon: Daemon, name: str) -> None:
    result = daemon.kmodctl("modprobe", "--", name)
    assert result.returncode == 1
    assert result.stderr.startswith(f"modprobe: FATAL: Module {name[:64]}")
    assert "not found" in result.stderr
    assert daemon.kmodctl("lsmod").stdout == HEADER


def test_a_file_that_is_no_module_is_refused(daemon: Daemon, tmp_path: Path) -> None:
    text = tmp_path / "text.ko"
    text.write_text("I am not a module")
    empty = tmp_path / "empty.ko"
    empty.touch()
    cut = tmp_path / "cut.ko"
    cut.write_bytes((SOURCES / "greet.ko").read_bytes()[:3000])
    for path in (text, empty, cut):
        result = daemon.kmodctl("insmod", str(path))
        assert result.stderr == (
            f"insmod: ERROR: could not insert module {path}: Invalid module format\n"
        )
        assert result.returncode == 1
    missing = daemon.kmodctl("insmod", "/nosuch.ko")
    assert missing.stderr == (
        "insmod: ERROR: could not load module /nosuch.ko: No such file or directory\n"
    )
    assert names(daemon) == []


def test_a_module_for_another_kernel_is_refused(daemon: Daemon, tmp_path: Path) -> None:
    image = (SOURCES / "greet.ko").read_bytes()
    at = image.index(b"vermagic=") + len("vermagic=")
    end = image.index(b"\0", at)
    magic = image[at:end].decode()
    foreign = tmp_path / "greet.ko"
    other = magic.replace("SMP", "smp")
    foreign.write_bytes(image[:at] + other.encode() + image[end:])
    result = daemon.kmodctl("insmod", str(foreign))
    assert result.stderr.endswith("greet.ko: Invalid module format\n")
    assert f"greet: version magic '{other}' should be '{magic}'\n" in dmesg(daemon)
    assert daemon.kmodctl("insmod", "--force-vermagic", str(foreign)).returncode == 0
    assert "greet: bad vermagic: kernel tainted.\n" in dmesg(daemon)


def test_depmod_of_a_release_that_is_not_there(daemon: Daemon, modules_root: ModuleTree) -> None:
    missing = modules_root.directory.with_name("9.9.9")
    result = daemon.kmodctl("depmod", "9.9.9")
    assert result.stderr == (
        f"depmod: ERROR: could not open directory {missing}: No such file or directory\n"
        "depmod: FATAL: could not search modules: No such file or directory\n"
    )
    assert daemon.kmodctl("depmod", "abc").stderr == "depmod: ERROR: Bad version passed abc\n"


def test_depmod_writes_what_modprobe_reads(daemon: Daemon, modules_root: ModuleTree) -> None:
    for output in modules_root.directory.glob("modules.*"):
        if output.name not in ("modules.order", "modules.builtin", "modules.builtin.modinfo"):
            output.unlink()
    result = daemon.kmodctl("depmod")
    assert (result.stdout, result.stderr, result.returncode) == ("", "", 0)
    dependencies = (modules_root.directory / "modules.dep").read_text().splitlines()
    assert "extra/world.ko: extra/greet.ko" in dependencies


def test_status_says_whether_init_is_run(daemon: Daemon) -> None:
    status = daemon.kmodctl("status").stdout
    assert "\ninit:      run\n" in status
    assert str(daemon.process.pid) in status
    assert json.loads(daemon.kmodctl("--json", "status").stdout)["runs_init"] is True


def test_follow_prints_what_comes(daemon: Daemon) -> None:
    with daemon.client() as client:
        records = client.read_log(follow=True)
        first = next(records)
        assert first.text.startswith("Linux version ")
        daemon.kmodctl("modprobe", "hello")
        assert next(records).text == "hello: loading out-of-tree module taints kernel."


def test_without_a_daemon_one_line_tells_what_was_tried() -> None:
    result = kmodctl("lsmod", environment={"KMODD_SOCKET": "/nowhere/kmodd.sock"})
    assert (result.stderr, result.returncode) == (f"kmodctl: {NO_DAEMON}\n", 1)


def test_without_a_command_and_with_help_all_commands_are_told() -> None:
    bare = kmodctl()
    for name in COMMANDS:
        assert f"\n  {name} " in bare.stdout
    assert (bare.stderr, bare.returncode) == ("", 0)
    for word in ("help", "--help", "-h"):
        assert kmodctl(word).stdout == bare.stdout


@pytest.mark.parametrize("command", ["tree", "modprobe", "static-nodes", "help"])
def test_help_tells_of_a_command_what_its_own_option_does(command: str) -> None:
    told = kmodctl("help", command)
    program = f"kmodctl {command}" if command in ("tree", "help") else command
    assert told.stdout.startswith(f"usage: {program} [options]")
    assert (told.stdout, told.stderr, told.returncode) == (kmodctl(command, "-h").stdout, "", 0)


@pytest.mark.parametrize("words", [["lsmod"], ["tree", "world"], ["modinfo", "greet"]])
def test_json_is_asked_for_before_and_after_the_command(words: list[str], daemon: Daemon) -> None:
    daemon.kmodctl("modprobe", "world")
    before = daemon.kmodctl("--json", *words).stdout
    assert json.loads(before)
    assert daemon.kmodctl(*words, "--json").stdout == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nosuch"], "kmodctl: unknown command 'nosuch'. See -h."),
        (["modprob"], "kmodctl: unknown command 'modprob'. Did you mean modprobe?"),
        (["--sokcet", "s"], "kmodctl: unrecognized option '--sokcet'. Did you mean --socket?"),
        (["tree", "--jsno"], "kmodctl tree: unrecognized option '--jsno'. Did you mean --json?"),
        (["tree"], "kmodctl tree: missing MODULE. See -h."),
        (
            ["device", "ad", "x"],
            "kmodctl device: add|list|remove|interrupt: 'ad' is none of add, list, remove,"
            " interrupt. Did you mean add?",
        ),
        (["tree", "greet"], f"kmodctl tree: {NO_DAEMON}"),
        (["--kmod-exact", "lsmod", "--json"], "lsmod: unrecognized option '--json'"),
        (["--timeout", "x", "lsmod"], "kmodctl: --timeout: invalid value 'x'. See -h."),
        (["modprobe", "--nosuch", "greet"], "modprobe: unrecognized option '--nosuch'"),
        (["modprobe"], "modprobe: ERROR: missing parameters. See -h."),
        (["rmmod", "-w", "greet"], "rmmod: ERROR: unexpected wait value 'greet'."),
        (["lsmod", "x"], "lsmod: ERROR: too many arguments provided."),
    ],
)
def test_a_wrong_command_line_is_one_line_and_status_1(arguments: list[str], message: str) -> None:
    result = kmodctl(*arguments, environment={"KMODD_SOCKET": "/nowhere/kmodd.sock"})
    assert (result.stderr, result.returncode) == (f"{message}\n", 1)


@pytest.mark.parametrize(
    "removal", [["modprobe", "-r", "-w", "60000", "greet"], ["rmmod", "--wait", "60000", "greet"]]
)
def test_a_removal_waits_for_a_module_in_use_if_it_is_to(
    removal: list[str], daemon: Daemon
) -> None:
    daemon.kmodctl("modprobe", "world")
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(daemon.kmodctl, *removal)
        time.sleep(0.5)
        assert not waiting.done()
        assert daemon.kmodctl("rmmod", "world").returncode == 0
        assert (waiting.result().stderr, waiting.result().returncode) == ("", 0)
    assert names(daemon) == []


def test_a_removal_that_waited_in_vain_fails(daemon: Daemon) -> None:
    daemon.kmodctl("modprobe", "world")
    result = daemon.kmodctl("modprobe", "-r", "-w", "50", "greet")
    assert result.stderr == (
        "modprobe: ERROR: could not remove 'greet': Resource temporarily unavailable\n"
    )
    assert result.returncode == 1
    result = daemon.kmodctl("rmmod", "-w", "50", "greet")
    assert result.stderr == "rmmod: ERROR: Module greet is in use by: world\n"
    assert result.returncode == 1


def test_a_daemon_that_stops_does_not_wait_for_those_who_wait(daemon: Daemon) -> None:
    daemon.kmodctl("modprobe", "world")
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(daemon.kmodctl, "modprobe", "-r", "-w", "600000", "greet")
        time.sleep(0.5)
        assert daemon.stop() == 0
        assert waiting.result().returncode == 1
