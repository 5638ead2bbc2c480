# SPDX-License-Identifier: Apache-2.0
"""What a kernel is before it has loaded a module: symbols, version magic, built-in modules."""

import re
from collections.abc import Mapping
from functools import cache

from kmodd.kernel.emulated.release.build_options import BuildOptions
from kmodd.kernelimage.questions import Answers
from kmodd.keys import Certificate
from kmodd.records import field, record

TYPED_IN = (6, 1)
"""The version of which the layouts are typed in (abi/structures), as Debian builds it."""

FROM_MODULES = "what the tree's modules import"

# "6.1.0-56-amd64" up to Debian 12, "6.12.43+deb13-amd64" after.
_DEBIAN_RELEASE = re.compile(r"\d+\.\d+\.\d+(-\d+|\+deb\d+)\S*-[a-z0-9]+")


@record
class CoreSymbol:
    """A symbol that the kernel itself exports. ``crc`` is None where no version is known."""

    crc: int | None = None
    gpl_only: bool = False
    namespace: str = ""


@record
class MachineType:
    """The machine a kernel is built for, as an ELF header names it."""

    bits: int
    byteorder: str
    number: int


@record
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


@record
class Builtins:
    """The modules that are part of the kernel.

    ``with_directory`` are those that have parameters, and so a directory in /sys/module.
    """

    names: frozenset[str] = frozenset()
    with_directory: frozenset[str] = frozenset()


@record
class Vmlinux:
    """What a kernel is before it has loaded a module.

    ``vermagic`` is empty and ``sample`` None where no module of the tree tells; then what depends
    on them is not checked. ``source`` says where ``symbols`` are known from. ``certificates`` are
    those of the keys that signatures are verified with, as far as the root has them. ``layouts``
    are those of its structures, None where they are not known (``untold`` says why), and
    ``per_cpu`` its variables of which each processor has its own, with their bytes. ``prototypes``
    are words for what its functions take and return (kernelimage.prototypes), as far as that is
    known.
    """

    release: str
    vermagic: str = ""
    sample: Sample | None = None
    symbols: Mapping[str, CoreSymbol] = field(default_factory=dict)
    source: str = FROM_MODULES
    builtins: Builtins = field(default_factory=Builtins)
    options: BuildOptions = field(default_factory=BuildOptions)
    certificates: tuple[Certificate, ...] = ()
    layouts: Answers | None = None
    per_cpu: Mapping[str, int] = field(default_factory=dict)
    prototypes: Mapping[str, str] = field(default_factory=dict)
    untold: str = ""

    @property
    def version(self) -> tuple[int, int]:
        """Version and patch level of the release; a release without is taken for the latest."""
        return _version_of(self.release)

    @property
    def why_not_run(self) -> str:
        """Why no module's code can be run here; empty where it can.

        Code has the layouts of its kernel's structures in it. Those of 6.1 are known to kmodd, and
        are no other kernel's.
        """
        if self.layouts is not None or self.version == TYPED_IN:
            return ""
        why = f": {self.untold}" if self.untold else ""
        return f"nothing tells of the structures of {self.release}{why}"

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


@cache
def _version_of(release: str) -> tuple[int, int]:
    found = re.match(r"(\d{1,5})\.(\d{1,5})", release)
    return (int(found[1]), int(found[2])) if found else (99, 0)
