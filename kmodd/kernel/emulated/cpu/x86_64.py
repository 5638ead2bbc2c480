# SPDX-License-Identifier: Apache-2.0
"""An x86-64 processor: how functions are called on it, and how they call the kernel's.

A kernel function is a slot of 16 bytes that calls ``_TRAP``: a few instructions that store the
arguments and what a callee has to keep in the mailbox, and stop the processor. This program does
the function's work, writes the result into the mailbox, and goes on at ``_RESUME``. A register
read through the emulator's library costs 4 us, the whole mailbox 1 us.

The library is asked for addresses without translation (UC_TLB_VIRTUAL): with it, it cuts them
at 52 bits, and the kernel's could not be used.
"""

import struct
from dataclasses import dataclass

import unicorn
from unicorn import x86_const

from kmodd.kernel.emulated.cpu import addresses
from kmodd.kernel.emulated.cpu.memory import BadAddress, Memory, Region

SLICE = 10_000
"""Instructions between two ticks of the machine's clock."""

TRANSLATIONS_SIZE = 16 << 20
"""Bytes for what the emulator's library translates code to; it begins anew when they are full.
Its own choice is 1 GiB, of which what was once used is never given back."""

ARGUMENTS = 6
"""Arguments that come in registers (the psABI's; the kernel's functions have no floats)."""

_READ, _WRITE, _EXECUTE = 1, 2, 4
_MASK = (1 << 64) - 1

_EVENT, _SLOT, _RESULT, _TARGET = 0, 8, 16, 24
_SAVED = 32
"""Where in the mailbox the stack pointer and the registers are that a callee keeps."""
_GIVEN = 88
"""Where the arguments are."""
_SAVED_LAYOUT = struct.Struct("<7Q")
_GIVEN_LAYOUT = struct.Struct("<6Q")

_CALLED, _RETURNED = 1, 2

# The stack pointer and the callee's registers, in the order of the mailbox.
_KEPT_REGISTERS = (4, 3, 5, 12, 13, 14, 15)
# rdi, rsi, rdx, rcx, r8, r9
_ARGUMENT_REGISTERS = (7, 6, 2, 1, 8, 9)

_NOWHERE = 1
"""An address that no code is at: where the emulator is told to stop."""

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


class _Assembler:
    """Writes the glue."""

    def __init__(self, base: int) -> None:
        self._base = base
        self.code = bytearray()

    @property
    def here(self) -> int:
        return self._base + len(self.code)

    def move(self, register: int, word: int, *, load: bool) -> None:
        """Load a register from a word of the mailbox, or store it there."""
        prefix = 0x48 | (register >> 3) << 2
        self._with_word(bytes([prefix, 0x8B if load else 0x89, 5 | (register & 7) << 3]), word)

    def pop(self, word: int) -> None:
        self._with_word(b"\x8f\x05", word)

    def jump(self, word: int) -> None:
        self._with_word(b"\xff\x25", word)

    def event(self, number: int) -> None:
        """Store what has happened, and stop."""
        self._with_word(b"\xc7\x05", _EVENT, after=number.to_bytes(4, "little"))
        self.code += b"\xf4"

    def _with_word(self, instruction: bytes, word: int, after: bytes = b"") -> None:
        end = self.here + len(instruction) + 4 + len(after)
        distance = addresses.MAILBOX + word - end
        self.code += instruction + distance.to_bytes(4, "little", signed=True) + after


@dataclass(frozen=True, slots=True)
class Glue:
    """Where its entries are."""

    trap: int
    resume: int
    enter: int
    returned: int
    code: bytes


def _assemble() -> Glue:
    write = _Assembler(addresses.GLUE)
    trap = write.here
    write.pop(_SLOT)
    for number, register in enumerate(_ARGUMENT_REGISTERS):
        write.move(register, _GIVEN + 8 * number, load=False)
    for number, register in enumerate(_KEPT_REGISTERS):
        write.move(register, _SAVED + 8 * number, load=False)
    write.event(_CALLED)
    resume = write.here
    for number, register in enumerate(_KEPT_REGISTERS):
        write.move(register, _SAVED + 8 * number, load=True)
    write.move(0, _RESULT, load=True)
    write.code += b"\xfc\xc3"
    enter = write.here
    for number, register in enumerate(_ARGUMENT_REGISTERS):
        write.move(register, _GIVEN + 8 * number, load=True)
    write.move(_KEPT_REGISTERS[0], _SAVED, load=True)
    write.jump(_TARGET)
    returned = write.here
    write.move(0, _RESULT, load=False)
    write.event(_RETURNED)
    return Glue(trap, resume, enter, returned, bytes(write.code))


GLUE = _assemble()


@dataclass(frozen=True, slots=True)
class Trapped:
    """Code has called the kernel function in the slot at ``slot``."""

    slot: int
    arguments: tuple[int, ...]
    saved: tuple[int, ...]

    @property
    def stack(self) -> int:
        """Where the return address is; behind it are the arguments beyond the sixth."""
        return self.saved[0]


@dataclass(frozen=True, slots=True)
class Returned:
    """The called function has returned."""

    value: int


@dataclass(frozen=True, slots=True)
class Ticked:
    """A slice of instructions is over; ``at`` is the next one."""

    at: int


@dataclass(frozen=True, slots=True)
class Faulted:
    """The processor cannot go on at ``at``.

    ``access`` is read, write or execute for a fault at ``address``, and "" for an exception of
    ``vector``.
    """

    at: int
    access: str = ""
    address: int = 0
    is_protection: bool = False
    vector: int = 13


Event = Trapped | Returned | Ticked | Faulted

_ACCESSES = {
    unicorn.UC_MEM_READ_UNMAPPED: "read",
    unicorn.UC_MEM_READ_PROT: "read",
    unicorn.UC_MEM_WRITE_UNMAPPED: "write",
    unicorn.UC_MEM_WRITE_PROT: "write",
    unicorn.UC_MEM_FETCH_UNMAPPED: "execute",
    unicorn.UC_MEM_FETCH_PROT: "execute",
}
_PROTECTIONS = frozenset(
    {unicorn.UC_MEM_READ_PROT, unicorn.UC_MEM_WRITE_PROT, unicorn.UC_MEM_FETCH_PROT}
)
_INVALID_OPCODE = 6


class X86_64:  # noqa: N801  # its name
    """The processor with its memory; for one thread at a time."""

    def __init__(self) -> None:
        self._uc = unicorn.Uc(unicorn.UC_ARCH_X86, unicorn.UC_MODE_64)
        self._uc.ctl_set_tlb_mode(unicorn.UC_TLB_VIRTUAL)
        self._uc.ctl_set_tcg_buffer_size(TRANSLATIONS_SIZE)
        self._denied: tuple[int, int] = (0, 0)
        self._vector: int | None = None
        self.memory = Memory(self._attach)
        self.text = self.memory.add(addresses.TEXT, addresses.TEXT_SIZE, _READ | _EXECUTE)
        glue = self.memory.add(addresses.GLUE, addresses.GLUE_SIZE, _READ | _EXECUTE)
        glue.buffer[: len(GLUE.code)] = GLUE.code
        self._mail = self.memory.add(addresses.MAILBOX, 4096, _READ | _WRITE).buffer
        for base, size, permissions in (
            (addresses.DATA, addresses.DATA_SIZE, _READ | _WRITE),
            (addresses.PER_CPU, addresses.PER_CPU_SIZE, _READ | _WRITE),
            (addresses.VMEMMAP, addresses.VMEMMAP_SIZE, _READ | _WRITE),
            (addresses.MODULES, addresses.MODULES_SIZE, _READ | _WRITE | _EXECUTE),
        ):
            self.memory.add(base, size, permissions)
        self._uc.reg_write(x86_const.UC_X86_REG_GS_BASE, addresses.PER_CPU)
        self._add_hooks()
        self._pristine = self._uc.context_save()

    def _attach(self, region: Region, permissions: int) -> None:
        size = region.end - region.base
        self._uc.mem_map_ptr(region.base, size, permissions, region.host_address)

    def _add_hooks(self) -> None:
        invalid = unicorn.UC_HOOK_MEM_UNMAPPED | unicorn.UC_HOOK_MEM_PROT
        self._uc.hook_add(invalid, self._note_denied)
        self._uc.hook_add(unicorn.UC_HOOK_INTR, self._note_vector)
        port_in, port_out = x86_const.UC_X86_INS_IN, x86_const.UC_X86_INS_OUT
        self._uc.hook_add(unicorn.UC_HOOK_INSN, _read_port, aux1=port_in)
        self._uc.hook_add(unicorn.UC_HOOK_INSN, _write_port, aux1=port_out)

    def _note_denied(
        self, _uc: object, access: int, address: int, _size: int, _value: int, _data: object
    ) -> bool:
        self._denied = access, address & _MASK
        return False

    def _note_vector(self, uc: unicorn.Uc, vector: int, _data: object) -> None:
        self._vector = vector
        uc.emu_stop()

    def reset(self) -> None:
        """Give all registers the values that they had at the start."""
        self._uc.context_restore(self._pristine)

    def forget_code(self) -> None:
        """Translate all code anew: some of it has changed."""
        self._uc.ctl_flush_tb()

    def write_slot(self, slot: int, code: bytes = b"") -> None:
        """Make a function: ``code``, or a trap."""
        if not code:
            distance = GLUE.trap - (slot + 5)
            code = b"\xe8" + distance.to_bytes(4, "little", signed=True)
        start = slot - addresses.TEXT
        self.text.buffer[start : start + len(code)] = code

    def call(self, function: int, arguments: tuple[int, ...], stack: int) -> Event:
        """Call ``function`` with a stack that ends at ``stack``."""
        top = (stack & ~15) - 8
        self.memory.put(top, GLUE.returned)
        padded = (*arguments, 0, 0, 0, 0, 0, 0)[:ARGUMENTS]
        _GIVEN_LAYOUT.pack_into(self._mail, _GIVEN, *(each & _MASK for each in padded))
        # A symbol may say that it is beyond the end of the world.
        struct.pack_into("<2Q", self._mail, _TARGET, function & _MASK, top & _MASK)
        return self.run(GLUE.enter)

    def answer(self, trapped: Trapped, result: int) -> Event:
        """Return ``result`` from the kernel function that was called."""
        struct.pack_into("<Q", self._mail, _RESULT, result & _MASK)
        _SAVED_LAYOUT.pack_into(self._mail, _SAVED, *trapped.saved)
        return self.run(GLUE.resume)

    def run(self, at: int) -> Event:
        """Run from ``at`` to the next event."""
        mail = self._mail
        mail[0] = 0
        try:
            self._uc.emu_start(at, _NOWHERE, 0, SLICE)
        except unicorn.UcError as error:
            return self._fault(error)
        event = mail[0]
        if event == _CALLED:
            slot = int.from_bytes(mail[_SLOT : _SLOT + 8], "little") - 5
            given = _GIVEN_LAYOUT.unpack_from(mail, _GIVEN)
            return Trapped(slot, given, _SAVED_LAYOUT.unpack_from(mail, _SAVED))
        if event == _RETURNED:
            return Returned(int.from_bytes(mail[_RESULT : _RESULT + 8], "little"))
        here = self._uc.reg_read(x86_const.UC_X86_REG_RIP)
        if self._vector is not None:
            vector, self._vector = self._vector, None
            return Faulted(here, vector=vector)
        return Ticked(here)

    def _fault(self, error: unicorn.UcError) -> Event:
        at = self._uc.reg_read(x86_const.UC_X86_REG_RIP)
        if error.errno == unicorn.UC_ERR_INSN_INVALID:
            return Faulted(at, vector=_INVALID_OPCODE)
        kind, address = self._denied
        self._denied = 0, 0
        if kind not in _ACCESSES:
            return Faulted(at)
        if kind == unicorn.UC_MEM_FETCH_PROT and self._is_data(address):
            return self._trap_in_data(address)
        return Faulted(at, _ACCESSES[kind], address, kind in _PROTECTIONS)

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
        return self.run(GLUE.trap)

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
        region = memory.add(base, addresses.STACK_SIZE, _READ | _WRITE)
    return region.end - 64
