# SPDX-License-Identifier: Apache-2.0
"""Initial RAM disks as distributions make them, with kmod's tools or kmodctl beneath.

What makes them knows modules and tools by absolute paths, and so runs in a mount namespace that has
another kernel's modules in /lib/modules and links to kmodctl among the programs in /usr/sbin.
"""

import hashlib
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from kmodd.database import trie
from tests.support.links import TOOLS
from tests.support.require import require
from tests.support.tree import ModuleTree

_MOUNT = """
mount --bind "$1" /lib/modules || exit
mount --bind "$2" /boot || exit
[ -z "$3" ] || mount --bind "$3" /usr/sbin || exit
shift 3
exec "$@"
"""

SETTINGS = Path("/etc/initramfs-tools")
"""What mkinitramfs goes by unless it is told otherwise (initramfs-tools(7))."""

DRACUT_MODULES = "base kernel-modules dm"
"""Modules of dracut's, of which the last asks modinfo whether it is of use."""

CPIO = b"070701"
"""How an archive begins (cpio(5), the new format)."""

NOT_COMPARED = ("modules.weakdep", "build-parameter.txt")
"""What depmod has come to write since kmod 30, and what dracut was called with."""


@dataclass(frozen=True, slots=True)
class Sandbox:
    """This machine with the modules of ``tree``, and the kernel's configuration from ``boot``.

    ``programs`` takes the place of /usr/sbin.
    """

    tree: ModuleTree
    boot: Path
    programs: Path | None = None

    def through(self) -> tuple[str, ...]:
        """Return the words that a command in the sandbox begins with; skips where none may be."""
        unshare = require("unshare", "a mount namespace needs unshare")
        require(Path("/lib/modules").is_dir(), "another kernel's modules cover /lib/modules")
        enter = (unshare, "--map-root-user", "--mount", "sh", "-c")
        tried = subprocess.run([*enter, ":"], capture_output=True, text=True, check=False)
        require(tried.returncode == 0, f"mount namespaces are not allowed: {tried.stderr.strip()}")
        places = (self.tree.directory.parent, self.boot, self.programs or "")
        return (*enter, _MOUNT, "sh", *map(str, places))


def programs_with_links(links: Path, directory: Path) -> Path:
    """Make a copy of /usr/sbin in which kmod's tools are those of ``links``; returns it."""
    shutil.copytree("/usr/sbin", directory, symlinks=True)
    for tool in TOOLS:
        place = directory / tool
        place.unlink(missing_ok=True)
        place.symlink_to((links / tool).resolve())
    return directory


def settings_with(directory: Path, modules: str) -> Path:
    """Copy mkinitramfs's settings, for an image with just these modules; returns the directory."""
    require(SETTINGS.is_dir(), "the package initramfs-tools-core is missing")
    shutil.copytree(SETTINGS, directory, symlinks=True)
    (directory / "modules").write_text(modules)
    (directory / "conf.d").mkdir(exist_ok=True)
    (directory / "conf.d/test").write_text("MODULES=list\nCOMPRESS=gzip\n")
    return directory


def mkinitramfs(sandbox: Sandbox, image: Path, settings: Path = SETTINGS) -> tuple[str, ...]:
    """Return the command that writes ``image`` with Debian's tool; skips where there is none."""
    tool = require("mkinitramfs", "the package initramfs-tools-core is missing")
    words = (tool, "-d", str(settings), "-o", str(image), sandbox.tree.release)
    return (*sandbox.through(), *words)


def dracut(sandbox: Sandbox, image: Path, modules: str) -> tuple[str, ...]:
    """Return the command that writes ``image`` with just these modules; skips without dracut.

    It goes by no settings of the machine's, but by those of an empty directory beside the image.
    """
    tool = require("dracut", "the package dracut-core is missing")
    settings = image.with_suffix(".conf.d")
    settings.mkdir()
    return (
        *(*sandbox.through(), tool, "--quiet", "--force", "--tmpdir", str(image.parent)),
        *("--conf", "/dev/null", "--confdir", str(settings), "-m", DRACUT_MODULES),
        *("--no-hostonly", "--no-hostonly-cmdline", "--no-compress", "--no-early-microcode"),
        *("--drivers", modules, str(image), sandbox.tree.release),
    )


def contents(image: Path, directory: Path) -> Mapping[str, object]:
    """Unpack an image into the new ``directory``; returns what is in it, by path.

    It is one of mkinitramfs, or a bare archive. Left out are kmod's tools, in whose place are links
    and what they lead to where kmodctl was beneath. A file has its hash, a link its target, an
    index its entries: kmod 30 lays it out otherwise.
    """
    with image.open("rb") as archive:
        bare = archive.read(len(CPIO)) == CPIO
        archive.seek(0)
        directory.mkdir()
        if bare:
            cpio = require("cpio", "an image is an archive of cpio's")
            words = [cpio, "-i", "-d", "--quiet", "--no-absolute-filenames"]
        else:
            unpack = require("unmkinitramfs", "the package initramfs-tools-core is missing")
            words = [unpack, str(image), str(directory)]
        subprocess.run(words, cwd=directory, stdin=archive, check=True, capture_output=True)
    found = {str(path.relative_to(directory)): path for path in directory.rglob("*")}
    return {
        name: _content(path)
        for name, path in found.items()
        if (path.is_symlink() or path.is_file())
        and not path.name.startswith("kmodctl")
        and path.name not in (*TOOLS, *NOT_COMPARED)
    }


def _content(path: Path) -> object:
    if path.is_symlink():
        return path.readlink()
    data = path.read_bytes()
    if path.match("modules.*.bin") and data:
        return list(trie.read_index(data))
    return hashlib.sha256(data).hexdigest()
