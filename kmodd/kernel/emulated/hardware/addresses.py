# SPDX-License-Identifier: Apache-2.0
"""Where things are in the emulated machine (Documentation/x86/x86_64/mm.rst)."""

USER = 0x00007F0000000000
"""The buffers of those who use files. None of it is the machine's own memory."""

DIRECT_MAP = 0xFFFF888000000000
"""What modules allocate, at the kernel's addresses for all physical memory."""
DIRECT_MAP_SIZE = 512 << 20

VMEMMAP = 0xFFFFEA0000000000
"""A ``struct page`` for each page of ``DIRECT_MAP``."""
PAGE_STRUCT_SIZE = 64
VMEMMAP_SIZE = (DIRECT_MAP_SIZE >> 12) * PAGE_STRUCT_SIZE

STACKS = 0xFFFFC90000000000
"""A stack for each system call under way; nothing lies between them."""
STACK_SIZE = 16 << 10
STACK_DISTANCE = 64 << 10

PER_CPU = 0xFFFF8880F0000000
"""The variables of the only processor. Their symbols are offsets into this."""
PER_CPU_SIZE = 4 << 20
PER_CPU_OF_MODULES = 1 << 20
"""Where in it the variables of modules and the allocations begin."""

TEXT = 0xFFFFFFFF81000000
"""The kernel's functions, 16 bytes each."""
TEXT_SIZE = 4 << 20
SLOT_SIZE = 16

TRAMPOLINE = 0xFFFFFFFF82000000
"""The code that connects the machine with this program, and the words they exchange."""
TRAMPOLINE_SIZE = 4096
MAILBOX = TRAMPOLINE + TRAMPOLINE_SIZE

DATA = 0xFFFFFFFF83000000
"""The kernel's variables, and the functions that are not known to be any."""
DATA_SIZE = 64 << 20

MODULES = 0xFFFFFFFFC0000000
MODULES_SIZE = 0x3F000000
"""Where modules are; module_table.py gives each its place."""
