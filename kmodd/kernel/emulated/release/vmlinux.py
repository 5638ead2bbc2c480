# SPDX-License-Identifier: Apache-2.0
"""The part of the emulated kernel that is there before any module: symbols, version magic.

Nobody hands us a kernel image to read. What the modules of a release can count on is known from
the ``Module.symvers`` that its headers package carries, or else from the modules themselves:
what they import and none of them exports, the kernel must offer.
"""

import re
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Set
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Protocol

from kmodd.errors import ModuleFileError
from kmodd.kernel.emulated.release.build_options import BuildOptions, read_build_options
from kmodd.kernel.emulated.release.certificates import (
    CERTIFICATE_PLACES,
    Certificate,
    read_certificates,
)
from kmodd.modulefile import ModuleFile
from kmodd.modulefile.file import THIS_MODULE
from kmodd.modulefile.symvers import read_symvers
from kmodd.names import module_name_of_path

SYMVERS_PLACES = (
    "lib/modules/{release}/build/Module.symvers",
    "lib/modules/{release}/Module.symvers",
    "usr/src/linux-headers-{release}/Module.symvers",
)
"""Where the root may hold a release's Module.symvers, best first."""

SYMVERS_MAX = 64 << 20
"""Bytes of a Module.symvers that are read at most; Debian's has 2 MB."""

COMPILER_MAX = 128
"""Bytes of a compiler's name that are kept."""

FROM_MODULES = "what the tree's modules import"

# "6.1.0-56-amd64" up to Debian 12, "6.12.43+deb13-amd64" after.
_DEBIAN_RELEASE = re.compile(r"\d+\.\d+\.\d+(-\d+|\+deb\d+)\S*-[a-z0-9]+")
_DECLARATION = re.compile(rb"(?:\A|\0)([^.=\0]{1,64})\.parmtype=")


@dataclass(frozen=True, slots=True)
class CoreSymbol:
    """A symbol that the kernel itself exports. ``crc`` is None where no version is known."""

    crc: int | None = None
    gpl_only: bool = False
    namespace: str = ""


@dataclass(frozen=True, slots=True)
class MachineType:
    """The machine a kernel is built for, as an ELF header names it."""

    bits: int
    byteorder: str
    number: int


@dataclass(frozen=True, slots=True)
class Sample:
    """What one of the release's modules shows of the kernel that it was built with.

    ``key`` identifies the key that it is signed with, empty where it is not signed. ``layout_crc``
    is the version of ``struct module`` that it was built against, ``struct_module_size`` that
    struct's bytes. ``compiler`` is what compiled it.
    """

    machine: MachineType
    key: bytes = b""
    layout_crc: int | None = None
    struct_module_size: int = 0
    retpoline: bool = False
    compiler: str = ""


@dataclass(frozen=True, slots=True)
class Builtins:
    """The modules that are part of the kernel.

    ``with_directory`` are those that have parameters, and so a directory in /sys/module.
    """

    names: frozenset[str] = frozenset()
    with_directory: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Vmlinux:
    """What a kernel is before it has loaded a module.

    ``vermagic`` is empty and ``sample`` None where no module of the tree tells; then what depends
    on them is not checked. ``source`` says where ``symbols`` are known from. ``certificates`` are
    those of the keys that modules are signed with, as far as the root has them.
    """

    release: str
    vermagic: str = ""
    sample: Sample | None = None
    symbols: Mapping[str, CoreSymbol] = field(default_factory=dict)
    source: str = FROM_MODULES
    builtins: Builtins = field(default_factory=Builtins)
    options: BuildOptions = field(default_factory=BuildOptions)
    certificates: tuple[Certificate, ...] = ()

    @property
    def version(self) -> tuple[int, int]:
        """Version and patch level of the release; a release without is taken for the latest."""
        return _version_of(self.release)

    @property
    def machine(self) -> MachineType | None:
        """The machine that the kernel is built for."""
        return self.sample.machine if self.sample else None

    @property
    def struct_module_size(self) -> int:
        """Bytes of ``struct module``; 0 where not known."""
        return self.sample.struct_module_size if self.sample else 0

    @property
    def key(self) -> bytes:
        """Identifies the key that the release's modules are signed with; empty where none is."""
        return self.sample.key if self.sample else b""

    @property
    def checks_signatures(self) -> bool:
        """Whether the kernel minds signatures at all (CONFIG_MODULE_SIG)."""
        configured = self.options.signatures
        return bool(self.key) if configured is None else configured

    @property
    def refuses_missing_versions(self) -> bool:
        """Whether a symbol that a module has no version for is refused.

        Linux lets it pass and warns once; Debian has changed that ("module: Disable matching
        missing version CRC"); its kernels are known by their compiler and the form of their
        releases.
        """
        return "Debian" in self.compiler and _DEBIAN_RELEASE.fullmatch(self.release) is not None

    @property
    def compiler(self) -> str:
        """What the kernel was compiled with, as far as that is known."""
        return self.options.compiler or (self.sample.compiler if self.sample else "")

    @property
    def has_modversions(self) -> bool:
        """Whether the kernel was built with CONFIG_MODVERSIONS."""
        return "modversions" in self.vermagic.split()


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


@cache
def _version_of(release: str) -> tuple[int, int]:
    found = re.match(r"(\d{1,5})\.(\d{1,5})", release)
    return (int(found[1]), int(found[2])) if found else (99, 0)


class VmlinuxSource:
    """Gives the Vmlinux that fits the tree as it is now; reads what lies beside the modules, too.

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
        self._options = read_build_options(root, release)
        self._certificates = read_certificates(find_in_root(root, release, CERTIFICATE_PLACES))
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
        vermagic = common_vermagic(modules.values())
        sample = self._sample(modules, vermagic)
        symbols = self._symvers
        if symbols is None:
            symbols = symbols_from_modules(modules.values(), self._exported)
            if sample is not None and sample.layout_crc is not None:
                symbols["module_layout"] = CoreSymbol(sample.layout_crc)
        return Vmlinux(
            release=self._release,
            vermagic=vermagic,
            sample=sample,
            symbols=symbols,
            source=self._source,
            builtins=read_builtins(self._directory),
            options=self._options,
            certificates=self._certificates,
        )

    def _read_symvers(self) -> None:
        path = find_symvers(self._root, self._release)
        if path is None or path.stat().st_size > SYMVERS_MAX:
            return
        symbols = read_symvers(path.read_bytes())
        if symbols:
            self._symvers = {
                name: CoreSymbol(symbol.crc or None, symbol.gpl_only, symbol.namespace)
                for name, symbol in symbols.items()
            }
            self._source = str(path)

    def _sample(self, modules: Modules, vermagic: str) -> Sample | None:
        """Look into the first module of the kernel's own build that can be read."""
        own = [module for module in modules.values() if module.vermagic == vermagic]
        for module in sorted(own, key=lambda each: not each.path.startswith("kernel/")):
            try:
                with ModuleFile.open(str(self._directory / module.path)) as file:
                    return sample_of(file)
            except (OSError, ModuleFileError):
                continue
        return None


def sample_of(module: ModuleFile) -> Sample:
    """Return what ``module`` shows of the kernel that it was built with.

    Raises ModuleFileError where the file lies about itself.
    """
    elf = module.elf
    signature = module.signature()
    this_module = module.section(THIS_MODULE)
    versions = (version for version in module.versions() if version.name == "module_layout")
    layout = next(versions, None)
    comment = module.section(".comment")
    compiler = module.section_data(comment).strip(b"\0").partition(b"\0")[0] if comment else b""
    return Sample(
        machine=MachineType(elf.bits, elf.byteorder, elf.machine),
        key=signature.key_id if signature else b"",
        layout_crc=layout.crc if layout else None,
        struct_module_size=this_module.size if this_module else 0,
        retpoline=module.modinfo_get("retpoline") is not None,
        compiler=compiler[:COMPILER_MAX].decode("utf-8", "replace"),
    )


def read_builtins(directory: Path) -> Builtins:
    """Return the modules that ``modules.builtin`` and its ``.modinfo`` in ``directory`` name."""
    try:
        paths = (directory / "modules.builtin").read_text(errors="surrogateescape").split()
    except OSError:
        return Builtins()
    try:
        modinfo = (directory / "modules.builtin.modinfo").read_bytes()
    except OSError:
        modinfo = b""
    declared = {name.decode("utf-8", "replace") for name in _DECLARATION.findall(modinfo)}
    return Builtins(frozenset(map(module_name_of_path, paths)), frozenset(declared))


def find_symvers(root: Path, release: str) -> Path | None:
    """Return the release's Module.symvers under ``root``, if there is one."""
    return find_in_root(root, release, SYMVERS_PLACES)


def find_in_root(root: Path, release: str, places: Iterable[str]) -> Path | None:
    """Return the first of these files of a release's build that there is under ``root``.

    A link to the build that is absolute is one within the root.
    """
    for place in places:
        path = root / place.format(release=release)
        build = root / f"lib/modules/{release}/build"
        if path.is_relative_to(build) and build.is_symlink() and build.readlink().is_absolute():
            path = root / build.readlink().relative_to("/") / path.relative_to(build)
        if path.is_file():
            return path
    return None


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
