# SPDX-License-Identifier: Apache-2.0
"""A root directory with one kernel release's modules in it."""

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class ModuleTree:
    """``root`` holds ``lib/modules/<release>``, and configuration where a test puts it."""

    root: Path
    release: str

    @property
    def directory(self) -> Path:
        """The module directory: ``lib/modules/<release>``, in ``usr`` where that is all."""
        in_usr = self.root / "usr/lib/modules" / self.release
        is_all = in_usr.is_dir() and not (self.root / "lib/modules").is_dir()
        return in_usr if is_all else self.root / "lib" / "modules" / self.release

    def copy(self, root: Path, *folders: str) -> "ModuleTree":
        """Copy what is below ``folders`` ("kernel/fs"; all when none is named), and the lists.

        They are true copies: hard links would change the link count, and so the ctime, of the
        originals and of every other copy, which tests of the change detection look at. Raises
        CalledProcessError where a folder is missing or the disk is full.
        """
        tree = ModuleTree(root=root, release=self.release)
        tree.directory.mkdir(parents=True)
        for listing in self.directory.glob("modules.*"):
            shutil.copy2(listing, tree.directory)
        every = [entry.name for entry in self.directory.iterdir() if entry.is_dir()]
        for folder in folders or every:
            target = tree.directory / folder
            target.parent.mkdir(parents=True, exist_ok=True)
            command = ["cp", "-a", "--reflink=auto", str(self.directory / folder), str(target)]
            subprocess.run(command, check=True)
        return tree
