# SPDX-License-Identifier: Apache-2.0
"""An x86-64 processor: how functions are called on it, and how they call the kernel's.

A call of a kernel function stops the processor; trampoline.py says how.

The library is asked for addresses without translation (UC_TLB_VIRTUAL): with it, it cuts them
at 52 bits, and the kernel's could not be used. Each page that code touches is asked of this program
(UC_HOOK_TLB_FILL). By itself the library lets it be read, or written, as was wanted last, and what
is done by turns, as with every stack, takes fifty times as long.
"""

import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import unicorn
from unicorn import x86_const

from kmodd.kernel.emulated.hardware import addresses, trampoline
from kmodd.kernel.emulated.hardware.events import Event, Faulted, Returned, Ticked, Trapped
from kmodd.kernel.emulated.hardware.lockup_detector import LockupDetector
from kmodd.kernel.emulated.hardware.memory import (
    EXECUTE,
    PAGE,
    READ,
    WRITE,
    BadAddress,
    Memory,
    Region,
)

SLICE = 10_000
"""Instructions between two ticks of the machine's clock, where they are counted (see
lockup_detector.py)."""

TRANSLATIONS_SIZE = 16 << 20
"""Bytes for what the emulator's library translates code to; it begins anew when they are full.
Its own choice is 1 GiB, of which what was once used is never given back."""

ROOM = 2700 << 20
"""Bytes of addresses that a processor takes: 1.6 GiB for its memory, 1 GiB that the emulator's
library maps for translations whatever it uses of them, and some for their administration. Where
they are not to be had, the library ends the process."""

PATH_MAX = 1000
"""Stretches of code without a jump that are told of, where a way is followed."""

ARGUMENTS = 6
"""Arguments that come in registers (the psABI's; the kernel's functions have no floats)."""

_MASK = (1 << 64) - 1

GENERAL_REGISTERS = {
    "RAX": x86_const.UC_X86_REG_RAX,
    "RBX": x86_const.UC_X86_REG_RBX,
    "RCX": x86_const.UC_X86_REG_RCX,
    "RDX": x86_const.UC_X86_REG_RDX,
    "RSI": x86_const.UC_X86_REG_RSI,
    "RDI": x86_const.UC_X86_REG_RDI,
    "RBP": x86_const.UC_X86_REG_RBP,
    "R08": x86_const.UC_X86_REG_R8,
    "R09": x86_const.UC_X86_REG_R9,
    "R10": x86_const.UC_X86_REG_R10,
    "R11": x86_const.UC_X86_REG_R11,
    "R12": x86_const.UC_X86_REG_R12,
    "R13": x86_const.UC_X86_REG_R13,
    "R14": x86_const.UC_X86_REG_R14,
    "R15": x86_const.UC_X86_REG_R15,
}
"""What an oops shows, in its order."""


_WANTED = {
    unicorn.UC_MEM_READ: READ,
    unicorn.UC_MEM_WRITE: WRITE,
    unicorn.UC_MEM_FETCH: EXECUTE,
}
_ACCESSES = {READ: "read", WRITE: "write", EXECUTE: "execute"}
_TELLS_ADDRESS = unicorn.UC_HOOK_MEM_UNMAPPED | unicorn.UC_HOOK_MEM_PROT
_INVALID_OPCODE = 6
_INTERRUPT_FLAG = 0x200
_INTERRUPTS_ON = 2 | _INTERRUPT_FLAG
"""EFLAGS with IF, and the bit that is always set: none comes, but code looks at it."""


def import_library() -> None:
    """Import what the emulator's library does not before its first processor of this kind."""
    unicorn.Uc(unicorn.UC_ARCH_X86, unicorn.UC_MODE_64)


class X86_64:  # noqa: N801  # its name
    """The processor with its memory; for one thread at a time."""

    def __init__(self) -> None:
        self._uc = unicorn.Uc(unicorn.UC_ARCH_X86, unicorn.UC_MODE_64)
        # The one with the most of what cpuid.py says of the processor.
        self._uc.ctl_set_cpu_model(x86_const.UC_CPU_X86_EPYC_ROME)
        self._uc.ctl_set_tlb_mode(unicorn.UC_TLB_VIRTUAL)
        self._uc.ctl_set_tcg_buffer_size(TRANSLATIONS_SIZE)
        # It is given no address to stop at, which would be looked up at each start.
        self._uc.ctl_exits_enabled(True)
        self._denied: tuple[int, int] | None = None
        self._grants_all = False
        self._vector: int | None = None
        self._limit = 0
        self._detector = LockupDetector(self._uc.emu_stop)
        self.memory = Memory(self._attach)
        self.text = self.memory.add(addresses.TEXT, addresses.TEXT_SIZE, READ | EXECUTE)
        code = self.memory.add(addresses.TRAMPOLINE, addresses.TRAMPOLINE_SIZE, READ | EXECUTE)
        code.buffer[: len(trampoline.TRAMPOLINE.code)] = trampoline.TRAMPOLINE.code
        self._mail = self.memory.add(addresses.MAILBOX, 4096, READ | WRITE).buffer
        for base, size, permissions in (
            (addresses.DATA, addresses.DATA_SIZE, READ | WRITE),
            (addresses.PER_CPU, addresses.PER_CPU_SIZE, READ | WRITE),
            (addresses.VMEMMAP, addresses.VMEMMAP_SIZE, READ | WRITE),
            (addresses.MODULES, addresses.MODULES_SIZE, READ | WRITE | EXECUTE),
        ):
            self.memory.add(base, size, permissions)
        self._uc.reg_write(x86_const.UC_X86_REG_GS_BASE, addresses.PER_CPU)
        self._uc.reg_write(x86_const.UC_X86_REG_EFLAGS, _INTERRUPTS_ON)
        self._add_hooks()
        self._pristine = self._uc.context_save()

    def _attach(self, region: Region) -> None:
        size = region.end - region.base
        self._uc.mem_map_ptr(region.base, size, region.permissions, region.host_address)

    def _add_hooks(self) -> None:
        self._uc.hook_add(unicorn.UC_HOOK_TLB_FILL, self._give_page)
        self._uc.hook_add(unicorn.UC_HOOK_INTR, self._note_vector)
        port_in, port_out = x86_const.UC_X86_INS_IN, x86_const.UC_X86_INS_OUT
        self._uc.hook_add(unicorn.UC_HOOK_INSN, _read_port, aux1=port_in)
        self._uc.hook_add(unicorn.UC_HOOK_INSN, _write_port, aux1=port_out)

    def _give_page(self, _uc: object, page: int, access: int, entry: Any, _data: object) -> bool:
        """Let code have a page, for all that may be done there, or note that it may not."""
        permissions, wanted = self.memory.permissions(page), _WANTED[access]
        if not permissions & wanted:
            self._denied = wanted, page
            if not self._grants_all:
                return False
            permissions = wanted
        entry.paddr, entry.perms = page, permissions
        return True

    def _note_vector(self, uc: unicorn.Uc, vector: int, _data: object) -> None:
        self._vector = vector
        uc.emu_stop()

    def reset(self) -> None:
        """Give all registers the values that they had at the start; what follows is a new call."""
        self._uc.context_restore(self._pristine)
        self._count(0)
        self._detector.watch()

    @property
    def interrupts_on(self) -> bool:
        """Whether code finds interrupts enabled (IF)."""
        return bool(self._uc.reg_read(x86_const.UC_X86_REG_EFLAGS) & _INTERRUPT_FLAG)

    @interrupts_on.setter
    def interrupts_on(self, are_on: bool) -> None:
        flags = self._uc.reg_read(x86_const.UC_X86_REG_EFLAGS) & ~_INTERRUPT_FLAG
        self._uc.reg_write(x86_const.UC_X86_REG_EFLAGS, flags | _INTERRUPT_FLAG * are_on)

    def close(self) -> None:
        """Run nothing any more, so that all of it goes with whoever has it."""
        self._detector.close()

    def forget_code(self) -> None:
        """Translate all code anew: some of it has changed."""
        self._uc.ctl_flush_tb()

    def write_slot(self, slot: int, code: bytes = b"") -> None:
        """Make a function: ``code``, or a trap."""
        if not code:
            distance = trampoline.TRAMPOLINE.trap - (slot + 5)
            code = b"\xe8" + distance.to_bytes(4, "little", signed=True)
        start = slot - addresses.TEXT
        self.text.buffer[start : start + len(code)] = code

    def call(self, function: int, arguments: tuple[int, ...], stack: int) -> Event:
        """Call ``function`` with a stack that ends at ``stack``."""
        top = (stack & ~15) - 8
        self.memory.put(top, trampoline.TRAMPOLINE.returned)
        padded = (*arguments, 0, 0, 0, 0, 0, 0)[:ARGUMENTS]
        trampoline.GIVEN_LAYOUT.pack_into(
            self._mail, trampoline.GIVEN, *(each & _MASK for each in padded)
        )
        # A symbol may say that it is beyond the end of the world.
        struct.pack_into("<2Q", self._mail, trampoline.TARGET, function & _MASK, top & _MASK)
        return self.run(trampoline.TRAMPOLINE.enter)

    def answer(self, trapped: Trapped, result: int) -> Event:
        """Return ``result`` from the kernel function that was called."""
        struct.pack_into("<Q", self._mail, trampoline.RESULT, result & _MASK)
        trampoline.SAVED_LAYOUT.pack_into(self._mail, trampoline.SAVED, *trapped.saved)
        return self.run(trampoline.TRAMPOLINE.resume)

    @contextmanager
    def following(self, path: list[int]) -> Iterator[None]:
        """Have ``path`` told where each stretch of code begins that is run, up to PATH_MAX."""

        def note(_uc: object, address: int, _size: int, _data: object) -> None:
            if len(path) < PATH_MAX:
                path.append(address)

        # What is translated already tells nobody.
        self.forget_code()
        hook = self._uc.hook_add(unicorn.UC_HOOK_BLOCK, note)
        try:
            yield
        finally:
            self._uc.hook_del(hook)
            self.forget_code()

    def run(self, at: int) -> Event:
        """Run from ``at`` to the next event."""
        mail = self._mail
        mail[0] = 0
        self._denied = None
        failed = unicorn.UC_ERR_OK
        self._detector.runs += 1
        try:
            self._uc.emu_start(at, 0, 0, self._limit)
        except unicorn.UcError as error:
            failed = error.errno
        finally:
            self._detector.runs += 1
        if failed != unicorn.UC_ERR_OK:
            return self._fault(failed)
        event = mail[0]
        if event == trampoline.CALLED:
            slot = int.from_bytes(mail[trampoline.SLOT : trampoline.SLOT + 8], "little") - 5
            given = trampoline.GIVEN_LAYOUT.unpack_from(mail, trampoline.GIVEN)
            return Trapped(slot, given, trampoline.SAVED_LAYOUT.unpack_from(mail, trampoline.SAVED))
        if event == trampoline.RETURNED:
            return Returned(
                int.from_bytes(mail[trampoline.RESULT : trampoline.RESULT + 8], "little")
            )
        here = self._uc.reg_read(x86_const.UC_X86_REG_RIP)
        if self._vector is not None:
            vector, self._vector = self._vector, None
            return Faulted(here, vector=vector)
        self._count(SLICE)
        return Ticked(here)

    def _count(self, limit: int) -> None:
        """Run so many instructions at a time from now on, or any number where it is 0."""
        if limit != self._limit:
            self._limit = limit
            # What is translated already counts as it did.
            self.forget_code()

    def _fault(self, failed: int) -> Event:
        at = self._uc.reg_read(x86_const.UC_X86_REG_RIP)
        if failed == unicorn.UC_ERR_INSN_INVALID:
            return Faulted(at, vector=_INVALID_OPCODE)
        if self._denied is None:
            return Faulted(at)
        wanted, page = self._denied
        if wanted != EXECUTE:
            address = self._address_in(page, at)
        else:
            # An instruction may begin on the page before.
            address = at if page <= at < page + PAGE else page
            if self._is_data(address):
                return self._trap_in_data(address)
        is_protection = bool(self.memory.permissions(address))
        return Faulted(at, _ACCESSES[wanted], address, is_protection)

    def _address_in(self, page: int, at: int) -> int:
        """Return which address in ``page`` the instruction at ``at`` wants, by running it again.

        There is a hook that is told, but no store is quick while it is there.
        """
        told = list[int]()

        def note(
            _uc: object, _access: int, address: int, _size: int, _value: int, _data: object
        ) -> bool:
            told.append(address & _MASK)
            return False

        hook = self._uc.hook_add(_TELLS_ADDRESS, note)
        self._grants_all = True
        try:
            with suppress(unicorn.UcError):
                self._uc.emu_start(at, 0, 0, 1)
        finally:
            self._grants_all = False
            self._uc.hook_del(hook)
            self._uc.ctl(unicorn.UC_CTL_TLB_FLUSH, unicorn.UC_CTL_IO_WRITE)
            self.forget_code()
        return told[0] if told else page

    def _is_data(self, address: int) -> bool:
        return addresses.DATA <= address < addresses.DATA + addresses.DATA_SIZE

    def _trap_in_data(self, address: int) -> Event:
        """Something among the variables was called: make the trap that its slot would have made."""
        stack = self._uc.reg_read(x86_const.UC_X86_REG_RSP) - 8 & _MASK
        try:
            self.memory.put(stack, address + 5)
        except BadAddress:
            return Faulted(address, "write", stack)
        self._uc.reg_write(x86_const.UC_X86_REG_RSP, stack)
        return self.run(trampoline.TRAMPOLINE.trap)

    def registers(self) -> dict[str, int]:
        """Return what an oops shows."""
        read = self._uc.reg_read
        shown = {name: read(number) for name, number in GENERAL_REGISTERS.items()}
        shown["RSP"] = read(x86_const.UC_X86_REG_RSP)
        shown["EFLAGS"] = read(x86_const.UC_X86_REG_EFLAGS)
        return shown


def _read_port(_uc: object, _port: int, size: int, _data: object) -> int:
    """Nothing answers at any port: all bits are set."""
    return (1 << 8 * size) - 1


def _write_port(_uc: object, _port: int, _size: int, _value: int, _data: object) -> None:
    """Nothing listens at any port."""


def stack_of(memory: Memory, number: int) -> int:
    """Return the end of the stack of that number."""
    base = addresses.STACKS + number * addresses.STACK_DISTANCE
    try:
        region = memory.region(base)
    except BadAddress:
        region = memory.add(base, addresses.STACK_SIZE, READ | WRITE)
    return region.end - 64
