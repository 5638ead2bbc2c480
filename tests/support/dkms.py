# SPDX-License-Identifier: Apache-2.0
"""A kernel's life in a bare Debian 13, with what is built for it by DKMS: by Debian's own tools.

The tools are dpkg with the kernel's hooks, DKMS, kernel-install and initramfs-tools; beneath them
is kmod, or kmodctl by its names.
"""

import re
import shutil
import subprocess
from pathlib import Path

from tests.support.apt import apt_of
from tests.support.debian import CACHE, locked
from tests.support.links import TOOLS
from tests.support.real_system import RealSystem

SUITE = "trixie"
PACKAGE = "acpi-call-dkms"
MODULE = "acpi_call"
NEXT = "9.9.9"
"""The version that the module's package is upgraded to."""

SOCKET = "/run/kmodd/admin/kmodd.sock"
DAEMON = ("/opt/kmodd/bin/kmodd", "serve", "--root", "/", "--config", "/tmp/kmodd.toml")
ASKED = {"KMODD_SOCKET": SOCKET}
"""Who is asked by the tools' names, where the daemon has an emulated kernel."""

LINKED = r"""
dpkg -i /packages/kmodd.deb >/dev/null
kmodd setup --divert >/dev/null
printf '[[socket]]\npath = "%s"\n' {socket} >/tmp/kmodd.toml
for tool in {tools}; do
    dpkg-divert --quiet --local --rename --divert /usr/sbin/$tool.kmod --add /usr/sbin/$tool
    ln -s /opt/kmodd/bin/kmodctl /usr/sbin/$tool
done
"""

UNLINKED = """
for tool in {tools}; do
    rm /usr/sbin/$tool
    dpkg-divert --quiet --local --rename --divert /usr/sbin/$tool.kmod --remove /usr/sbin/$tool
done
dpkg -P kmodd
"""

REFERENCE = """
mkdir -p /tmp/real && ln -sf /usr/bin/kmod /tmp/real/depmod && rm -rf /tmp/reference
/tmp/real/depmod -o /tmp/reference "$1"
cd /tmp/reference/lib/modules/"$1" && sha256sum modules.*
"""
"""What kmod's depmod makes of the tree, elsewhere."""

OTHER_TOOLS = tuple(each for each in TOOLS if each != "modprobe")
"""Those that setup does not link."""


def packages(place: Path, kmodd: Path) -> Path:
    """Have kmodd's package and a DKMS module's in ``place``, with the next version of that."""
    place.mkdir()
    shutil.copy(kmodd, place / "kmodd.deb")
    with locked(CACHE):
        kept = CACHE / "packages"
        kept.mkdir(exist_ok=True)
        apt = apt_of(SUITE, CACHE)
        name = apt.file_name(PACKAGE)
        if not (kept / name).exists():
            apt.download(PACKAGE, kept)
    first, files = place / "first.deb", place / "files"
    shutil.copy(kept / name, first)
    subprocess.run(["dpkg-deb", "-R", str(first), str(files)], check=True)
    (source,) = files.glob("usr/src/*")
    version = source.name.rpartition("-")[2]
    for path in (*files.glob("DEBIAN/*"), source / "dkms.conf"):
        path.write_text(re.sub(rf"(?m)\b{re.escape(version)}", NEXT, path.read_text()))
    source.rename(source.with_name(source.name.replace(version, NEXT)))
    command = ["dpkg-deb", "--root-owner-group", "-b", str(files), str(place / "next.deb")]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    shutil.rmtree(files)
    return place


def link(system: RealSystem) -> None:
    """Install kmodd's package, and have kmodctl be kmod's tools."""
    system.sh(LINKED.format(tools=" ".join(OTHER_TOOLS), socket=SOCKET))


def unlink(system: RealSystem) -> None:
    """Take both away again."""
    system.sh(UNLINKED.format(tools=" ".join(OTHER_TOOLS), socket=SOCKET))


def steps(release: str) -> dict[str, tuple[str, ...]]:
    """Return the commands of a kernel's life, in their order, each with what it is."""
    return {
        "a module's package is installed": ("dpkg", "-i", "/packages/first.deb"),
        "it is upgraded": ("dpkg", "-i", "/packages/next.deb"),
        "kernel-install adds the kernel": (
            *("kernel-install", "add", release, f"/boot/vmlinuz-{release}"),
        ),
        "the initial RAM disk is made anew": ("update-initramfs", "-u", "-k", release),
        "the module's package is removed": ("dpkg", "-P", PACKAGE),
        "the kernel is removed": (
            *("dpkg", "-P", "linux-headers-amd64", f"linux-headers-{release}"),
            f"linux-image-{release}",
        ),
    }


def published(system: RealSystem, release: str) -> dict[str, str]:
    """Return the hashes of the databases that are in force, and of the lists, by their names."""
    return _hashes(system.sh(f"cd /lib/modules/{release} && sha256sum modules.*"))


def made_by_kmod(system: RealSystem, release: str) -> dict[str, str]:
    """Return those of what kmod's own depmod makes of the same tree."""
    return _hashes(system.run("sh", "-euc", REFERENCE, "sh", release))


def _hashes(listing: str) -> dict[str, str]:
    return {name: digest for digest, name in map(str.split, listing.splitlines())}
