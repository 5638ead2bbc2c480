# SPDX-License-Identifier: Apache-2.0
"""The emulated kernel: a module table, and the system calls that change it."""

import errno
import os
import threading
from bisect import insort
from collections.abc import Callable, Iterable

from kmodd.errors import KernelError, ModuleFileError, Reason
from kmodd.kernel.base import InsertFlags, KernelIdentity, LoadedModule, LogRecord
from kmodd.kernel.emulated import loader
from kmodd.kernel.emulated.layout import PAGE, module_size
from kmodd.kernel.emulated.loader import Refusal, Resident, Surroundings
from kmodd.kernel.emulated.log import KernelLog, Level
from kmodd.kernel.emulated.vmlinux import CoreSymbol, Vmlinux
from kmodd.modulefile import MAX_IMAGE, Compression, ModuleFile, decompress, detect_compression

MODULES_VADDR = 0xFFFFFFFFC0000000
"""Where x86-64 places modules (Documentation/x86/x86_64/mm.rst)."""

LOG_CAPACITY = 16384
"""Records that the log keeps."""


class EmulatedKernel:
    """A kernel that loads genuine module files, without running their code.

    ``_lock`` guards the table, the taints and the addresses; a system call holds it for its
    whole length, as no module code runs that could call back.
    """

    kind = "emulated"
    compressions = frozenset(Compression)
    runs_init = False

    def __init__(self, release: str, vmlinux: Callable[[], Vmlinux]) -> None:
        """Boot. ``vmlinux`` is asked at every load, as the tree that it is derived from grows."""
        self.release = release
        self._vmlinux = vmlinux
        self._lock = threading.Lock()
        self._residents: dict[str, Resident] = {}
        self._exports: dict[str, tuple[CoreSymbol, Resident]] = {}
        self._ranges: list[tuple[int, int]] = []
        self._listed: dict[str, LoadedModule] = {}
        self._listing: tuple[LoadedModule, ...] = ()
        self._taints: set[str] = set()
        self._log = KernelLog(LOG_CAPACITY)
        self._log.printk(Level.NOTICE, f"Linux version {release} (kmodd, emulated)")

    def identity(self) -> KernelIdentity:
        """Return the version magic and where the symbols are known from."""
        vmlinux = self._vmlinux()
        return KernelIdentity(vmlinux.vermagic, vmlinux.source)

    def modules(self) -> tuple[LoadedModule, ...]:
        """Return the loaded modules, the newest first."""
        return self._listing

    def module(self, name: str) -> LoadedModule | None:
        """Return the loaded module ``name``, if there is one."""
        return self._listed.get(name)

    def finit_module(self, fd: int, parameters: str, flags: InsertFlags) -> None:
        """Load the module file open at ``fd``, decompressing it where need be."""
        try:
            size = os.fstat(fd).st_size
            if size > MAX_IMAGE:
                raise ModuleFileError("", f"larger than {MAX_IMAGE} bytes")
            data = os.pread(fd, size, 0)
            if detect_compression(data[:8]) is not Compression.NONE:
                data = decompress(data, path="")
        except ModuleFileError as error:
            self._log.printk(Level.ERR, error.why)
            raise KernelError(
                error.reason, error.why, errno=errno.EINVAL, log=(error.why,)
            ) from error
        except OSError as error:
            raise KernelError(
                Reason.KERNEL_REFUSED,
                f"cannot read the module: {error.strerror}",
                errno=error.errno or errno.EIO,
            ) from error
        self._load(data, parameters, flags)

    def init_module(self, image: bytes, parameters: str, flags: InsertFlags) -> None:
        """Load the module ``image``."""
        self._load(image, parameters, flags)

    def delete_module(self, name: str, *, force: bool = False) -> None:
        """Unload ``name``; the order of the checks is that of delete_module(2)."""
        with self._lock:
            resident = self._residents.get(name)
            if resident is None:
                raise KernelError(
                    Reason.MODULE_NOT_LOADED, f"module {name} is not loaded", module=name
                )
            if resident.users:
                users = " ".join(resident.users)
                raise KernelError(
                    Reason.MODULE_IN_USE,
                    f"module {name} is in use by {users}",
                    module=name,
                    detail=users,
                )
            if resident.has_init and not resident.has_exit:
                if not force:
                    raise KernelError(
                        Reason.MODULE_BUSY, f"module {name} has no exit function", module=name
                    )
                self._taints.add("R")
            self._drop(resident)

    def read_log(self, after: int = -1) -> tuple[LogRecord, ...]:
        """Return the records still in the log after ``after``."""
        return self._log.read(after)

    def wait_log(self, after: int, timeout: float) -> tuple[LogRecord, ...]:
        """Return the records after ``after``, waiting up to ``timeout`` seconds for one."""
        return self._log.wait(after, timeout)

    def close(self) -> None:
        """End the waiting of those who follow the log."""
        self._log.close()

    def _load(self, image: bytes, parameters: str, flags: InsertFlags) -> None:
        name = ""
        with self._lock, self._log.capture() as lines:
            try:
                module = loader.read_image(image, self._log.printk)
                vmlinux = self._vmlinux()
                name = loader.check_header(module, vmlinux, self._log.printk)
                around = Surroundings(vmlinux, self._exports, self._taints, self._log.printk)
                resident = self._admit(module, name, parameters, flags, around)
            except Refusal as refusal:
                raise loader.refusal_as_error(refusal, name, lines) from refusal
            except ModuleFileError as error:
                self._log.printk(Level.ERR, f"{name}: {error.why}")
                defect = Refusal(error.reason, errno.ENOEXEC, error.why)
                raise loader.refusal_as_error(defect, name, lines) from error
            self._add(resident)

    def _admit(
        self,
        module: ModuleFile,
        name: str,
        parameters: str,
        flags: InsertFlags,
        around: Surroundings,
    ) -> Resident:
        """Pass ``module`` through the kernel's checks in the kernel's order (load_module)."""
        printk = self._log.printk
        loader.check_symbol_table(module, name, printk)
        versions = loader.symbol_versions(module, flags)
        loader.check_layout_version(name, around, versions)
        resident = Resident(name, module_size(module), module.has_init(), module.has_exit())
        loader.check_vermagic(module, resident, around, flags)
        loader.take_taints(module, resident, around)
        if name in self._residents:
            raise Refusal(
                Reason.MODULE_ALREADY_LOADED, errno.EEXIST, f"module {name} is loaded already"
            )
        loader.take_signature_taint(module, resident, around)
        resident.uses = loader.resolve_symbols(module, resident, around, versions)
        resident.exports = dict(loader.symbols_exported(module))
        loader.check_exports(resident, around)
        loader.set_parameters(module, name, parameters, printk)
        return resident

    def _add(self, resident: Resident) -> None:
        resident.address = self._take_range(resident.size)
        self._residents[resident.name] = resident
        self._exports |= {name: (symbol, resident) for name, symbol in resident.exports.items()}
        for used in resident.uses:
            self._residents[used].users.insert(0, resident.name)
        self._list((resident.name, *resident.uses))

    def _drop(self, resident: Resident) -> None:
        del self._residents[resident.name], self._listed[resident.name]
        self._ranges.remove((resident.address, resident.size))
        for symbol in resident.exports:
            del self._exports[symbol]
        for used in resident.uses:
            self._residents[used].users.remove(resident.name)
        self._list(resident.uses)

    def _take_range(self, size: int) -> int:
        """Take the lowest gap that ``size`` bytes and a guard page fit in."""
        address = MODULES_VADDR
        for start, length in self._ranges:
            if address + size + PAGE <= start:
                break
            address = start + length + PAGE
        insort(self._ranges, (address, size))
        return address

    def _list(self, changed: Iterable[str]) -> None:
        """Make the listing anew; readers take the reference without the lock."""
        for name in changed:
            self._listed[name] = self._residents[name].as_listed()
        self._listing = tuple(self._listed[name] for name in reversed(self._residents))
