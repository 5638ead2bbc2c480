# SPDX-License-Identifier: Apache-2.0
"""How a release's kernel was configured, as far as its module loader depends on it.

Distributions ship the configuration with the kernel. Without it the options are those that the
large distributions build with, and what the release's modules show.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from kmodd.kernelimage.places import find_in_root

CONFIG_PLACES = (
    "boot/config-{release}",
    "lib/modules/{release}/config",
    "lib/modules/{release}/build/.config",
    "usr/src/linux-headers-{release}/.config",
)
"""Where a root may hold a release's configuration, best first."""

CONFIG_MAX = 4 << 20
"""Bytes of a configuration that are read at most; Debian's has 260 KB."""

_LINE = re.compile(r'^(CONFIG_\w+)=(?:"(.*)"|(.*))$', re.MULTILINE)
_UNSET = re.compile(r"^# (CONFIG_\w+) is not set$", re.MULTILINE)

# Architectures name their choice each in its own way.
_PAGE_SIZES = {
    name.format(size): size << 10
    for size in (4, 8, 16, 32, 64, 256)
    for name in ("PAGE_SIZE_{}KB", "PARISC_PAGE_SIZE_{}KB", "ARM64_{}K_PAGES", "PPC_{}K_PAGES")
}


@dataclass(frozen=True, slots=True)
class BuildOptions:
    """The options of a kernel's build that a module can notice (init/Kconfig, kernel/module).

    ``signatures`` is None where it has to be told from the release's modules. ``page_size`` is in
    bytes. ``compiler`` is what the kernel says it was compiled with.
    """

    signatures: bool | None = None
    signatures_enforced: bool = False
    force_load: bool = True
    force_unload: bool = True
    livepatch: bool = True
    strict_rwx: bool = True
    kallsyms: bool = True
    kallsyms_all: bool = True
    missing_namespaces_allowed: bool = False
    page_size: int = 4096
    compiler: str = ""


def read_build_options(root: Path, release: str) -> BuildOptions:
    """Return the options that the configuration of ``release`` under ``root`` tells."""
    path = find_in_root(root, release, CONFIG_PLACES)
    try:
        if path is not None and path.stat().st_size <= CONFIG_MAX:
            return parse_build_options(path.read_text(encoding="utf-8", errors="replace"))
    except OSError:
        pass
    return BuildOptions()


def parse_build_options(text: str) -> BuildOptions:
    """Return the options in a kernel's ``.config``; what it does not mention is off."""
    options = dict.fromkeys(_UNSET.findall(text), "n")
    options |= {name: quoted or plain for name, quoted, plain in _LINE.findall(text)}
    if "CONFIG_MODULES" not in options:
        return BuildOptions()

    def on(name: str) -> bool:
        return options.get(f"CONFIG_{name}") == "y"

    return BuildOptions(
        signatures=on("MODULE_SIG"),
        signatures_enforced=on("MODULE_SIG_FORCE"),
        force_load=on("MODULE_FORCE_LOAD"),
        force_unload=on("MODULE_FORCE_UNLOAD"),
        livepatch=on("LIVEPATCH"),
        strict_rwx=on("STRICT_MODULE_RWX"),
        kallsyms=on("KALLSYMS"),
        kallsyms_all=on("KALLSYMS_ALL"),
        missing_namespaces_allowed=on("MODULE_ALLOW_MISSING_NAMESPACE_IMPORTS"),
        page_size=next((size for name, size in _PAGE_SIZES.items() if on(name)), 4096),
        compiler=options.get("CONFIG_CC_VERSION_TEXT", ""),
    )
