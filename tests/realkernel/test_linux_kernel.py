# SPDX-License-Identifier: Apache-2.0
"""kmodd on a real kernel: what it did in the guest's one boot."""

import errno
from collections.abc import Collection

import pytest

from kmodd.v1 import daemon_service_pb2
from tests.realkernel.boots import Outcomes
from tests.realkernel.drawn import (
    differences_in_a_guest,
    differences_to_emulation,
    differences_to_modprobe,
)
from tests.realkernel.layout import Layout
from tests.realkernel.scenarios import SCENARIOS, Record
from tests.support.debian import DebianTree

GREET_HELD = {"world": [0, [], False, "OE"], "greet": [1, ["world"], False, "OE"]}


def verdict(failure: Record) -> tuple[str, int]:
    return failure["reason"], failure["errno"]


def test_the_daemon_serves_the_running_kernel(real: Outcomes, debian_tree: DebianTree) -> None:
    status = real.of("status")
    assert status["kernel"] == daemon_service_pb2.KERNEL_KIND_LINUX
    assert (status["release"], status["runs_init"]) == (debian_tree.release, True)
    assert status["vermagic"].split()[0] == debian_tree.release
    assert status["loaded"] == len(status["in_proc"])
    assert status["first_lines"][0].startswith(f"Linux version {debian_tree.release} ")


def test_nothing_is_said_against_a_kernel_that_lets_us_do_all(real: Outcomes) -> None:
    lines = real.of("daemon_log")["lines"]
    told = ("modules, ", "serving this machine's own kernel")
    about = [line for line in lines if "kernel" in line]
    assert not [line for line in about if not any(each in line for each in told)]


def test_dependencies_are_loaded_and_unloaded(real: Outcomes) -> None:
    record = real.of("dependencies")
    assert record["steps"] == ["greet", "world"]
    assert record["listed"] == GREET_HELD
    assert (record["unload"], record["left"]) == ({}, {})
    assert "world: greeted 1 time(s)" in record["log"]
    assert record["log"][-2:] == ["world: the world ends", "greet: goodbye, world"]


def test_parameters_reach_the_module(real: Outcomes) -> None:
    record = real.of("parameters")
    assert record["sysfs"] == {
        "whom": "all\n",
        "times": "2\n",
        "loud": "Y\n",
        "numbers": "3,-4,5\n",
    }
    assert record["log"][:2] == ["greet: hello, all!"] * 2


def test_parameters_of_a_loaded_module_can_be_set(real: Outcomes) -> None:
    record = real.of("set_parameters")
    assert record["before"]["times"] == ["1", 0o644, "int"]
    assert record["after"] == record["before"] | {
        "times": ["7", 0o644, "int"],
        "loud": ["Y", 0o644, "bool"],
    }
    stored = record["stored"]
    assert stored["times=7"] == stored["loud=on"] == {}
    assert verdict(stored["times=often"]) == ("INVALID_PARAMETER", errno.EINVAL)
    assert verdict(stored["times=99999999999"]) == ("INVALID_PARAMETER", errno.ERANGE)
    assert verdict(stored["whom=me"]) == ("KERNEL_REFUSED", errno.EACCES)
    assert verdict(stored["nothing=1"]) == ("PARAMETER_NOT_FOUND", errno.ENOENT)
    assert verdict(record["unloaded"]) == ("MODULE_NOT_LOADED", errno.ENOENT)
    assert record["versions"] == ["1.2", True]


def test_the_kernels_command_line_gives_parameters(real: Outcomes) -> None:
    assert real.of("command_line")["numbers"] == "7,8\n"


def test_a_bad_parameter_is_named(real: Outcomes) -> None:
    record = real.of("bad_parameter")
    assert verdict(record["refused"]) == ("INVALID_PARAMETER", errno.EINVAL)
    assert "`often' invalid for parameter `times'" in record["refused"]["message"]
    assert record["ignored"] == {}


def test_a_module_in_use_stays_even_by_force(real: Outcomes) -> None:
    record = real.of("in_use")
    for failure in (record["held"], record["forced"]):
        assert verdict(failure) == ("MODULE_IN_USE", errno.EAGAIN)
        assert failure["detail"] == "world"
    assert record["left"] == {}


def test_an_unload_waits_for_the_user_of_a_module(real: Outcomes) -> None:
    for record in real.of("waits").values():
        assert verdict(record["in_vain"]) == ("MODULE_IN_USE", errno.EAGAIN)
        assert (record["waited"], record["left"]) == ({}, {})


def test_a_failing_init_is_explained_by_its_own_lines(real: Outcomes) -> None:
    record = real.of("failing_init")
    assert verdict(record["failed"]) == ("KERNEL_REFUSED", errno.EIO)
    assert "halfway: the device does not answer" in record["failed"]["log"]
    assert all(line.startswith("halfway: ") for line in record["failed"]["log"])
    assert (record["listed"], record["works"]) == ({}, {})


def test_another_kernels_module_loads_by_force_alone(real: Outcomes) -> None:
    record = real.of("wrong_vermagic")
    assert verdict(record["refused"]) == ("INVALID_MODULE_FORMAT", errno.ENOEXEC)
    assert "version magic" in record["refused"]["message"]
    assert record["forced"] == {}
    assert record["listed"] == {"gplsym": [0, [], False, "FOE"]}


def test_an_unknown_symbol_is_named(real: Outcomes) -> None:
    record = real.of("unknown_symbol")
    for failure, symbol in (
        (record["alone"], "greet_somebody"),
        (record["not_free"], "gplsym_answer"),
    ):
        assert verdict(failure) == ("UNKNOWN_SYMBOL", errno.ENOENT)
        assert failure["symbol"] == symbol


def test_a_module_shows_the_taints_that_it_brought(real: Outcomes) -> None:
    assert real.of("taints")["listed"] == {"hello": [0, [], False, "POE"]}


def test_a_module_that_is_loaded_is_not_loaded_again(real: Outcomes) -> None:
    record = real.of("twice")
    assert record["quiet"] == {}
    for failure in (record["again"], record["strict"]):
        assert verdict(failure) == ("MODULE_ALREADY_LOADED", errno.EEXIST)


def test_what_is_no_module_is_refused(real: Outcomes) -> None:
    for failure in real.of("nonsense").values():
        assert verdict(failure) == ("INVALID_MODULE_FILE", errno.ENOEXEC)
        assert failure["message"]


def test_what_the_kernel_cannot_decompress_is_decompressed_for_it(real: Outcomes) -> None:
    record = real.of("compressed")
    assert record["load"] == {"packed_xz": {}, "packed_zst": {}}
    assert set(record["listed"]) == {"facade", "greet", "gplsym"}


def test_a_builtin_module_is_there_and_stays(real: Outcomes) -> None:
    assert real.of("builtin") == {
        "load": {},
        "strict": "MODULE_ALREADY_LOADED",
        "unload": "MODULE_BUILTIN",
    }


def test_a_module_without_an_exit_goes_by_force_alone(real: Outcomes) -> None:
    record = real.of("no_exit")
    assert record["listed"] == {"noexit": [0, [], True, "OE"]}
    assert verdict(record["stays"]) == ("MODULE_BUSY", errno.EBUSY)
    assert (record["forced"], record["left"]) == ({}, {})


def test_what_others_load_is_listed_at_once(real: Outcomes) -> None:
    record = real.of("others_changes")
    assert record["seen"] == GREET_HELD
    assert record["epoch_stays"]
    assert record["revision_grows"]
    assert (record["unload"], record["left"]) == ({}, {})


def test_the_kernel_tells_of_what_others_load_and_unload(real: Outcomes) -> None:
    assert real.of("hints") == {"loads": [True, True], "unloads": [True, True]}


def test_a_race_with_modprobe_has_no_loser(real: Outcomes) -> None:
    for loads, listed, _unload, left in real.of("race")["rounds"]:
        assert loads == [{}, True]
        assert listed == GREET_HELD
        assert left == {}


def test_files_that_others_may_write_are_refused(real: Outcomes) -> None:
    record = real.of("untrusted")
    for name, end in (
        ("file", "/extra/halfway.ko may be written by others than root (mode 0666)"),
        ("directory", "/extra may be written by others than root (mode 0777)"),
    ):
        assert record[name]["errno"] == errno.EPERM
        assert record[name]["message"].endswith(end)
    (unread,) = record["unread"]
    assert unread.endswith("/kmodd-test.conf may be written by others than root (mode 0666)")
    assert (record["mended"], record["loads"]) == ({}, {})


def test_debians_modules_load_as_by_modprobe(real: Outcomes, layout: Layout) -> None:
    found = real.of("by_kmodd_and_by_modprobe")
    assert set(found) == set(layout.drawn)
    assert list(differences_to_modprobe(found)) == []
    assert sum(not ours["load"] for ours, _ in found.values()) > len(found) // 2


def test_a_kernel_that_takes_no_modules_any_more_says_so(real: Outcomes) -> None:
    record = real.of("disabled")
    assert verdict(record["load"]) == ("KERNEL_REFUSED", errno.EPERM)
    assert "modules are disabled until the next boot" in record["load"]["message"]
    assert record["health"] == ["SERVING", "NOT_SERVING"]


def test_a_daemon_without_the_capability_says_so(real: Outcomes) -> None:
    record = real.of("without_the_capability")
    assert record["log"] == "kmodd: this process has no CAP_SYS_MODULE"
    assert verdict(record["load"]) == ("KERNEL_REFUSED", errno.EPERM)
    assert record["load"]["message"].endswith(": this process has no CAP_SYS_MODULE")
    assert record["health"] == "NOT_SERVING"


def test_a_chain_is_upgraded_and_nothing_is_lost_whoever_is_in_the_way(
    real: Outcomes, emulated: Outcomes
) -> None:
    record = real.of("reloads")
    assert record["load"] == record["again"] == record["unload"] == record["last"] == {}
    assert {facts[0] for facts in record["upgraded"].values()} == {"old"}
    in_the_way = {
        "link2": ["MODULE_IN_USE", "", ""],
        "link1": ["MODULE_HELD", "hold 1 of backup", ""],
    }
    refused = {"link4": ["INVALID_MODULE_FORMAT", "", "from extra/link4.ko"]}
    stay = dict.fromkeys(in_the_way, "STAYED")
    go = ["link5", "link4", "link3"]
    planned, done = record["planned"], record["done"]
    assert planned == {
        "fates": {**dict.fromkeys(go, "PLANNED"), **stay},
        "failures": in_the_way,
        "given": {"link3": ["level=7"]},
        "lefts": [],
        "steps": ["-link5", "-link4", "-link3", "+link3", "+link4", "+link5"],
    }
    assert record["untouched"] == record["upgraded"]
    fates = {**dict.fromkeys(go, "RELOADED"), "link4": "PUT_BACK"}
    assert done["fates"] == {**fates, **stay}
    assert done["failures"] == {**in_the_way, **refused}
    assert done["given"] == planned["given"]
    old = ("link1", "link2", "link4")
    assert record["after"] == {
        link: ["old" if link in old else "current", *facts[1:]]
        for link, facts in record["untouched"].items()
    }
    forced = record["forced"]
    assert forced["fates"] == {**fates, "link2": "RELOADED", "link1": "RELOADED"}
    assert forced["failures"] == refused
    assert record["held"] == {**dict.fromkeys([*go, "link2"], 0), "link1": 1}
    assert [link for link, facts in record["all"].items() if facts[0] == "old"] == ["link4"]
    assert record["level"] == {"level": "7"}
    assert record["lost"]["fates"] == {"link5": "LOST", "link4": "LOST"}
    assert list(record["left"]) == ["link1", "link2", "link3"]
    assert emulated.of("reloads") == record


OF_CODE = {
    "dependencies": ("log",),
    "parameters": ("log",),
    "failing_init": ("failed", "listed"),
    "chores": ("log",),
}
"""What only an emulated kernel can tell that runs the modules' own code."""

OF_MACHINE = ("message", "sysfs")
"""kmodd's own words, which may differ, and what is read of the machine's own /sys."""


@pytest.mark.parametrize("scenario", [scenario.__name__ for scenario in SCENARIOS])
def test_the_emulated_kernel_answers_as_the_real_one(
    scenario: str, real: Outcomes, emulated: Outcomes
) -> None:
    left_out = set(OF_MACHINE)
    if not emulated.of("status")["runs_init"]:
        left_out.update(OF_CODE.get(scenario, ()))
    assert without(left_out, emulated.of(scenario)) == without(left_out, real.of(scenario))


@pytest.mark.parametrize("scenario", [scenario.__name__ for scenario in SCENARIOS])
def test_the_kernel_answers_in_a_virtual_machine_as_on_a_machine(
    scenario: str, real: Outcomes, virtual: Outcomes
) -> None:
    assert without(OF_MACHINE, virtual.of(scenario)) == without(OF_MACHINE, real.of(scenario))


def test_debians_modules_load_in_a_virtual_machine_as_on_a_machine(
    real: Outcomes, virtual: Outcomes
) -> None:
    assert virtual.of("status")["kernel"] == daemon_service_pb2.KERNEL_KIND_VM
    found = real.of("by_kmodd_and_by_modprobe")
    assert list(differences_in_a_guest(found, virtual.of("load_each"))) == []


def test_debians_modules_are_listed_as_by_the_emulated_kernel(
    real: Outcomes, emulated: Outcomes
) -> None:
    found = real.of("by_kmodd_and_by_modprobe")
    boot = real.of("status")["in_proc"]
    assert list(differences_to_emulation(found, emulated.of("load_each"), boot)) == []


def without(left_out: Collection[str], record: Record) -> Record:
    """The record without these entries, however deep."""
    return {
        key: without(left_out, value) if isinstance(value, dict) else value
        for key, value in record.items()
        if key not in left_out
    }
