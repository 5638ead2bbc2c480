# SPDX-License-Identifier: Apache-2.0
"""The processor, firmware, ports: what a machine has that modules ask for (arch/x86, ACPI, DMI).

The emulated machine has an ordinary processor, and nothing else: no ACPI tables, no DMI, no PCI
device, no hypervisor, no port or memory that answers.
"""

import errno
from dataclasses import dataclass, field

from kmodd.kernel.emulated.abi.function_table import (
    RETURN,
    RETURN_ONE,
    RETURN_ZERO,
    function,
    machine_code,
    reclaims,
)
from kmodd.kernel.emulated.abi.structures import HOTPLUG_STATE, PROCESSOR_ID, RESOURCE
from kmodd.kernel.emulated.hardware.cpuid import (
    CPU_FAMILY,
    CPU_MODEL,
    CPU_STEPPING,
    CPU_VENDOR,
    FEATURES,
)
from kmodd.kernel.emulated.machine.machine import Machine
from kmodd.kernel.emulated.reporting.log import Level

_ANY_VENDOR, _ANY, _IDS_MAX = 0xFFFF, 0, 1024
_AE_NOT_FOUND = 5
_REGION, _PORTS_LAST = "region", 0xFFFF
_X87_AND_SSE = 3
_XFEATURES = (
    "x87 floating point registers",
    "SSE registers",
    "AVX registers",
    "MPX bounds registers",
    "MPX CSR",
    "AVX-512 opmask",
    "AVX-512 Hi256",
    "AVX-512 ZMM_Hi256",
    "Processor Trace (unused)",
    "Protection Keys User registers",
    "PASID state",
    "unknown xstate feature",
)
"""What the kernel calls the parts of a task's extended state (arch/x86/kernel/fpu/xstate.c)."""


@dataclass(slots=True)
class FeatureNames:
    """Where the names are that modules have asked for."""

    known: dict[int, int] = field(default_factory=dict)


@dataclass(slots=True)
class HotplugStates:
    """The processor's states that were set up, each with its teardown, 0 for none."""

    teardowns: dict[int, int] = field(default_factory=dict)


@dataclass(slots=True)
class Regions:
    """All regions by their ``struct resource``: the parent, the first and the last address."""

    taken: dict[int, tuple[int, int, int]] = field(default_factory=dict)


def _code(result: int) -> bytes:
    """Return machine code for ``return result``."""
    return b"\x48\xc7\xc0" + result.to_bytes(4, "little", signed=True) + b"\xc3"


@function("const struct x86_cpu_id *x86_match_cpu(const struct x86_cpu_id *match)")
def x86_match_cpu(machine: Machine, table: int) -> int:
    memory = machine.memory
    for entry in range(table, table + PROCESSOR_ID.size * _IDS_MAX, PROCESSOR_ID.size):
        vendor, family, model, steppings, feature = (
            memory.number(entry + at, 2)
            for at in (
                PROCESSOR_ID.vendor,
                PROCESSOR_ID.family,
                PROCESSOR_ID.model,
                PROCESSOR_ID.steppings,
                PROCESSOR_ID.feature,
            )
        )
        if not (vendor or family or model or steppings or feature):
            return 0
        if (
            vendor in (_ANY_VENDOR, CPU_VENDOR)
            and family in (_ANY, CPU_FAMILY)
            and model in (_ANY, CPU_MODEL)
            and (not steppings or steppings >> CPU_STEPPING & 1)
            and (not feature or _has(feature))
        ):
            return entry
    return 0


def _has(feature: int) -> int:
    return FEATURES.get(feature // 32, 0) >> feature % 32 & 1


@function("int cpu_has_xfeatures(u64 xfeatures_needed, const char **feature_name)")
def cpu_has_xfeatures(machine: Machine, needed: int, name: int) -> int:
    """The name is that of the highest feature that is missing, else of the highest."""
    missing = needed & ~_X87_AND_SSE
    if name:
        number = min(max((missing or needed).bit_length() - 1, 0), len(_XFEATURES) - 1)
        machine.memory.put(name, _xfeature_name(machine, number))
    return int(not missing)


def _xfeature_name(machine: Machine, number: int) -> int:
    """Return where the name is, which is nobody's to give back."""
    names = machine.state(FeatureNames).known
    if number not in names:
        text = _XFEATURES[number].encode() + b"\0"
        names[number] = machine.heap.allocate(len(text))
        machine.memory.write(names[number], text)
    return names[number]


machine_code(
    _code(-errno.ENODEV),
    """
    int amd_cache_northbridges(void)
    int ec_read(u8 addr, u8 *val)
    int ec_write(u8 addr, u8 val)
    int ec_transaction(u8 command, const u8 *wdata, unsigned wdata_len, u8 *rdata, unsigned rdata_len)
    """,
)

machine_code(
    _code(_AE_NOT_FOUND),
    """
    acpi_status acpi_get_table(char *signature, u32 instance, struct acpi_table_header **out_table)
    acpi_status acpi_get_devices(const char *hid, void *user_function, void *context, void **return_value)
    acpi_status acpi_walk_namespace(u32 type, acpi_handle start_object, u32 max_depth, void *descending_callback, void *ascending_callback, void *context, void **return_value)
    acpi_status acpi_get_handle(acpi_handle parent, char *pathname, acpi_handle *ret_handle)
    acpi_status acpi_evaluate_object(acpi_handle handle, char *pathname, struct acpi_object_list *params, struct acpi_buffer *ret_buffer)
    acpi_status acpi_evaluate_integer(acpi_handle handle, char *pathname, struct acpi_object_list *args, unsigned long long *data)
    """,
)

machine_code(
    RETURN_ZERO,
    """
    int dmi_check_system(const struct dmi_system_id *list)
    const struct dmi_system_id *dmi_first_match(const struct dmi_system_id *list)
    const char *dmi_get_system_info(int field)
    int dmi_name_in_vendors(const char *str)
    const struct dmi_device *dmi_find_device(int type, const char *name, const struct dmi_device *from)
    bool dmi_match(enum dmi_field f, const char *str)
    bool hv_is_hyperv_initialized(void)
    bool hv_is_isolation_supported(void)
    bool kvm_para_available(void)
    bool acpi_dev_found(const char *hid)
    bool acpi_dev_present(const char *hid, const char *uid, s64 hrv)
    bool acpi_osi_is_win8(void)
    struct acpi_device *acpi_dev_get_first_match_dev(const char *hid, const char *uid, s64 hrv)
    struct pci_dev *pci_get_device(unsigned int vendor, unsigned int device, struct pci_dev *from)
    struct pci_dev *pci_get_class(unsigned int class, struct pci_dev *from)
    struct pci_dev *pci_get_subsys(unsigned int vendor, unsigned int device, unsigned int ss_vendor, unsigned int ss_device, struct pci_dev *from)
    struct pci_dev *pci_get_domain_bus_and_slot(int domain, unsigned int bus, unsigned int devfn)
    struct pci_bus *pci_find_bus(int domain, int busnr)
    struct pci_bus *pci_find_next_bus(const struct pci_bus *from)
    int pci_dev_present(const struct pci_device_id *ids)
    struct acpi_pci_root *acpi_pci_find_root(acpi_handle handle)
    bool cxl_mem_active(void)
    u16 amd_nb_num(void)
    struct amd_northbridge *node_to_amd_nb(int node)
    const char *edac_get_owner(void)
    bool efivar_supports_writes(void)
    bool is_acpi_device_node(const struct fwnode_handle *fwnode)
    struct cpuidle_driver *cpuidle_get_driver(void)
    const char *cpufreq_get_current_driver(void)
    unsigned int cpufreq_quick_get(unsigned int cpu)
    int topology_phys_to_logical_pkg(unsigned int phys_pkg)
    bool xen_has_pv_devices(void)
    void *of_find_node_by_name(void *from, const char *name)
    void *of_find_compatible_node(void *from, const char *type, const char *compat)
    """,
)

machine_code(_code(-errno.ENODATA), "int dmi_get_bios_year(void)")
machine_code(RETURN_ONE, "bool irq_fpu_usable(void)")
machine_code(
    _code(-errno.ENXIO),
    """
    int dmi_walk(void (*decode)(const struct dmi_header *, void *), void *private_data)
    """,
)
machine_code(_code(-errno.EIO), "int rdmsrl_safe(u32 msr, u64 *value)")


@function("bool dmi_get_date(int field, int *yearp, int *monthp, int *dayp)")
def dmi_get_date(machine: Machine, _field: int, *parts: int) -> int:
    """A date that is not there is all zeros."""
    for each in parts:
        if each:
            machine.memory.put(each, 0, 4)
    return 0


machine_code(
    RETURN,
    """
    void pci_dev_put(struct pci_dev *dev)
    void acpi_put_table(struct acpi_table_header *table)
    void acpi_dev_put(struct acpi_device *adev)
    int wbinvd_on_all_cpus(void)
    void clflush_cache_range(void *vaddr, unsigned int size)
    void pci_lock_rescan_remove(void)
    void pci_unlock_rescan_remove(void)
    """,
)


@function("int rdmsr_safe_on_cpu(unsigned int cpu, u32 msr_no, u32 *l, u32 *h)")
def rdmsr_safe_on_cpu(_machine: Machine, cpu: int, _msr: int, _low: int, _high: int) -> int:
    """No model-specific register is there."""
    return -errno.ENXIO if cpu else -errno.EIO


@function("int rdmsrl_safe_on_cpu(unsigned int cpu, u32 msr_no, u64 *q)")
def rdmsrl_safe_on_cpu(_machine: Machine, cpu: int, _msr: int, _value: int) -> int:
    """No model-specific register is there."""
    return -errno.ENXIO if cpu else -errno.EIO


def _regions(machine: Machine) -> dict[int, tuple[int, int, int]]:
    return machine.state(Regions).taken


@function(
    "struct resource *__request_region(struct resource *parent, resource_size_t start,"
    " resource_size_t n, const char *name, int flags)"
)
def request_region(
    machine: Machine, parent: int, start: int, count: int, name: int, _flags: int
) -> int:
    """Take a region of which nobody has any part."""
    last = start + count - 1
    highest = (
        _PORTS_LAST
        if parent == machine.kernel_symbols.address("ioport_resource")
        else (1 << 64) - 1
    )
    if not start <= last <= highest:
        return 0
    for owner, first, end in _regions(machine).values():
        if owner == parent and first <= last and start <= end:
            return 0
    text = machine.memory.text(name, 64) if name else "?"
    region = machine.heap.allocate(RESOURCE.size)
    for at, word in ((RESOURCE.start, start), (RESOURCE.end, last), (RESOURCE.name, name)):
        machine.memory.put(region + at, word)
    _regions(machine)[region] = parent, start, last
    machine.ledger.take(_REGION, region, f"region {start:#x}-{last:#x} of '{text}'")
    return region


@function(
    "void __release_region(struct resource *parent, resource_size_t start, resource_size_t n)"
)
def release_region(machine: Machine, parent: int, start: int, count: int) -> None:
    last = start + count - 1
    for region, taken in _regions(machine).items():
        if taken == (parent, start, last):
            machine.ledger.give(_REGION, region)
            forget_region(machine, region)
            return
    what = f"<{start:016x}-{last & (1 << 64) - 1:016x}>"
    machine.log.write(Level.WARNING, f"Trying to free nonexistent resource {what}\n")


@reclaims(_REGION)
def forget_region(machine: Machine, region: int) -> None:
    """Let others have a region."""
    del _regions(machine)[region]
    machine.heap.free(region)


@function(
    "int __cpuhp_setup_state(enum cpuhp_state state, const char *name, bool invoke, int (*startup)(unsigned int cpu), int (*teardown)(unsigned int cpu), bool multi_instance)"
)
def cpuhp_setup_state(
    machine: Machine, state: int, name: int, invoke: int, startup: int, teardown: int, many: int
) -> int:
    """The callback runs for the only processor; a state of the caller's own gets a number."""
    states, dynamic = machine.state(HotplugStates).teardowns, _dynamic_states()
    numbers = dynamic.get(state, range(state, state + 1))
    if not name or not state:
        return -errno.EINVAL
    number = next((each for each in numbers if each not in states), None)
    if number is None:
        return -errno.ENOSPC if state in dynamic else -errno.EBUSY
    if invoke and startup and not many:
        code = machine.call(startup, 0)
        if code:
            return code
    states[number] = 0 if many else teardown
    return number if state in dynamic else 0


def _dynamic_states() -> dict[int, range]:
    """Return which states there are for those that ask for any. The kernel itself has the first."""
    of = HOTPLUG_STATE
    return {
        of.prepare: range(of.prepare + 1, of.prepare_end + 1),
        of.online: range(of.online + 1, of.online_end + 1),
    }


@function("void __cpuhp_remove_state(enum cpuhp_state state, bool invoke)")
def cpuhp_remove_state(machine: Machine, state: int, invoke: int) -> None:
    teardown = machine.state(HotplugStates).teardowns.pop(state, 0)
    if invoke and teardown:
        machine.call(teardown, 0)


@function(
    "int smp_call_function_single(int cpu, smp_call_func_t func, void *info, int wait)",
)
def smp_call_function_single(
    machine: Machine, cpu: int, work: int, argument: int, _wait: int
) -> int:
    if cpu:
        return -errno.ENXIO
    machine.invoke(work, argument)
    return 0


@function(
    "void on_each_cpu_cond_mask(void *cond_func, smp_call_func_t func, void *info, bool wait, const struct cpumask *mask)"
)
def on_each_cpu(
    machine: Machine, condition: int, work: int, argument: int, _wait: int, mask: int
) -> None:
    if mask and not machine.memory.number(mask) & 1:
        return
    if not condition or machine.invoke(condition, 0, argument) & 0xFF:
        machine.invoke(work, argument)


@function("int work_on_cpu_safe(int cpu, long (*fn)(void *), void *arg)")
def work_on_cpu_safe(machine: Machine, cpu: int, work: int, argument: int) -> int:
    return -errno.ENODEV if cpu else machine.invoke(work, argument)


@function("long work_on_cpu(int cpu, long (*fn)(void *), void *arg)")
def work_on_cpu(machine: Machine, _cpu: int, work: int, argument: int) -> int:
    return machine.invoke(work, argument)
