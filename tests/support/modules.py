# SPDX-License-Identifier: Apache-2.0
"""The kernel modules of tests/modules: where they are, and how to build them anew."""

import re
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

from tests.support.require import require
from tests.support.systems import DebianSystem
from tests.support.tree import ModuleTree

SOURCES = Path(__file__).parents[1] / "modules"
MODULES = tuple(sorted(SOURCES.glob("*.ko")))
"""The checked-in module files."""


def checked_in_release() -> str:
    """Return the kernel release that the checked-in modules were built for."""
    (release,) = {_release_of(module) for module in MODULES}
    return release


def module_tree(root: Path) -> ModuleTree:
    """Make a root with the checked-in modules in ``extra``, and the lists that depmod asks for."""
    tree = ModuleTree(root=root, release=checked_in_release())
    extra = tree.directory / "extra"
    extra.mkdir(parents=True)
    for module in MODULES:
        shutil.copy(module, extra)
    order = "".join(f"extra/{module.name}\n" for module in MODULES)
    (tree.directory / "modules.order").write_text(order)
    (tree.directory / "modules.builtin").touch()
    (tree.directory / "modules.builtin.modinfo").touch()
    return tree


def build(output: Path, headers: Path) -> None:
    """Build the modules of tests/modules into ``output``; skips without a compiler.

    Raises CalledProcessError, with what make said on stderr, where a module does not build.
    """
    for tool in ("make", "gcc", "strip", "python3"):
        require(tool, f"building modules needs {tool}")
    subprocess.run(
        ["make", "-s", "-C", str(SOURCES), f"OUT={output}", f"KDIR={headers}"],
        check=True,
        capture_output=True,
        text=True,
    )


def build_folder(sources: Path, output: Path, headers: Path, names: Iterable[str]) -> None:
    """Build the modules ``names`` of a folder with a Kbuild into ``output``, a copy of it; skips
    without a compiler.

    They may use what nobody exports: that a kernel does not load them is for it to say.
    Raises CalledProcessError as ``build`` does.
    """
    for tool in ("make", "gcc", "strip"):
        require(tool, f"building modules needs {tool}")
    shutil.copytree(sources, output)
    command = [
        "make",
        "-s",
        "-j2",
        "-C",
        str(headers),
        f"M={output}",
        "KBUILD_MODPOST_WARN=1",
        "modules",
    ]
    subprocess.run(command, check=True, capture_output=True, text=True)
    files = [str(output / f"{name}.ko") for name in names]
    subprocess.run(["strip", "--strip-debug", *files], check=True)


def build_in(system: DebianSystem, output: Path) -> None:
    """Build the modules of tests/modules in a system, against its headers, into ``output``.

    Raises CalledProcessError as ``build`` does.
    """
    output.mkdir(exist_ok=True)
    command = ["make", "-s", "OUT=/tmp/built", f"KDIR={system.headers}"]
    directories = {"sources": SOURCES, "built": output}
    system.run(command, directories, cwd="/tmp/sources").check_returncode()


def _release_of(module: Path) -> str:
    """The first word of vermagic, found without the reader that is under test."""
    found = re.search(rb"\0vermagic=(\S+) ", module.read_bytes())
    assert found is not None, f"{module} has no vermagic"
    return found[1].decode()
