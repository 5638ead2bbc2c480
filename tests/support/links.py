# SPDX-License-Identifier: Apache-2.0
"""An installation of these sources, with links by the names of kmod's tools."""

from pathlib import Path

from tests.support.release import build, install
from tests.support.sources import PROJECT

TOOLS = ("depmod", "insmod", "lsmod", "modinfo", "modprobe", "rmmod")
"""kmod's tools that kmodctl is when it is called by their names."""


def install_links(work: Path) -> Path:
    """Install what the sources make below ``work``; returns the directory with the links."""
    programs = install(build(PROJECT, work / "dist").wheel, work / "kmodd") / "bin"
    target = programs / "kmodctl-or-kmod"
    if not target.exists():
        target = programs / "kmodctl"
    links = work / "links"
    links.mkdir()
    for tool in TOOLS:
        (links / tool).symlink_to(target)
    return links
