# SPDX-License-Identifier: Apache-2.0
"""What went wrong with code that cannot go on, and where; warnings, after which it does."""

import struct
from collections.abc import Callable, Iterator

from kmodd.kernel.emulated.abi.structures import BUG_ENTRY
from kmodd.kernel.emulated.hardware import addresses
from kmodd.kernel.emulated.hardware.events import Faulted
from kmodd.kernel.emulated.hardware.memory import BadAddress
from kmodd.kernel.emulated.hardware.x86_64 import X86_64
from kmodd.kernel.emulated.machine import crash
from kmodd.kernel.emulated.machine.crash import Crash, Scene
from kmodd.kernel.emulated.machine.images import Images
from kmodd.kernel.emulated.machine.log_lines import LogLines
from kmodd.kernel.emulated.machine.services import Services
from kmodd.kernel.emulated.modules.kallsyms import SymbolPlace
from kmodd.kernel.emulated.reporting.log import Level

_INVALID_OPCODE = 6
_UD2 = b"\x0f\x0b"
"""The instruction that BUG() and WARN() are compiled to."""

_AVX_PREFIXES = (b"\xc4", b"\xc5", b"\x62")
"""What instructions of AVX begin with, and in 64-bit code no others do that this one lacks."""

_WARNING, _ONCE, _DONE = 1, 2, 4
"""Flags of a ``struct bug_entry`` (include/asm-generic/bug.h)."""


class Faults:
    """Looks at the processor and its memory; for who holds them.

    ``symbol`` names an address, ``place`` tells where in a module it is.
    """

    def __init__(
        self,
        cpu: X86_64,
        images: Images,
        services: Services,
        log: LogLines,
        symbol: Callable[[int], str],
        place: Callable[[int], SymbolPlace],
    ) -> None:
        self._cpu = cpu
        self._memory = cpu.memory
        self._images = images
        self._services = services
        self._log = log
        self._symbol = symbol
        self._place = place

    def scene(self, at: int) -> Scene:
        """Describe where the code is."""
        registers = self._cpu.registers()
        return Scene(
            at=at,
            name=self._symbol,
            registers=registers,
            code=self._code_at(at),
            callers=tuple(self._callers(registers["RSP"])),
            modules=self._services.modules(),
            release=self._services.kernel_release,
            taints=self._services.taints(),
        )

    def blame(self, error: Exception, name: str, at: int) -> Crash:
        """Return the crash that ``error`` in the kernel function ``name`` is for its caller.

        ``at`` is the function's address. What no function should end with is a bug of this program.
        It ends the module's call alone, as an oops does: what the module holds is on its account,
        and nothing else of the kernel was under way. The log shows where it came from.
        """
        scene = self.scene(at)
        match error:
            case BadAddress():
                access = "write" if error.write else "read"
                return crash.page_fault(Faulted(at, access, error.address), scene)
            case MemoryError():
                return crash.out_of_place(f"kmodd: no memory is left for {name}", scene)
            case ArithmeticError() | LookupError() | ValueError() | struct.error():
                why = f"kmodd: {name} cannot make sense of its arguments ({error})"
                return crash.out_of_place(why, scene)
            case _:
                return crash.own_bug(error, name, scene)

    def past(self, fault: Faulted) -> int:
        """Return where the code goes on behind a warning; raise Crash for anything else."""
        if fault.access:
            raise crash.page_fault(fault, self.scene(fault.at))
        if fault.vector != _INVALID_OPCODE or self._read(fault.at, len(_UD2)) != _UD2:
            is_avx = fault.vector == _INVALID_OPCODE and self._read(fault.at, 1) in _AVX_PREFIXES
            raise crash.exception(fault.vector, self.scene(fault.at), is_avx=is_avx)
        flags, where = self._bug_entry(fault.at)
        if flags is None or not flags & _WARNING:
            raise crash.bug(where, self.scene(fault.at))
        if not flags & _DONE:
            self._services.taint("W")
            lines = crash.warning(where, self.scene(fault.at))
            self._services.printk(Level.WARNING, "\n".join(lines))
        return fault.at + len(_UD2)

    def report(self, error: Crash) -> None:
        """Log a crash."""
        if self._services.trial is not None:
            self._services.trial.crashed(error, map(self._place, error.places))
        self._log.flush()
        for line in error.lines:
            self._services.printk(Level.ALERT, line)
        if error.taint:
            self._services.taint(error.taint)

    def _code_at(self, at: int) -> str:
        before, after = self._read(at - 42, 42), self._read(at, 22)
        if not after:
            return "Unable to access opcode bytes at RIP"
        return f"{before.hex(' ')} <{after[:1].hex()}> {after[1:].hex(' ')}"

    def _callers(self, stack: int) -> Iterator[int]:
        """Yield the addresses on the stack that are in modules' code, as far as it reaches."""
        for at in range(stack & ~7, stack + 512, 8):
            try:
                word = self._memory.number(at)
            except BadAddress:
                return
            image = self._images.at(word) if word >= addresses.MODULES else None
            if image is not None and image.is_text(word):
                yield word

    def _read(self, address: int, size: int) -> bytes:
        try:
            return self._memory.read(address, size)
        except BadAddress:
            return b""

    def _bug_entry(self, at: int) -> tuple[int | None, str]:
        """Return the flags and the place of a BUG or WARN at ``at`` (struct bug_entry)."""
        image, memory = self._images.at(at), self._memory
        if image is None:
            return None, f"{at:#x}"
        start, size = image.bugs
        for entry in range(start, start + size - BUG_ENTRY.size + 1, BUG_ENTRY.size):
            if self._follow(entry + BUG_ENTRY.address) == at:
                file = self._follow(entry + BUG_ENTRY.file)
                line = memory.number(entry + BUG_ENTRY.line, 2)
                flags = memory.number(entry + BUG_ENTRY.flags, 2)
                if flags & _ONCE:
                    memory.put(entry + BUG_ENTRY.flags, flags | _DONE, 2)
                try:
                    return flags, f"{memory.text(file, 256)}:{line}"
                except BadAddress:
                    return flags, f"{at:#x}"
        return None, f"{at:#x}"

    def _follow(self, at: int) -> int:
        """Return where a distance from its own place leads."""
        return at + self._memory.number(at, 4, signed=True)
