# SPDX-License-Identifier: Apache-2.0
"""Registrations that nothing but the ledger depends on, and small answers (drivers/, kernel/)."""

import errno

import pytest

from tests.support.kernel_calls import (
    NULL_DEREFERENCE,
    callback,
    error_pointer,
    having,
    held,
    oops,
    paths,
    put_structure,
    put_text,
    run,
    unload,
)
from tests.support.machine import ROOM, Machine, new_machine
from tests.support.registered import MAKERS, PAIRS
from tests.support.registrations import (
    Pair,
    check_errors,
    check_maker,
    check_nothing,
    check_pair,
    pair_ids,
)

SUCCEEDS = [
    *("cpufreq_unregister_driver", "register_btf_kfunc_id_set", "rtnl_register_module"),
    *("rtnl_unregister", "drm_firmware_drivers_only", "nf_log_set", "nf_log_unset"),
    *("acpi_processor_preregister_performance", "netdev_class_create_file_ns"),
    *("netdev_class_remove_file_ns", "led_trigger_event", "mmu_notifier_synchronize"),
    *("blk_queue_max_segment_size", "blk_queue_max_segments", "skb_queue_purge"),
    *(
        "tty_port_init",
        "tty_kref_put",
        "tty_port_destroy",
        "tty_port_link_device",
        "n_tty_inherit_ops",
    ),
    *("__static_call_update", "cachemode2protval", "cxl_bus_drain", "xfrm_flush_gc"),
    *("udp_encap_enable", "tcp_sock_set_nodelay", "skb_queue_purge_reason", "fqdir_pre_exit"),
    *("nfnl_lock", "nfnl_unlock", "dev_get_regmap", "fb_modesetting_disabled"),
    *("video_firmware_drivers_only", "acpi_quirk_skip_acpi_ac_and_battery"),
    "x509_load_certificate_list",
]


@pytest.fixture
def machine() -> Machine:
    return new_machine()


@pytest.mark.parametrize("pair", PAIRS, ids=pair_ids(PAIRS))
def test_what_is_registered_is_on_the_account_until_it_is_taken_back(pair: Pair) -> None:
    check_pair(pair)


TAKEN_BACK = tuple(each for each in PAIRS if each.give)


@pytest.mark.parametrize("pair", TAKEN_BACK, ids=pair_ids(TAKEN_BACK))
def test_what_is_there_already_or_is_not_there_has_its_error(pair: Pair) -> None:
    check_errors(pair)


@pytest.mark.parametrize(("make", "end", "kind"), MAKERS)
def test_an_object_is_there_until_it_is_ended(make: str, end: str, kind: str) -> None:
    check_maker(make, end, kind)


def test_a_line_discipline_has_its_number_beside_it_until_5_13(machine: Machine) -> None:
    with having(tty_register_ldisc="iip", tty_unregister_ldisc="ii"):
        assert run(machine, "tty_register_ldisc", 5, ROOM) == 0
        assert held(machine) == [("line discipline", "line discipline")]
        assert run(machine, "tty_unregister_ldisc", 5) == 0
    assert held(machine) == []


def test_there_is_nothing_to_show_for_those_who_ask_as_in_5_10(machine: Machine) -> None:
    with having(vga_client_register="ipppp"):
        assert run(machine, "vga_client_register", ROOM, 0, 0, 0) == -errno.ENODEV


@pytest.mark.parametrize("name", SUCCEEDS)
def test_what_nobody_listens_to_succeeds(name: str) -> None:
    check_nothing(name, 0)


@pytest.mark.parametrize(
    "function", ["cpufreq_register_driver", "vga_client_register", "__vmbus_driver_register"]
)
def test_there_is_nothing_for_a_driver_to_do(function: str) -> None:
    check_nothing(function, -errno.ENODEV)


def test_there_is_no_state_of_a_transformation_to_be_flushed() -> None:
    check_nothing("xfrm_state_flush", -errno.ESRCH)


def trigger(machine: Machine, name: str) -> int:
    return put_structure(machine, 128, {0: put_text(machine, name)})


def test_a_led_triggers_name_is_its_own(machine: Machine) -> None:
    first, second = (trigger(machine, "blink") for _ in range(2))
    assert run(machine, "led_trigger_register", first) == 0
    assert held(machine) == [("LED trigger", "LED trigger 'blink'")]
    assert run(machine, "led_trigger_register", second) == -errno.EEXIST
    run(machine, "led_trigger_unregister", second)
    assert len(held(machine)) == 1
    run(machine, "led_trigger_unregister", first)
    assert held(machine) == []
    assert run(machine, "led_trigger_register", second) == 0
    unload(machine)
    assert run(machine, "led_trigger_register", first) == 0


def test_a_simple_led_trigger_is_made_and_freed_by_the_kernel(machine: Machine) -> None:
    name = put_text(machine, "blink")
    run(machine, "led_trigger_register_simple", name, ROOM)
    made = machine.memory.number(ROOM)
    assert machine.memory.number(made) == name
    assert held(machine) == [("LED trigger", "LED trigger 'blink'")]
    run(machine, "led_trigger_register_simple", name, ROOM)
    assert (machine.memory.number(ROOM), len(held(machine))) == (0, 1)
    run(machine, "led_trigger_unregister_simple", 0)
    run(machine, "led_trigger_unregister_simple", made)
    assert (held(machine), machine.heap.size(made)) == ([], None)


def test_an_instance_of_padata_has_an_object_that_can_be_added(machine: Machine) -> None:
    instance = run(machine, "padata_alloc", put_text(machine, "pencrypt"))
    assert held(machine) == [("padata", "padata 'pencrypt'")]
    kobject = instance + 72
    assert run(machine, "kobject_add", kobject, 0, put_text(machine, "pencrypt")) == 0
    assert paths(machine.mounts.sysfs) == ["/sys/pencrypt/"]
    run(machine, "padata_free", instance)
    assert (held(machine), paths(machine.mounts.sysfs)) == ([], [])
    assert machine.heap.size(instance) is None


def test_what_is_scheduled_is_done_when_the_caller_has_returned(machine: Machine) -> None:
    work = callback(machine)
    cookie = run(machine, "async_schedule_node", work.address, 0xDADA, 0)
    assert cookie != 0
    assert (work.calls, work.arguments[:2]) == (1, (0xDADA, cookie))


@pytest.mark.parametrize("function", ["async_synchronize_full", "async_synchronize_cookie"])
def test_what_was_scheduled_is_done_by_the_end_of_a_wait(machine: Machine, function: str) -> None:
    work = callback(machine)
    with machine.running("sample"):
        schedule, wait = (
            machine.kernel_symbols.address(each) for each in ("async_schedule_node", function)
        )
        machine.invoke(schedule, work.address, 0, 0)
        assert work.calls == 0
        machine.invoke(wait, 1)
        assert work.calls == 1


@pytest.mark.parametrize("function", ["make_kuid", "make_kgid"])
@pytest.mark.parametrize("number", [0, 1000, 0xFFFFFFFF])
def test_users_and_groups_are_those_of_the_first_name_space(
    machine: Machine, function: str, number: int
) -> None:
    assert run(machine, function, ROOM, number) == number


@pytest.mark.parametrize(
    ("name", "code"),
    [("ttyS0", -errno.ENODEV), ("tty", -errno.EINVAL), ("", -errno.EINVAL)],
)
def test_a_terminals_name_has_a_number(machine: Machine, name: str, code: int) -> None:
    machine.memory.put(ROOM, 7, 4)
    assert run(machine, "tty_dev_name_to_number", put_text(machine, name), ROOM) == code
    assert machine.memory.number(ROOM, 4) == 7


@pytest.mark.parametrize(("offset", "asked", "level"), [(32, 7, 7), (40, 999, 255), (0, 3, 3)])
def test_a_led_shines_as_its_driver_has_it(
    machine: Machine, offset: int, asked: int, level: int
) -> None:
    driver = callback(machine)
    machine.memory.put(ROOM + 12, 255, 4)
    if offset:
        machine.memory.put(ROOM + offset, driver.address)
    run(machine, "led_set_brightness", ROOM, asked)
    assert machine.memory.number(ROOM + 8, 4) == level
    assert driver.arguments[:2] == ((ROOM, level) if offset else (0, 0))


@pytest.mark.parametrize("function", ["tty_kopen_exclusive", "tty_kopen_shared"])
def test_there_is_no_terminal(machine: Machine, function: str) -> None:
    assert run(machine, function, 4 << 20 | 64) == error_pointer(errno.ENODEV)
    assert run(machine, "get_current_tty") == 0


def test_a_console_has_a_place_that_can_be_written_to(machine: Machine) -> None:
    place = run(machine, "screen_pos", ROOM, 0, 1)
    machine.memory.put(place, 0x0741, 2)
    assert run(machine, "screen_pos", ROOM, 0, 1) == place


def test_the_machine_was_booted_at_a_time_and_has_free_memory(machine: Machine) -> None:
    machine.memory.fill(ROOM, 16, 0xFF)
    run(machine, "getboottime64", ROOM)
    seconds, nanoseconds = machine.memory.number(ROOM), machine.memory.number(ROOM + 8)
    assert 1_500_000_000 < seconds < 1 << 32
    assert nanoseconds < 1_000_000_000
    assert 0 < run(machine, "nr_free_buffer_pages") <= (512 << 20) // 4096
    assert oops(machine, "getboottime64", 0).startswith(NULL_DEREFERENCE)


UUID = "00112233-4455-6677-8899-aAbBcCdDeEfF"


@pytest.mark.parametrize(
    ("function", "parsed"),
    [
        ("uuid_parse", "00112233445566778899aabbccddeeff"),
        ("guid_parse", "33221100554477668899aabbccddeeff"),
    ],
)
def test_a_uuid_is_parsed_and_a_guid_begins_the_other_way_round(
    machine: Machine, function: str, parsed: str
) -> None:
    assert run(machine, function, put_text(machine, UUID + " and more"), ROOM) == 0
    assert machine.memory.read(ROOM, 16).hex() == parsed


@pytest.mark.parametrize("function", ["uuid_parse", "guid_parse"])
@pytest.mark.parametrize(
    "words", ["", UUID[:-1], UUID.replace("-", ""), UUID.replace("0", "g"), UUID.replace("-", "0")]
)
def test_what_is_no_uuid_is_invalid(machine: Machine, function: str, words: str) -> None:
    assert run(machine, function, put_text(machine, words), ROOM) == -errno.EINVAL
    assert machine.memory.read(ROOM, 16) == bytes(16)
    assert oops(machine, function, 0, ROOM).startswith(NULL_DEREFERENCE)
