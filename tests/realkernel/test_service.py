# SPDX-License-Identifier: Apache-2.0
"""kmodd.service under systemd: what came of it in the guest's one boot."""

import errno
from itertools import groupby

from kmodd.log_kinds import LogKind
from kmodd.settings import Limits
from tests.realkernel.boots import Outcomes

CAP_SYS_MODULE, CAP_SYSLOG = 16, 34
BAD_SOCKET = "/run/kmodd/unmade/kmodd.sock: the group 'kmodd-unmade' is not known here"
GUEST_UNIT = "kmodd-guest.service"
NOTICED = 5.0
"""Seconds that the guest's systemd may take from its signal to the process, and from its end."""


def test_systemd_starts_it_with_two_capabilities_and_a_database(service: Outcomes) -> None:
    record = service.of("started")
    unit = record["unit"]
    assert (unit["ActiveState"], unit["NRestarts"]) == ("active", "0")
    assert int(record["capabilities"], 16) == 1 << CAP_SYS_MODULE | 1 << CAP_SYSLOG
    assert record["log"].startswith("Linux version ")


def test_what_others_than_admins_send_is_read_by_a_unit_without_rights(service: Outcomes) -> None:
    record = service.of("front")
    assert record["kmodd"] <= 2.2
    assert record["front"] <= 1.5
    assert record["rights"] == {
        **dict.fromkeys(("CapPrm", "CapEff", "CapInh"), "0" * 16),
        "NoNewPrivs": "1",
    }
    of_kmodd, of_front = record["filters"]
    assert of_front > of_kmodd > 0  # its own one on top
    assert 61184 <= record["uid"] <= 65519  # DynamicUser= in systemd.exec(5)
    assert (record["said"], record["socket"]) == (1, "140600")
    assert record["bounds"] == {
        "MemoryMax": str(1 << 30),
        "TasksMax": "16384",
        "kmodd": {"MemoryMax": str(2 << 30)},
    }


def test_it_serves_a_tree_that_cannot_be_written_and_writes_it_when_it_can_be(
    service: Outcomes,
) -> None:
    record = service.of("started")
    assert record["unit"]["StatusText"] == f"{record['problem']}; {BAD_SOCKET}"
    assert (record["published"], record["problem"].rpartition(": ")[2]) == (
        False,
        "Read-only file system",
    )
    assert service.of("tree_made_writable") == {
        "unit": {"ActiveState": "active", "NRestarts": "1"},
        "published": True,
        "problem": "",
    }


def test_a_socket_for_a_group_that_nobody_has_made_is_left_out_and_said(service: Outcomes) -> None:
    unit = service.of("started")["unit"]
    assert (unit["ActiveState"], unit["NRestarts"]) == ("active", "0")
    said = [f"{BAD_SOCKET}; the socket is left out"]
    assert {tuple(entry) for entry in service.of("journal")["left_out"]} == {("3", *said)}


def test_modules_load_under_its_filters(service: Outcomes) -> None:
    record = service.of("dependencies")
    assert record["steps"] == ["greet", "world"]
    assert set(record["listed"]) == {"world", "greet"}
    assert (record["unload"], record["left"]) == ({}, {})
    failure = service.of("failing_init")["failed"]
    assert failure["errno"] == errno.EIO
    assert "halfway: the device does not answer" in failure["log"]


def test_parameters_can_be_set_though_the_rest_of_sys_is_read_only(service: Outcomes) -> None:
    stored = service.of("set_parameters")["stored"]
    assert stored["times=7"] == {}
    assert stored["times=often"]["errno"] == errno.EINVAL


def test_the_kernels_own_requests_go_through_it(service: Outcomes) -> None:
    record = service.of("kernels_requests")
    assert record["path"] == "/sbin/modprobe\n"
    assert record["modprobe"].endswith("/kmodctl")
    assert record["mounted"] == "ENOENT"
    assert record["listed"] == ["minix", "ppp_generic", "pppox"]


def test_the_kernels_events_reach_it(service: Outcomes) -> None:
    assert service.of("hints_in_its_network") == {"loads": [True, True], "unloads": [True, True]}


def test_a_fleets_agent_has_it_do_what_its_list_allows_and_no_more(service: Outcomes) -> None:
    record = service.of("fleet")
    assert record["unit"] == {"ActiveState": "active", "NRestarts": "0"}
    assert record["exposure"] <= 1.5
    assert record["rights"] == {"CapPrm": "0" * 16, "CapEff": "0" * 16, "NoNewPrivs": "1"}
    assert 61184 <= record["uid"] <= 65519  # DynamicUser= in systemd.exec(5)
    assert record["fates"]["drivers"] == ["done", ""]
    fate, why = record["fates"]["closed"]
    assert fate == "failed"
    assert "world" in why
    assert record["loaded"] == {"greet": True, "world": False}
    assert (record["left"], record["result"]) == ([], {"Result": "success"})


def test_without_it_the_kernels_requests_go_to_kmod(service: Outcomes) -> None:
    record = service.of("kernels_request_without_a_daemon")
    assert record == {"mounted": "ENOENT", "listed": True}


def test_it_is_ready_before_var_is_there_and_keeps_its_state_when_it_is(service: Outcomes) -> None:
    assert service.of("early") == {
        "before_var": True,
        "state": "40700",
    }


def test_wishes_come_true_whatever_others_do_meanwhile(service: Outcomes) -> None:
    record = service.of("wished")
    assert record["first"] == {"greet": "DONE", "ppp_generic": "WAITING", "hello": "IMPOSSIBLE"}
    assert record["in_use"] == "WAITING"
    assert record["last"] == dict.fromkeys(("greet", "ppp_generic", "hello"), "DONE")
    assert (record["listed"], record["times"]) == (["greet", "hello"], "3\n")
    # The tree may have been read before a module went: its load was tried then. And a parameter
    # may have been read once more before it was set back.
    done = [line for line in record["trail"] if line.endswith(" done")]
    assert [line for line, _ in groupby(done)] == [
        "load greet done",
        "set-parameter greet.times done",
        "load hello done",
        "set-parameter greet.times done",
        "remove ppp_generic done",
    ]


def test_each_group_gets_in_where_it_belongs_and_others_nowhere(service: Outcomes) -> None:
    refused = errno.EACCES
    assert service.of("strangers") == {
        "nogroup": dict.fromkeys(("admin", "observer", "loader", "test"), refused),
        "kmodd-observer": dict.fromkeys(("admin", "loader", "test"), refused),
        "kmodd-loader": dict.fromkeys(("admin", "observer"), refused),
    }


def test_each_role_may_do_what_it_is_for(service: Outcomes) -> None:
    record = service.of("roles")
    for role in record.values():
        assert role["list"] == {}
        assert role["log"]["reason"] == "ACCESS_DENIED"
        assert role["load"]["gplsym"]["reason"] == "ACCESS_DENIED"
    assert record["observer"]["load"]["world"]["reason"] == "ACCESS_DENIED"
    assert record["loader"]["load"]["world"]["reason"] == "ACCESS_DENIED"
    assert (record["test"]["load"]["world"], record["test"]["unload"]["world"]) == ({}, {})


def test_whoever_asks_at_the_public_socket_is_known_and_gets_what_a_grant_says(
    service: Outcomes,
) -> None:
    assert service.of("started")["hides_processes"]  # those of other users, but not from root
    found = {name: record["who"] for name, record in service.of("callers").items()}
    roles = {name: who["role"].removeprefix("ROLE_").lower() for name, who in found.items()}
    assert roles == {
        "user": "observer",
        "group": "loader",
        "unit": "loader",
        "container": "loader",
        "namespace": "none",
        "stranger": "none",
        "root": "admin",
        "root by himself": "admin",
    }
    callers = {name: who["caller"] for name, who in found.items()}
    assert {name: (caller["user"], caller["unit"]) for name, caller in callers.items()} == {
        "user": ("games", GUEST_UNIT),
        "group": ("bin", GUEST_UNIT),
        "unit": ("sys", "kmodd-network.service"),
        "container": ("root", "machine-web.scope"),
        "namespace": ("root", GUEST_UNIT),
        "stranger": ("nobody", GUEST_UNIT),
        "root": ("root", GUEST_UNIT),
        "root by himself": ("root", GUEST_UNIT),
    }
    assert {caller["command"] for caller in callers.values()} == {"kmodctl"}
    assert [each.get("container", "") for each in callers.values()].count("web") == 1
    assert callers["container"]["container"] == "web"
    records = service.of("callers")
    known = {name for name, record in records.items() if record["is_its_process"]}
    assert records.keys() - known == {"namespace"}  # which has a number of its own in there


def test_who_may_load_at_the_public_socket_loads_that_and_nothing_else(service: Outcomes) -> None:
    loads = {name: record["load"] for name, record in service.of("callers").items()}
    assert loads == {
        "user": [1, 1],
        "group": [0, 1],
        "unit": [1, 0],
        "container": [0, 1],
        "namespace": [1, 1],
        "stranger": [1, 1],
        "root": [0, 0],
        "root by himself": [0, 0],
    }


def test_a_user_needs_not_say_which_socket(service: Outcomes) -> None:
    sockets = {name: record["who"]["socket"] for name, record in service.of("callers").items()}
    assert sockets.pop("root by himself") == "/run/kmodd/admin/kmodd.sock"
    assert set(sockets.values()) == {"/run/kmodd/kmodd.sock"}


def test_one_who_has_ended_is_known_as_a_user_and_as_no_process(service: Outcomes) -> None:
    record = service.of("one_who_has_ended")
    release = tuple(map(int, record["release"].split("-")[0].split(".")[:2]))
    assert record["has_descriptors"] == (release >= (6, 5))
    assert (record["is_user"], record["role"]) == (True, "ROLE_OBSERVER")
    assert record["process"] == [0, "", ""]


def test_a_reload_puts_new_configuration_in_force(service: Outcomes) -> None:
    record = service.of("reloaded")
    assert (record["same"], record["load"]) == (True, {})
    assert record["unit"]["ActiveState"] == "active"


def test_a_reload_waits_for_no_loader_and_the_watchdog_is_answered(service: Outcomes) -> None:
    assert service.of("reloaded_while_a_loader_waits") == {
        "same": True,
        "unit": {"ActiveState": "active", "NRestarts": "1"},
        "watchdog_timeouts": 0,
        "waits": ["greet"],
        "waited": {},
    }


def test_killed_in_the_middle_of_loads_it_comes_back_with_the_kernels_listing(
    service: Outcomes,
) -> None:
    record = service.of("killed_while_loading")
    assert record["unit"] == {"ActiveState": "active", "NRestarts": "2"}
    assert (record["listed"], record["works"]) == (True, {})
    assert record["origins"] == {"hello": "ORIGIN_ASKED", "overlay": "ORIGIN_UNKNOWN"}
    assert record["holds"] == [1, 0]


def test_killed_under_calls_it_leaves_nobody_at_the_public_socket_without_an_answer(
    service: Outcomes,
) -> None:
    record = service.of("killed_under_calls")
    assert record["unit"] == {"ActiveState": "active", "NRestarts": "3"}
    assert record["socket"] == {"ActiveState": "active"}
    assert record["refusals"] == [0]
    assert min(record["before"], record["meanwhile"]) > 0
    assert record["ends"] == ["0"]


def test_a_front_that_is_killed_is_back_soon_and_nobody_is_refused(service: Outcomes) -> None:
    record = service.of("front_killed_under_calls")
    assert record.pop("back") <= 2.0
    assert record.pop("before") > 4
    assert record == {
        "refusals": [0],
        "ends": ["0"],
        "is_another": True,
        "same": True,
        "holds": 1,
        "unit": {"ActiveState": "active"},
    }


def test_the_watchdog_replaces_a_process_that_does_nothing(service: Outcomes) -> None:
    assert service.of("stopped_process")["unit"] == {"ActiveState": "active", "NRestarts": "4"}


def test_the_journal_has_priorities(service: Outcomes) -> None:
    record = service.of("journal")
    assert record["listening"] == ["6"] * (5 * 5)  # five starts
    assert [line.rpartition(": ")[2] for line in record["warnings"]] == [
        "Read-only file system; the databases are in force in memory",
        "starting anew",
    ]


def test_the_journal_knows_which_modules_a_line_is_about(service: Outcomes) -> None:
    record = service.of("journal_of_a_module")
    about = {"_SYSTEMD_UNIT": "kmodd.service", "SYSLOG_IDENTIFIER": "kmodd", "KMODD_UID": "0"}
    assert record["loaded"] == about | {
        "MESSAGE_ID": LogKind.MODULES_LOADED.value,
        "KMODD_MODULE": ["greet", "world"],
    }
    assert record["refused"] == about | {
        "MESSAGE_ID": LogKind.LOAD_REFUSED.value,
        "KMODD_MODULE": "halfway",
    }
    assert "A module was not let into the kernel: " in record["explained"]


def test_it_stops_within_the_drain_under_many_calls_of_many_names(service: Outcomes) -> None:
    record = service.of("ended")
    assert record["unit"] == {"ActiveState": "inactive", "Result": "success"}
    assert not record["socket"]
    assert record["took"] <= (Limits().drain + NOTICED) * 1e6
    assert "UNAVAILABLE" in record["codes"]  # those that were not answered by then
    assert record["watchdog_timeouts"] == 1  # of the process that was stopped
