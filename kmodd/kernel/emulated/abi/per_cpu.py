# SPDX-License-Identifier: Apache-2.0
"""The kernel's variables of which each processor has its own, and their bytes.

Modules have them as offsets into the processor's area, so that it must be known of each name
whether it is one. The kernel's types list them; on a 6.1 without any they are those that its
modules import. They are one process's, which has one kernel.
"""

from collections.abc import Mapping

OF_6_1 = {
    "current_task": 8,
    "pcpu_hot": 64,
    "cpu_number": 4,
    "this_cpu_off": 8,
    "__preempt_count": 4,
    "cpu_info": 512,
    "kernel_cpustat": 128,
    "kstat": 128,
    "irq_stat": 256,
    "softnet_data": 4096,
    "numa_node": 4,
    "cpu_core_map": 8,
    "cpu_sibling_map": 8,
    "cpu_die_map": 8,
    "cpu_llc_shared_map": 8,
    "cpu_llc_id": 4,
    "cpu_tlbstate": 256,
    "cpu_tss_rw": 16384,
    "cpu_hw_events": 4096,
    "x86_cpu_to_apicid": 2,
    "bpf_prog_active": 4,
    "dirty_throttle_leaks": 4,
    "hrtimer_bases": 1024,
    "tick_cpu_device": 64,
    "cpu_loops_per_jiffy": 8,
    "nmi_stats": 64,
    "gdt_page": 4096,
    "fpu_fpregs_owner_ctx": 8,
    "processors": 8,
    "acpi_cpu_tlbstate": 8,
    "vm_event_states": 2048,
    "perf_cpu_context": 512,
    "hardirqs_enabled": 4,
    "hardirq_context": 4,
    "__softirq_pending": 4,
    "msr_misc_features_shadow": 8,
    "spec_ctrl_current": 8,
    "x86_spec_ctrl_current": 8,
}
"""Those that modules of 6.1 import."""

_known: dict[str, int] = dict(OF_6_1)


def adopt(sizes: Mapping[str, int] | None) -> None:
    """Take over what a kernel lists; None for those of 6.1, where nothing tells."""
    _known.clear()
    _known.update(OF_6_1 if sizes is None else sizes)


def size_of(name: str) -> int | None:
    """Return the bytes of a variable; None for one of which there is one alone."""
    return _known.get(name)
