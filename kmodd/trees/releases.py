# SPDX-License-Identifier: Apache-2.0
"""The releases under one root, each with the database in force for it."""

import re
import threading
from collections.abc import Callable, Mapping
from pathlib import Path

from kmodd.database.reading import Progress
from kmodd.errors import Reason, TreeError
from kmodd.state import RecordStore
from kmodd.trees.tree import Generation, Tree, TreeOptions, no_tree


class Trees:
    """All releases under a root. ``_changed`` guards the table of trees and the count of swaps,
    and wakes those who wait for another generation.
    """

    def __init__(
        self,
        root: Path,
        release: str,
        *,
        publish: bool = True,
        store: RecordStore | None = None,
        modprobe_config: tuple[Path, ...] = (),
        command_line: str = "",
        trusted_only: bool = False,
    ) -> None:
        """``release`` is the kernel's own, meant where a call names none.

        The other arguments are those of TreeOptions.
        """
        self.root = root
        self.release = release
        self.directory = modules_directory(root)
        self._options = TreeOptions(
            root=root,
            publish=publish,
            store=store,
            modprobe_config=modprobe_config,
            swapped=self._note_swap,
            command_line=command_line,
            trusted_only=trusted_only,
        )
        self._listeners: list[Callable[[], None]] = []
        self._changed = threading.Condition()
        self._trees: dict[str, Tree] = {}
        self._swaps = 0

    def releases(self) -> tuple[str, ...]:
        """Return the names of the releases that have a directory, in order."""
        return releases_in(self.directory)

    def in_force(self, release: str = "") -> Generation | None:
        """Return the generation in force without building one."""
        tree = self._trees.get(release or self.release)
        return tree.generation if tree else None

    def all_in_force(self) -> Mapping[str, Generation]:
        """Return the generation in force of every release that has one, in order."""
        with self._changed:
            found = ((name, tree.generation) for name, tree in sorted(self._trees.items()))
            return {name: generation for name, generation in found if generation is not None}

    def current(self, release: str = "") -> Generation:
        """Return the generation in force; build the first one.

        Raises TreeError (TREE_NOT_FOUND) where the release has no directory.
        """
        return self.in_force(release) or self.rebuild(release)

    def rebuild(
        self, release: str = "", *, progress: Progress | None = None, insist: bool = False
    ) -> Generation:
        """Read a release's tree anew; see ``Tree.rebuild``."""
        return self.tree(release).rebuild(progress=progress, insist=insist)

    def confirm(self, generation: Generation) -> Generation:
        """Return the generation that tells what is on disk; ``generation``'s number if it does."""
        current = self.current(generation.release)
        if current.number != generation.number or self.tree(generation.release).is_fresh():
            return current
        return self.rebuild(generation.release)

    def tree(self, release: str = "") -> Tree:
        """Return one release's tree; raises TreeError where it never had a directory."""
        release = release or self.release
        if "/" in release or release in ("", ".", "..") or "\0" in release:
            raise TreeError(Reason.INVALID_NAME, f"{release!r} cannot be the name of a release")
        with self._changed:
            tree = self._trees.get(release)
            if tree is None:
                directory = self.directory / release
                if not directory.is_dir():
                    raise no_tree(directory)
                tree = self._trees[release] = Tree(directory, self._options)
            return tree

    def forget_missing(self) -> None:
        """Drop the databases of releases whose directory is gone."""
        present = set(self.releases())
        with self._changed:
            gone = [tree for release, tree in self._trees.items() if release not in present]
        for tree in gone:
            tree.drop()

    def wait_swap(self, seen: int, timeout: float) -> int:
        """Return the count of swaps once it is not ``seen``, or after ``timeout`` seconds."""
        with self._changed:
            self._changed.wait_for(lambda: self._swaps != seen, timeout)
            return self._swaps

    def tell(self, listener: Callable[[], None]) -> None:
        """Have ``listener`` called after every swap, on the thread that brought it about."""
        with self._changed:
            self._listeners.append(listener)

    def _note_swap(self) -> None:
        with self._changed:
            self._swaps += 1
            self._changed.notify_all()
            listeners = tuple(self._listeners)
        for listener in listeners:
            listener()


def modules_directory(root: Path) -> Path:
    """Return the directory of module trees under the system root ``root``."""
    return root / "lib" / "modules"


def releases_in(directory: Path) -> tuple[str, ...]:
    """Return the names of the directories in ``directory``, in order; none where it is missing."""
    try:
        return tuple(sorted(each.name for each in directory.iterdir() if each.is_dir()))
    except OSError:
        return ()


def newest_release(directory: Path) -> str | None:
    """Return the newest release in ``directory`` by version order; None where there is none."""
    return max(releases_in(directory), key=_version_key, default=None)


def _version_key(release: str) -> list[tuple[int, int, str]]:
    """Compare runs of digits as numbers, above any letters: 6.10 is newer than 6.9."""
    return [
        (1, int(part), "") if part.isdecimal() else (0, 0, part)
        for part in re.findall(r"[0-9]{1,9}|[A-Za-z]+", release)
    ]
