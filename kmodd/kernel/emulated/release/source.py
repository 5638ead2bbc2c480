# SPDX-License-Identifier: Apache-2.0
"""Where it is known from what a release's kernel is before any module.

Its image says it, where the root has that. Without one, what the modules of a release can count on
is known from the ``Module.symvers`` that its headers package carries, or else from the modules
themselves: what they import and none of them exports, the kernel must offer.
"""

import logging
import re
import threading
from collections.abc import Callable, Iterable, Mapping, Set
from pathlib import Path
from typing import Protocol

from kmodd.errors import KernelImageError, ModuleFileError
from kmodd.kernel.emulated.abi.structures import QUESTIONS
from kmodd.kernel.emulated.release.build_options import read_build_options
from kmodd.kernel.emulated.release.certificates import (
    CERTIFICATE_PLACES,
    parse_certificates,
    read_certificates,
)
from kmodd.kernel.emulated.release.kernel_types import types_of
from kmodd.kernel.emulated.release.vmlinux import (
    FROM_MODULES,
    Builtins,
    CoreSymbol,
    MachineType,
    Sample,
    Vmlinux,
)
from kmodd.kernelimage.facts import ImageFacts
from kmodd.kernelimage.kept import ImageKeeper, facts_of
from kmodd.kernelimage.places import find_image, find_in_root
from kmodd.modulefile import ModuleFile
from kmodd.modulefile.exports import ExportedSymbol
from kmodd.modulefile.file import THIS_MODULE
from kmodd.modulefile.modinfo import common_vermagic
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

SAMPLED = 100
"""Modules that are looked into at most for one of the kernel's own build."""

COMPILER_MAX = 128
"""Bytes of a compiler's name that are kept."""

_DECLARATION = re.compile(rb"(?:\A|\0)([^.=\0]{1,64})\.parmtype=")

log = logging.getLogger(__name__)


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
    """Gives the Vmlinux that fits the tree as it is now; reads what lies beside the modules, too.

    What modules import is only known from the tree, and grows with it; but a symbol that a module
    of the tree has exported is never taken for the kernel's own, even when that module is gone.
    ``_lock`` guards the fields.
    """

    def __init__(
        self,
        root: Path,
        release: str,
        trees: Path,
        modules: Callable[[], Modules],
        images: ImageKeeper | None = None,
        listed: Callable[[], Modules] | None = None,
    ) -> None:
        """``trees`` is the directory of releases, ``modules`` tells the release's records.

        ``images`` keeps what the release's image says; without it the image is read each time.
        ``listed`` tells records of which only the path need be known, and is asked in place of
        ``modules`` where the image says the rest: that needs no reading of the tree.
        """
        self._release = release
        self._directory = trees / release
        self._lock = threading.Lock()
        self._exported: set[str] = set()
        self._seen: Modules | None = None
        self._vmlinux = Vmlinux(release)
        self._options = read_build_options(root, release)
        path = find_image(root, release)
        self._image, why = read_image(path, release, images)
        self._types = types_of(self._image, why, root, release, images)
        self._certificates = (
            *parse_certificates(self._image.certificates if self._image else ()),
            *read_certificates(find_in_root(root, release, CERTIFICATE_PLACES)),
        )
        self._symbols, self._source = _symbols_of(self._image, path, find_symvers(root, release))
        tells_all = self._symbols is not None and self._image is not None and self._image.vermagic
        self.reads_the_tree = listed is None or not tells_all
        self._modules = listed if listed is not None and tells_all else modules

    def treeless(self) -> Vmlinux:
        """Return what is known of the kernel without its tree's modules."""
        return Vmlinux(self._release, layouts=self._types.layouts, untold=self._types.untold)

    def __call__(self) -> Vmlinux:
        """Return the Vmlinux; the same value while the tree is the same."""
        with self._lock:
            modules = self._modules()
            if modules is not self._seen:
                self._seen = modules
                derived = self._derive(modules)
                if derived != self._vmlinux:
                    self._vmlinux = derived
            return self._vmlinux

    def _derive(self, modules: Modules) -> Vmlinux:
        image = self._image
        vermagic = (image.vermagic if image else "") or common_vermagic(
            each.vermagic for each in modules.values()
        )
        sample = self._sample(modules, vermagic)
        symbols = self._symbols
        if symbols is None:
            for module in modules.values():
                self._exported.update(name for name, _ in module.exports)
            symbols = symbols_from_modules(modules.values(), self._exported)
            if sample is not None and sample.layout_crc is not None:
                symbols["module_layout"] = CoreSymbol(sample.layout_crc)
        return Vmlinux(
            release=self._release,
            vermagic=vermagic,
            sample=sample,
            symbols=symbols,
            source=self._source,
            builtins=read_builtins(self._directory, image.directories if image else None),
            options=self._options,
            certificates=self._certificates,
            layouts=self._types.layouts,
            per_cpu=self._types.per_cpu,
            prototypes=self._types.prototypes,
            untold=self._types.untold,
        )

    def _sample(self, modules: Modules, vermagic: str) -> Sample | None:
        """Look into the first module of the kernel's own build that can be read.

        Of those whose version magic is not known without, no more than SAMPLED are looked into.
        """
        own = [module for module in modules.values() if module.vermagic == vermagic]
        unknown = [module for module in modules.values() if not module.vermagic][:SAMPLED]
        for module in sorted(own or unknown, key=lambda each: not each.path.startswith("kernel/")):
            try:
                with ModuleFile.open(str(self._directory / module.path)) as file:
                    if own or file.modinfo_get("vermagic") == vermagic:
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


def read_builtins(directory: Path, with_directory: Set[str] | None = None) -> Builtins:
    """Return the modules that ``modules.builtin`` in ``directory`` names.

    Which have a directory in /sys/module the kernel's image tells (``with_directory``), or else, as
    near as it can, ``modules.builtin.modinfo``: those that declare parameters.
    """
    try:
        paths = (directory / "modules.builtin").read_text(errors="surrogateescape").split()
    except OSError:
        paths = []
    names = frozenset(map(module_name_of_path, paths))
    if with_directory is not None:
        return Builtins(names, frozenset(with_directory))
    if not names:
        return Builtins()
    try:
        modinfo = (directory / "modules.builtin.modinfo").read_bytes()
    except OSError:
        modinfo = b""
    declared = {name.decode("utf-8", "replace") for name in _DECLARATION.findall(modinfo)}
    return Builtins(names, frozenset(declared))


def read_image(
    path: Path | None, release: str, images: ImageKeeper | None
) -> tuple[ImageFacts | None, str]:
    """Return what the image says, or why there is none that is of use; the log is told of that.

    An image of another release is of none.
    """
    if path is None:
        return None, "there is no image of its kernel"
    try:
        facts = facts_of(str(path), images, QUESTIONS)
    except KernelImageError as error:
        log.warning("the kernel's image tells nothing: %s", error.message)
        return None, error.message
    if facts.release != release:
        why = f"{path} is no image of {release}, but of {facts.release}"
        log.warning("%s", why)
        return None, why
    return facts, ""


def _symbols_of(
    image: ImageFacts | None, path: Path | None, symvers: Path | None
) -> tuple[dict[str, CoreSymbol] | None, str]:
    """Return the kernel's own symbols, None where only the modules tell, and where from."""
    if image is not None and image.exports is not None:
        return _core_symbols(image.exports), str(path)
    if symvers is not None and symvers.stat().st_size <= SYMVERS_MAX:
        told = read_symvers(symvers.read_bytes())
        if told:
            return _core_symbols(told.values()), str(symvers)
    return None, FROM_MODULES


def _core_symbols(exports: Iterable[ExportedSymbol]) -> dict[str, CoreSymbol]:
    return {
        name: CoreSymbol(crc or None, gpl_only, namespace)
        for name, crc, gpl_only, namespace in exports
    }


def find_symvers(root: Path, release: str) -> Path | None:
    """Return the release's Module.symvers under ``root``, if there is one."""
    return find_in_root(root, release, SYMVERS_PLACES)


def symbols_from_modules(
    modules: Iterable[TreeModule], exported: Set[str]
) -> dict[str, CoreSymbol]:
    """Return the symbols that ``modules`` import and that are not in ``exported``."""
    imported: set[str] = set()
    for module in modules:
        imported.update(module.imports)
    return dict.fromkeys(imported - exported, CoreSymbol())
