# SPDX-License-Identifier: Apache-2.0
"""What connects the x86-64 processor with this program: some code of its own, and a mailbox.

A kernel function is a slot of 16 bytes that calls ``trap``: a few instructions that store the
arguments and what a callee has to keep in the mailbox, and stop the processor. This program does
the function's work, writes the result into the mailbox, and goes on at ``resume``. A register
read through the emulator's library costs 4 us, the whole mailbox 1 us.
"""

import struct
from dataclasses import dataclass

from kmodd.kernel.emulated.hardware import addresses

EVENT, SLOT, RESULT, TARGET = 0, 8, 16, 24
SAVED = 32
"""Where in the mailbox the stack pointer and the registers are that a callee keeps."""
GIVEN = 88
"""Where the arguments are."""
SAVED_LAYOUT = struct.Struct("<7Q")
GIVEN_LAYOUT = struct.Struct("<6Q")

CALLED, RETURNED = 1, 2

# The stack pointer and the callee's registers, in the order of the mailbox.
_KEPT_REGISTERS = (4, 3, 5, 12, 13, 14, 15)
# rdi, rsi, rdx, rcx, r8, r9
_ARGUMENT_REGISTERS = (7, 6, 2, 1, 8, 9)


class _Assembler:
    """Writes the trampoline."""

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
        self._with_word(b"\xc7\x05", EVENT, after=number.to_bytes(4, "little"))
        self.code += b"\xf4"

    def _with_word(self, instruction: bytes, word: int, after: bytes = b"") -> None:
        end = self.here + len(instruction) + 4 + len(after)
        distance = addresses.MAILBOX + word - end
        self.code += instruction + distance.to_bytes(4, "little", signed=True) + after


@dataclass(frozen=True, slots=True)
class Trampoline:
    """Where its entries are."""

    trap: int
    resume: int
    enter: int
    returned: int
    code: bytes


def _assemble() -> Trampoline:
    write = _Assembler(addresses.TRAMPOLINE)
    trap = write.here
    write.pop(SLOT)
    for number, register in enumerate(_ARGUMENT_REGISTERS):
        write.move(register, GIVEN + 8 * number, load=False)
    for number, register in enumerate(_KEPT_REGISTERS):
        write.move(register, SAVED + 8 * number, load=False)
    write.event(CALLED)
    resume = write.here
    for number, register in enumerate(_KEPT_REGISTERS):
        write.move(register, SAVED + 8 * number, load=True)
    write.move(0, RESULT, load=True)
    write.code += b"\xfc\xc3"
    enter = write.here
    for number, register in enumerate(_ARGUMENT_REGISTERS):
        write.move(register, GIVEN + 8 * number, load=True)
    write.move(_KEPT_REGISTERS[0], SAVED, load=True)
    write.jump(TARGET)
    returned = write.here
    write.move(0, RESULT, load=False)
    write.event(RETURNED)
    return Trampoline(trap, resume, enter, returned, bytes(write.code))


TRAMPOLINE = _assemble()
