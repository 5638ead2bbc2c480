# SPDX-License-Identifier: Apache-2.0
"""The processor, firmware, ports: what a machine has that modules ask for (arch/x86, ACPI, DMI)."""

import errno
import struct

import pytest

from kmodd.kernel.emulated.abi.structures import HOTPLUG_STATE
from tests.support.kernel_calls import Crash, held, laid_out, put_code, put_text, run, unload
from tests.support.machine import ROOM, Machine, new_machine

TABLE, NAME, PLACE, CONTEXT, MASK = (ROOM + at for at in (0, 512, 768, 1024, 1280))
HUGE = (1 << 64) - 1

AMD, INTEL, ANY_VENDOR = 2, 0, 0xFFFF
SSE2, AVX = 26, 4 * 32 + 28
"""Numbers of features (asm/cpufeatures.h)."""

AE_NOT_FOUND = 5


def put_ids(machine: Machine, *rows: tuple[int, int, int, int, int]) -> int:
    """Store ``struct x86_cpu_id``: vendor, family, model, steppings, feature of each."""
    for number, row in enumerate(rows):
        machine.memory.write(TABLE + 24 * number, struct.pack("<5H6xQ", *row, number))
    machine.memory.write(TABLE + 24 * len(rows), bytes(24))
    return TABLE


@pytest.mark.parametrize(
    ("row", "matches"),
    [
        ((ANY_VENDOR, 0, 0, 0, SSE2), True),
        ((ANY_VENDOR, 0, 0, 0, AVX), False),
        ((AMD, 15, 107, 0, 0), True),
        ((AMD, 15, 107, 1 << 1, SSE2), True),
        ((AMD, 15, 107, 1 << 2, 0), False),
        ((AMD, 15, 108, 0, 0), False),
        ((AMD, 23, 0, 0, 0), False),
        ((INTEL, 15, 107, 0, 0), False),
    ],
)
def test_the_processor_is_matched_with_a_table(
    row: tuple[int, int, int, int, int], matches: bool
) -> None:
    machine = new_machine()
    table = put_ids(machine, (INTEL, 6, 0, 0, 0), row)
    assert run(machine, "x86_match_cpu", table) == (table + 24 if matches else 0)


def test_a_table_without_an_end_is_left_some_time() -> None:
    machine = new_machine()
    machine.memory.write(TABLE, struct.pack("<5H14x", INTEL, 6, 0, 0, 0) * 2000)
    assert run(machine, "x86_match_cpu", TABLE) == 0


@pytest.mark.parametrize(
    ("needed", "has", "name"),
    [
        (0b1, 1, b"x87 floating point registers"),
        (0b11, 1, b"SSE registers"),
        (0b111, 0, b"AVX registers"),
        (0b11100011, 0, b"AVX-512 ZMM_Hi256"),
        (1 << 63, 0, b"unknown xstate feature"),
    ],
)
def test_a_part_of_the_extended_state_that_is_missing_has_a_name(
    needed: int, has: int, name: bytes
) -> None:
    machine = new_machine()
    assert run(machine, "cpu_has_xfeatures", needed, PLACE) == has
    assert machine.memory.string(machine.memory.number(PLACE)) == name
    assert run(machine, "cpu_has_xfeatures", needed, 0) == has
    assert held(machine) == []


FAILING = {
    -errno.ENODEV: "amd_cache_northbridges ec_read ec_write ec_transaction",
    -errno.ENODATA: "dmi_get_bios_year",
    -errno.ENXIO: "dmi_walk",
    -errno.EIO: "rdmsrl_safe",
    AE_NOT_FOUND: """
        acpi_get_table acpi_get_devices acpi_walk_namespace acpi_get_handle acpi_evaluate_object
        acpi_evaluate_integer
    """,
    0: """
        dmi_check_system dmi_first_match dmi_get_system_info dmi_name_in_vendors dmi_find_device
        dmi_match hv_is_hyperv_initialized hv_is_isolation_supported kvm_para_available
        acpi_dev_found acpi_dev_present acpi_osi_is_win8 acpi_dev_get_first_match_dev
        acpi_pci_find_root cxl_mem_active
        pci_get_device pci_get_class pci_get_subsys pci_get_domain_bus_and_slot
        pci_find_bus pci_find_next_bus pci_dev_present
        amd_nb_num node_to_amd_nb edac_get_owner efivar_supports_writes is_acpi_device_node
        cpuidle_get_driver cpufreq_get_current_driver cpufreq_quick_get
        topology_phys_to_logical_pkg xen_has_pv_devices
        of_find_node_by_name of_find_compatible_node
    """,
}
"""What is said where there is no such thing: no errno, AE_OK or pointer to anything."""


@pytest.mark.parametrize(
    ("name", "result"), [(name, code) for code, names in FAILING.items() for name in names.split()]
)
def test_what_the_machine_does_not_have_is_not_found(name: str, result: int) -> None:
    machine = new_machine()
    put_text(machine, b"PNP0A03", NAME)
    machine.memory.put(PLACE, 7)
    assert run(machine, name, NAME, NAME, PLACE, PLACE) == result
    assert machine.memory.number(PLACE) == 7
    assert held(machine) == []


def test_a_date_that_is_not_there_is_all_zeros() -> None:
    machine = new_machine()
    machine.memory.write(PLACE, b"\xff" * 16)
    assert run(machine, "dmi_get_date", 3, PLACE, 0, PLACE + 8) == 0
    assert [machine.memory.number(PLACE + at, 4) for at in (0, 4, 8)] == [0, 0xFFFFFFFF, 0]


@pytest.mark.parametrize(
    "name",
    [
        "pci_dev_put",
        "acpi_put_table",
        "acpi_dev_put",
        "wbinvd_on_all_cpus",
        "clflush_cache_range",
        "pci_lock_rescan_remove",
        "pci_unlock_rescan_remove",
    ],
)
def test_what_is_put_or_flushed_stays_as_it_is(name: str) -> None:
    machine = new_machine()
    machine.memory.put(PLACE, 7)
    run(machine, name, PLACE, 8)
    assert (machine.memory.number(PLACE), held(machine)) == (7, [])


@pytest.mark.parametrize("name", ["rdmsr_safe_on_cpu", "rdmsrl_safe_on_cpu"])
def test_a_register_of_a_model_is_not_there(name: str) -> None:
    machine = new_machine()
    machine.memory.put(PLACE, 7)
    assert run(machine, name, 0, 0x1A0, PLACE, PLACE) == -errno.EIO
    assert run(machine, name, 1, 0x1A0, PLACE, PLACE) == -errno.ENXIO
    assert machine.memory.number(PLACE) == 7


def request(machine: Machine, parent: str, start: int, count: int) -> int:
    name = put_text(machine, b"sample", NAME)
    where = machine.kernel_symbols.address(parent)
    return run(machine, "__request_region", where, start, count, name, 0)


def release(machine: Machine, parent: str, start: int, count: int) -> None:
    run(machine, "__release_region", machine.kernel_symbols.address(parent), start, count)


def test_a_region_is_one_modules_until_it_is_released() -> None:
    lines = list[str]()
    machine = new_machine(lines)
    region = request(machine, "ioport_resource", 0x3F8, 8)
    assert struct.unpack("<2Q", machine.memory.read(region, 16)) == (0x3F8, 0x3FF)
    assert held(machine) == [("region", "region 0x3f8-0x3ff of 'sample'")]
    for start, count in ((0x3F8, 8), (0x3FF, 1), (0x3F0, 9), (0x3FA, 2), (0, 0x1000)):
        assert request(machine, "ioport_resource", start, count) == 0
    assert request(machine, "iomem_resource", 0x3F8, 8) != 0
    assert request(machine, "ioport_resource", 0x400, 8) != 0
    assert request(machine, "ioport_resource", 0x3F0, 8) != 0
    release(machine, "ioport_resource", 0x3F8, 8)
    assert (len(held(machine)), lines) == (3, [])
    assert request(machine, "ioport_resource", 0x3F8, 8) != 0


@pytest.mark.parametrize(
    ("parent", "start", "count"),
    [
        ("ioport_resource", 0x3F8, 0),
        ("ioport_resource", 0xFFFF, 2),
        ("iomem_resource", HUGE, 2),
        ("iomem_resource", 0, 0),
    ],
)
def test_a_region_lies_within_its_parent(parent: str, start: int, count: int) -> None:
    machine = new_machine()
    assert request(machine, parent, start, count) == 0
    assert held(machine) == []


def test_a_region_that_nobody_has_is_not_released_silently() -> None:
    lines = list[str]()
    machine = new_machine(lines)
    request(machine, "ioport_resource", 0x3F8, 8)
    release(machine, "ioport_resource", 0x3F8, 4)
    assert lines == ["Trying to free nonexistent resource <00000000000003f8-00000000000003fb>"]
    assert len(held(machine)) == 1


def test_a_region_that_is_left_is_free_again() -> None:
    machine = new_machine()
    request(machine, "ioport_resource", 0x3F8, 8)
    assert unload(machine) == [("region", "region 0x3f8-0x3ff of 'sample'")]
    assert request(machine, "ioport_resource", 0x3F8, 8) != 0


PREPARE_DYNAMIC, ONLINE_DYNAMIC = 70, 201


def counting(machine: Machine, result: int = 0, at: int = 0) -> int:
    """Store a callback that counts its calls and adds up its arguments, and returns ``result``."""
    place = (CONTEXT + at).to_bytes(8, "little").hex()
    code = f"48b8{place}48ff004801780848b8{result.to_bytes(8, 'little', signed=True).hex()}c3"
    return put_code(machine, code, at)


def calls(machine: Machine, at: int = 0) -> int:
    return machine.memory.number(CONTEXT + at)


def set_up(machine: Machine, state: int, *, many: int = 0, invoke: int = 1, result: int = 0) -> int:
    up, down = counting(machine, result), counting(machine, at=64)
    name = put_text(machine, b"sample:online", NAME)
    return run(machine, "__cpuhp_setup_state", state, name, invoke, up, down, many)


def test_a_state_is_set_up_on_the_only_processor_and_torn_down() -> None:
    machine = new_machine()
    assert set_up(machine, 100) == 0
    assert (calls(machine), calls(machine, 64)) == (1, 0)
    assert set_up(machine, 100) == -errno.EBUSY
    assert calls(machine) == 1
    for _ in range(2):
        run(machine, "__cpuhp_remove_state", 100, 1)
    assert (calls(machine), calls(machine, 64)) == (1, 1)
    assert set_up(machine, 100) == 0


@pytest.mark.parametrize(("many", "invoke"), [(0, 0), (1, 1), (1, 0)])
def test_a_states_callbacks_are_not_called_where_that_is_not_asked(many: int, invoke: int) -> None:
    machine = new_machine()
    assert set_up(machine, 100, many=many, invoke=invoke) == 0
    run(machine, "__cpuhp_remove_state", 100, invoke)
    assert (calls(machine), calls(machine, 64)) == (0, 0)


@pytest.mark.parametrize(("dynamic", "count"), [(PREPARE_DYNAMIC, 20), (ONLINE_DYNAMIC, 30)])
def test_states_of_ones_own_have_numbers_while_there_are_any(dynamic: int, count: int) -> None:
    machine = new_machine()
    numbers = [set_up(machine, dynamic, invoke=0) for _ in range(count)]
    assert numbers == list(range(dynamic + 1, dynamic + 1 + count))
    assert set_up(machine, dynamic, invoke=0) == -errno.ENOSPC
    run(machine, "__cpuhp_remove_state", numbers[3], 0)
    assert set_up(machine, dynamic, invoke=0) == numbers[3]


def test_which_states_are_for_anybody_is_as_the_kernel_has_it() -> None:
    machine = new_machine()
    with laid_out(HOTPLUG_STATE, online=192, online_end=194):
        made = [set_up(machine, 192, invoke=0) for _ in range(3)]
    assert made == [193, 194, -errno.ENOSPC]


def test_a_state_whose_callback_fails_is_not_set_up() -> None:
    machine = new_machine()
    assert set_up(machine, 100, result=-errno.ENODEV) == -errno.ENODEV
    assert set_up(machine, 100) == 0


def test_a_state_needs_a_name_and_a_number() -> None:
    machine = new_machine()
    put_text(machine, b"sample:online", NAME)
    assert run(machine, "__cpuhp_setup_state", 100, 0, 0, 0, 0, 0) == -errno.EINVAL
    assert run(machine, "__cpuhp_setup_state", 0, NAME, 0, 0, 0, 0) == -errno.EINVAL


def test_a_function_runs_on_the_processor_that_is_there() -> None:
    machine = new_machine()
    work = counting(machine)
    assert run(machine, "smp_call_function_single", 0, work, 5, 1) == 0
    assert run(machine, "smp_call_function_single", 1, work, 5, 1) == -errno.ENXIO
    assert (calls(machine), machine.memory.number(CONTEXT + 8)) == (1, 5)


@pytest.mark.parametrize(
    ("answer", "mask", "times"), [(None, 1, 1), (None, 2, 0), (0, 1, 0), (1, 1, 1), (1, None, 1)]
)
def test_a_function_runs_where_a_mask_and_a_condition_say_so(
    answer: int | None, mask: int | None, times: int
) -> None:
    machine = new_machine()
    condition = 0 if answer is None else counting(machine, answer, at=64)
    machine.memory.put(MASK, mask or 0)
    place = 0 if mask is None else MASK
    run(machine, "on_each_cpu_cond_mask", condition, counting(machine), 5, 1, place)
    assert calls(machine) == times
    assert calls(machine, 64) == (answer is not None)


@pytest.mark.parametrize("name", ["work_on_cpu", "work_on_cpu_safe"])
def test_work_on_a_processor_returns_what_it_returns(name: str) -> None:
    machine = new_machine()
    assert run(machine, name, 0, counting(machine, -7), 5) == -7
    assert machine.memory.number(CONTEXT + 8) == 5


def test_work_on_a_processor_that_is_not_there_is_refused() -> None:
    machine = new_machine()
    assert run(machine, "work_on_cpu_safe", 1, counting(machine), 5) == -errno.ENODEV
    assert calls(machine) == 0


def test_a_function_that_is_nowhere_is_an_oops() -> None:
    with pytest.raises(Crash, match="NULL pointer dereference"):
        run(new_machine(), "smp_call_function_single", 0, 0, 0, 0)


def test_a_modules_own_code_may_use_the_vector_registers() -> None:
    assert run(new_machine(), "irq_fpu_usable") == 1
