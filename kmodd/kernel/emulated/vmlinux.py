# SPDX-License-Identifier: Apache-2.0
"""The part of the emulated kernel that is there before any module: symbols, version magic.

Nobody hands us a kernel image to read. What the modules of a release can count on is known from
the ``Module.symvers`` that its headers package carries, or else from the modules themselves:
what they import and none of them exports, the kernel must offer.
"""

import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Set
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from kmodd.errors import ModuleFileError
from kmodd.modulefile import ModuleFile

SYMVERS_PLACES = (
    "lib/modules/{release}/build/Module.symvers",
    "lib/modules/{release}/Module.symvers",
    "usr/src/linux-headers-{release}/Module.symvers",
)
"""Where the root may hold a release's Module.symvers, best first."""

SYMVERS_MAX = 64 << 20
"""Bytes of a Module.symvers that are read at most; Debian's has 2 MB."""

FROM_MODULES = "what the tree's modules import"


@dataclass(frozen=True, slots=True)
class CoreSymbol:
    """A symbol that the kernel itself exports. ``crc`` is None where no version is known."""

    crc: int | None = None
    gpl_only: bool = False
    namespace: str = ""


@dataclass(frozen=True, slots=True)
class Machine:
    """The machine a kernel is built for, as an ELF header names it."""

    bits: int
    byteorder: str
    number: int


@dataclass(frozen=True, slots=True)
class Vmlinux:
    """What a kernel is before it has loaded a module.

    ``vermagic`` is empty and ``machine`` None where no module of the tree tells; then neither is
    checked. ``signed`` tells whether the release's modules are signed, so that an unsigned one
    taints. ``source`` says where ``symbols`` are known from.
    """

    release: str
    vermagic: str = ""
    machine: Machine | None = None
    signed: bool = False
    symbols: Mapping[str, CoreSymbol] = field(default_factory=dict)
    source: str = FROM_MODULES


class TreeModule(Protocol):
    """What this file needs to know of a module of the tree."""

    @property
    def path(self) -> str:
        """The file, relative to the release's directory."""

    @property
    def imports(self) -> tuple[str, ...]:
        """The symbols that the module needs."""

    @property
    def exports(self) -> tuple[tuple[str, int], ...]:
        """The symbols that the module offers, with their CRCs."""

    @property
    def vermagic(self) -> str:
        """The module's version magic."""


Modules = Mapping[str, TreeModule]


class VmlinuxSource:
    """Gives the Vmlinux that fits the tree as it is now.

    What modules import is only known from the tree, and grows with it; but a symbol that a module
    of the tree has exported is never taken for the kernel's own, even when that module is gone.
    ``_lock`` guards the fields.
    """

    def __init__(
        self, root: Path, release: str, trees: Path, modules: Callable[[], Modules]
    ) -> None:
        """``trees`` is the directory of releases, ``modules`` tells the release's records."""
        self._root = root
        self._release = release
        self._directory = trees / release
        self._modules = modules
        self._lock = threading.Lock()
        self._exported: set[str] = set()
        self._seen: Modules | None = None
        self._vmlinux = Vmlinux(release)
        self._symvers: dict[str, CoreSymbol] | None = None
        self._source = FROM_MODULES
        self._read_symvers()

    def __call__(self) -> Vmlinux:
        """Return the Vmlinux; the same value while the tree is the same."""
        with self._lock:
            modules = self._modules()
            if modules is not self._seen:
                self._seen = modules
                self._vmlinux = self._derive(modules)
            return self._vmlinux

    def _derive(self, modules: Modules) -> Vmlinux:
        for module in modules.values():
            self._exported.update(name for name, _ in module.exports)
        symbols = self._symvers
        if symbols is None:
            symbols = symbols_from_modules(modules.values(), self._exported)
        machine, signed = self._sample(modules)
        return Vmlinux(
            release=self._release,
            vermagic=common_vermagic(modules.values()),
            machine=machine,
            signed=signed,
            symbols=symbols,
            source=self._source,
        )

    def _read_symvers(self) -> None:
        path = find_symvers(self._root, self._release)
        if path is None or path.stat().st_size > SYMVERS_MAX:
            return
        symbols = read_symvers(path.read_text(encoding="utf-8", errors="replace"))
        if symbols:
            self._symvers, self._source = symbols, str(path)

    def _sample(self, modules: Modules) -> tuple[Machine | None, bool]:
        """Look at the first module that can be read: its machine, and whether it is signed."""
        for module in modules.values():
            try:
                with ModuleFile.open(str(self._directory / module.path)) as file:
                    elf = file.elf
                    machine = Machine(elf.bits, elf.byteorder, elf.machine)
                    return machine, file.signature() is not None
            except (OSError, ModuleFileError):
                continue
        return None, False


def find_symvers(root: Path, release: str) -> Path | None:
    """Return the release's Module.symvers under ``root``, if there is one."""
    for place in SYMVERS_PLACES:
        path = root / place.format(release=release)
        build = path.parent
        if build.is_symlink() and build.readlink().is_absolute():
            path = root / build.readlink().relative_to("/") / path.name
        if path.is_file():
            return path
    return None


def read_symvers(text: str) -> dict[str, CoreSymbol]:
    """Return the kernel's own symbols of a Module.symvers (Documentation/kbuild/modules.rst).

    A line has, separated by tabs: CRC, symbol, module, kind of export, namespace. Lines of
    modules, and lines that do not have this form, are passed over.
    """
    symbols: dict[str, CoreSymbol] = {}
    for line in text.splitlines():
        fields = line.split("\t")
        if len(fields) < 4 or fields[2] != "vmlinux":
            continue
        try:
            crc = int(fields[0], 16)
        except ValueError:
            continue
        namespace = fields[4] if len(fields) > 4 else ""
        symbols[fields[1]] = CoreSymbol(crc or None, fields[3].endswith("_GPL"), namespace)
    return symbols


def symbols_from_modules(
    modules: Iterable[TreeModule], exported: Set[str]
) -> dict[str, CoreSymbol]:
    """Return the symbols that ``modules`` import and that are not in ``exported``."""
    imported: set[str] = set()
    for module in modules:
        imported.update(module.imports)
    return dict.fromkeys(imported - exported, CoreSymbol())


def common_vermagic(modules: Iterable[TreeModule]) -> str:
    """Return the version magic that most of ``modules`` carry; empty where none has one."""
    counts = Counter(module.vermagic for module in modules if module.vermagic)
    return counts.most_common(1)[0][0] if counts else ""
