# SPDX-License-Identifier: Apache-2.0
"""The kernel's own symbols: functions that trap, and variables that hold what modules look at.

A name that is known as neither gets zeros that can be read, and that trap when they are called.
"""

import struct
from collections.abc import Callable, Mapping

from kmodd.kernel.emulated.abi import per_cpu
from kmodd.kernel.emulated.abi.function_table import CALLED, RETURN_ZERO, Function
from kmodd.kernel.emulated.abi.structures import (
    HOT_VARIABLES,
    NAME_SPACES,
    NET,
    PARAMETER_OPERATIONS,
    PARAVIRTUAL,
    PROCESSOR,
    TASK,
    UTS_NAME,
)
from kmodd.kernel.emulated.hardware import addresses
from kmodd.kernel.emulated.hardware.cpuid import (
    CPU_FAMILY,
    CPU_MODEL,
    CPU_STEPPING,
    CPU_VENDOR,
    FEATURES,
)
from kmodd.kernel.emulated.hardware.memory import PAGE, BadAddress
from kmodd.kernel.emulated.hardware.x86_64 import X86_64
from kmodd.kernel.emulated.machine.clock import INITIAL_JIFFIES

UNKNOWN_SIZE = 512
"""Bytes for a symbol that nothing is known of."""

STACK_CANARY = 0x28
"""Where in the per-CPU area the compiler finds the stack protector's value, until Linux 6.15."""

CANARY = 0x5EED5EED5EED5E00
"""That value."""

TASK_SIZE = 16 << 10
"""Bytes that a task has: its ``struct task_struct``, and more that nobody looks at."""


_FLAG_FUNCTIONS = {
    "save_flags": "9c58c3",
    "disable_interrupts": "fac3",
    "enable_interrupts": "fbc3",
}
"""x86 code of what ``pv_ops`` has for the flags: pushf, pop %rax; cli; sti; each with a ret."""


def _ctype(code: int) -> int:
    """Return what kind of letter ``code`` is, in the bits of linux/ctype.h."""
    letter = chr(code)
    if code >= 128:
        is_letter = code >= 192 and code not in (215, 247)
        kind = (1 if code < 223 else 2) if is_letter else 0x10
        return 0xA0 if code == 160 else kind if code > 160 else 0
    if letter.isupper():
        return 0x41 if letter <= "F" else 1
    if letter.islower():
        return 0x42 if letter <= "f" else 2
    if letter.isdigit():
        return 4
    if letter == " ":
        return 0xA0
    if code < 32 or code == 127:
        return 0x28 if 9 <= code <= 13 else 8
    return 0x10


_MASKS = frozenset({"cpu_core_map", "cpu_sibling_map", "cpu_llc_shared_map", "cpu_die_map"})
"""Variables per processor that point at a mask of processors (cpumask_var_t)."""

_SIZES = {
    "__per_cpu_offset": 8192 * 8,
    "init_net": 8192,
    "init_task": TASK_SIZE,
    "init_mm": 2048,
    "pv_ops": 2048,
    "node_data": 8192,
    "kmalloc_caches": 2048,
    "hv_max_vp_index": 8,
    "x86_cpu_to_node_map": 8192,
}
"""Bytes of variables that are larger than ``UNKNOWN_SIZE``."""

_NUMBERS = {
    "page_offset_base": addresses.DIRECT_MAP,
    "vmemmap_base": addresses.VMEMMAP,
    "vmalloc_base": addresses.STACKS,
    "nr_cpu_ids": 1,
    "nr_node_ids": 1,
    "nr_online_nodes": 1,
    "__num_online_cpus": 1,
    "__cpu_possible_mask": 1,
    "__cpu_online_mask": 1,
    "__cpu_present_mask": 1,
    "__cpu_active_mask": 1,
    "__max_smt_threads": 1,
    "cpu_all_bits": (1 << 64) - 1,
    "__max_logical_packages": 1,
    "tsc_khz": 2_000_000,
    "cpu_khz": 2_000_000,
    "loops_per_jiffy": 8_000_000,
    "_totalram_pages": 512 << 8,
    "totalram_pages": 512 << 8,
    "max_pfn": addresses.DIRECT_MAP_SIZE >> 12,
    "high_memory": addresses.DIRECT_MAP + addresses.DIRECT_MAP_SIZE,
    "jiffies": INITIAL_JIFFIES,
    "system_state": 3,
    "overflowuid": 65534,
    "overflowgid": 65534,
    "sysctl_max_skb_frags": 17,
    "boot_tvec_bases": 0,
    "zero_pfn": 1,
    "disable_pci_msi": 0,
    "hugetlb_optimize_vmemmap_key": 0,
    "hrtimer_resolution": 1,
}
"""What variables hold at boot."""

_POINTERS = frozenset(
    {
        "system_wq",
        "system_highpri_wq",
        "system_long_wq",
        "system_unbound_wq",
        "system_freezable_wq",
        "system_power_efficient_wq",
        "system_freezable_power_efficient_wq",
        "kernel_kobj",
        "mm_kobj",
        "fs_kobj",
        "power_kobj",
        "firmware_kobj",
        "hypervisor_kobj",
        "block_class",
        "rtnl",
        "crypto_default_rng",
        "vc_cons",
        "random_ready",
    }
)
"""Variables that point at something, of which nobody reads the contents."""

_TABLES = {
    "_ctype": bytes(map(_ctype, range(256))),
    "hex_asc": b"0123456789abcdef",
    "hex_asc_upper": b"0123456789ABCDEF",
    "byte_rev_table": bytes(int(f"{each:08b}"[::-1], 2) for each in range(256)),
}
"""Tables of the library (lib/ctype.c, lib/hexdump.c, lib/bitrev.c)."""

_SAME = {
    "jiffies_64": "jiffies",
    "const_pcpu_hot": "pcpu_hot",
    "const_current_task": "current_task",
    "const_cpu_current_top_of_stack": "cpu_current_top_of_stack",
    "__ref_stack_chk_guard": "__stack_chk_guard",
}
"""Names for one variable (arch/x86/kernel/vmlinux.lds.S)."""

_CPU_FIELDS = (
    ("<B", "family", CPU_FAMILY),
    ("<B", "vendor", CPU_VENDOR),
    ("<B", "model", CPU_MODEL),
    ("<B", "stepping", CPU_STEPPING),
    ("<B", "virtual_bits", 48),
    ("<B", "physical_bits", 40),
    ("<i", "level", 13),
    ("<16s", "name", b"QEMU emulated"),
    ("<I", "cache_size", 512),
    ("<Q", "loops_per_jiffy", 8_000_000),
    ("<H", "cores", 1),
    ("<H", "flush_size", 64),
)
"""What the processor says of itself, where a kernel keeps it."""


class KernelSymbols:
    """Where the kernel's symbols are: each is made when a module first imports it."""

    def __init__(
        self, cpu: X86_64, functions: Mapping[str, Function], object_of: Callable[[int], int]
    ) -> None:
        """``object_of`` allocates an object of that many bytes that nobody gives back."""
        self._cpu = cpu
        self._functions = functions
        self._object = object_of
        self._addresses: dict[str, int] = {}
        self._names: dict[int, str] = {}
        self._next_slot = addresses.TEXT + addresses.SLOT_SIZE
        self._next_datum = addresses.DATA
        self._next_per_cpu = 4096
        cpu.write_slot(addresses.TEXT, RETURN_ZERO)
        self._set_up_processor()

    def address(self, name: str) -> int:
        """Return the address of a symbol."""
        found = self._addresses.get(name)
        if found is None:
            found = self._addresses[name] = self._make(name)
            self._names[found] = name
        return found

    def name(self, address: int) -> str:
        """Return the name of the symbol at ``address``, empty where none begins there."""
        return self._names.get(address, "")

    def nearest(self, address: int) -> tuple[str, int]:
        """Return the function that ``address`` is in, and the offset in it."""
        start = address - (address - addresses.TEXT) % addresses.SLOT_SIZE
        name = self._names.get(start) or self._names.get(address, "")
        return name, address - start

    def _make(self, name: str) -> int:
        if name in _SAME:
            return self.address(_SAME[name])
        size = per_cpu.size_of(name)
        if size is not None:
            return self._make_per_cpu(name, size)
        function = self._functions.get(name)
        if function is not None:
            code = function.code
            if function.calls:
                called = self.address(function.calls).to_bytes(8, "little")
                code = code.replace(CALLED, called)
            return self._make_function(code)
        return self._make_variable(name)

    def _make_function(self, code: bytes) -> int:
        slot, size = self._next_slot, addresses.SLOT_SIZE
        end = slot + max(-(-len(code) // size) * size, size)
        if end > addresses.TEXT + addresses.TEXT_SIZE:
            raise BadAddress(slot)
        self._next_slot = end
        self._cpu.write_slot(slot, code)
        return slot

    def _make_variable(self, name: str) -> int:
        address = self._next_datum
        size = _SIZES.get(name, UNKNOWN_SIZE)
        self._next_datum += size
        memory = self._cpu.memory
        if name in _NUMBERS:
            memory.put(address, _NUMBERS[name])
        elif name == "__zero_page":
            memory.put(address, _page_struct(self._object(PAGE)))
        elif name in _POINTERS:
            memory.put(address, self._object(4096))
        elif name == "net_namespace_list":
            # A ring of two: the head, and the only name space.
            link = self.address("init_net") + NET.list
            memory.write(address, link.to_bytes(8, "little") * 2)
            memory.write(link, address.to_bytes(8, "little") * 2)
        elif name in _TABLES:
            memory.write(address, _TABLES[name])
        elif name == "__per_cpu_offset":
            memory.write(address, addresses.PER_CPU.to_bytes(8, "little") * (size // 8))
        elif name == "pv_ops":
            # What paravirtualisation replaces: flags, barriers. The others do not do anything.
            memory.write(address, addresses.TEXT.to_bytes(8, "little") * (size // 8))
            for field, code in _FLAG_FUNCTIONS.items():
                if PARAVIRTUAL.has(field):
                    slot = self._make_function(bytes.fromhex(code))
                    memory.put(address + getattr(PARAVIRTUAL, field), slot)
        elif name in ("boot_cpu_data", "cpu_data"):
            memory.write(address, _cpu_info())
        elif name == "kmalloc_caches":
            memory.write(address, self._object(256).to_bytes(8, "little") * (size // 8))
        elif name.startswith("param_ops_"):
            self._fill_operations(address, name.removeprefix("param_ops_"))
        return address

    def _fill_operations(self, address: int, kind: str) -> None:
        """Give a kind of parameters those of its functions that there are."""
        for offset, verb in (
            (PARAMETER_OPERATIONS.set, "set"),
            (PARAMETER_OPERATIONS.get, "get"),
            (PARAMETER_OPERATIONS.free, "free"),
        ):
            name = f"param_{verb}_{kind}"
            if name in self._functions:
                self._cpu.memory.put(address + offset, self.address(name))

    def _make_per_cpu(self, name: str, size: int) -> int:
        offset = self._next_per_cpu
        self._next_per_cpu += max(64, -(-size // 64) * 64)
        if self._next_per_cpu > addresses.PER_CPU_OF_MODULES:
            raise BadAddress(addresses.PER_CPU + offset)
        if name in _MASKS:
            self._cpu.memory.put(addresses.PER_CPU + offset, self.address("__cpu_online_mask"))
        elif name == "__stack_chk_guard":
            self._cpu.memory.put(addresses.PER_CPU + offset, CANARY)
        return offset

    def _set_up_processor(self) -> None:
        memory = self._cpu.memory
        memory.put(addresses.PER_CPU + STACK_CANARY, CANARY)
        task = self.main_task = self._object(TASK_SIZE)
        memory.write(task + TASK.name, b"insmod")
        memory.put(task + TASK.pid, 1, 4)
        self._set_up_spaces(task)
        memory.put(self.current_at, task)
        memory.put(addresses.PER_CPU + self.address("this_cpu_off"), addresses.PER_CPU)
        memory.write(addresses.PER_CPU + self.address("cpu_info"), _cpu_info())
        self._net_generic, self._list_head = self._object(64 << 10), self._object(16)
        net = self.address("init_net")
        memory.put(net + NET.generic, self._net_generic)
        devices = net + NET.devices
        memory.write(devices, devices.to_bytes(8, "little") * 2)
        memory.put(net + NET.loopback, self._object(4096))
        for offset in (NET.proc, NET.proc_stat):
            memory.put(net + offset, self._object(256))

    def _set_up_spaces(self, task: int) -> None:
        """Give the task its credentials, those of root, and its name spaces (struct nsproxy)."""
        memory = self._cpu.memory
        credentials, spaces, names = self._object(256), self._object(64), self._object(512)
        for offset in (TASK.credentials, TASK.real_credentials):
            memory.put(task + offset, credentials)
        memory.put(task + TASK.name_spaces, spaces)
        memory.put(spaces + NAME_SPACES.uts, names)
        memory.put(spaces + NAME_SPACES.net, self.address("init_net"))
        for number, name in enumerate((b"Linux", b"emulated", b"", b"#1", b"x86_64")):
            memory.write(names + number * UTS_NAME.string_size, name)

    def run_as(self, task: int) -> None:
        """Have ``current`` be a task, or the system call's own where it is 0."""
        self._cpu.memory.put(self.current_at, task or self.main_task)

    def make_task(self, name: bytes, number: int) -> int:
        """Return a new ``struct task_struct``, a copy of the system call's own."""
        memory = self._cpu.memory
        task = self._object(TASK_SIZE)
        memory.write(task, memory.read(self.main_task, TASK_SIZE))
        memory.write(task + TASK.name, name[: TASK.name_size - 1].ljust(TASK.name_size, b"\0"))
        memory.put(task + TASK.pid, number, 4)
        memory.put(task + TASK.state, 0, 4)
        return task

    @property
    def net_generic(self) -> int:
        """What subsystems have in the network name space (struct net_generic), by their number."""
        return self._net_generic

    def net_exit_list(self) -> tuple[int, int]:
        """Return a list head, and the link of the network name space that is left."""
        return self._list_head, self.address("init_net") + NET.exit_list

    @property
    def current_at(self) -> int:
        """Where the processor has its task. From 6.2 to 6.14 that is in a structure (pcpu_hot)."""
        if HOT_VARIABLES.has("current_task"):
            return addresses.PER_CPU + self.address("pcpu_hot") + HOT_VARIABLES.current_task
        return addresses.PER_CPU + self.address("current_task")

    @property
    def preempt_count(self) -> int:
        """Where it is counted what keeps the task from being interrupted; 4 bytes."""
        if HOT_VARIABLES.has("preempt_count"):
            return addresses.PER_CPU + self.address("pcpu_hot") + HOT_VARIABLES.preempt_count
        return addresses.PER_CPU + self.address("__preempt_count")

    @property
    def jiffies(self) -> int:
        """Where the clock's ticks are."""
        return self.address("jiffies")


def _page_struct(address: int) -> int:
    """Return the ``struct page`` of memory in the direct map (virt_to_page)."""
    number = (address - addresses.DIRECT_MAP) // PAGE
    return addresses.VMEMMAP + number * addresses.PAGE_STRUCT_SIZE


def _cpu_info() -> bytes:
    """Return ``struct cpuinfo_x86`` as far as modules look at it."""
    words = [FEATURES.get(number, 0) for number in range(PROCESSOR.features_size // 4)]
    info = bytearray(PROCESSOR.size)
    struct.pack_into(f"<{len(words)}I", info, PROCESSOR.features, *words)
    for layout, name, value in _CPU_FIELDS:
        if PROCESSOR.has(name):
            struct.pack_into(layout, info, getattr(PROCESSOR, name), value)
    return bytes(info)
