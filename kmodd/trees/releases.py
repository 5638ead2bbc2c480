# SPDX-License-Identifier: Apache-2.0
"""The releases under one root, each with the database in force for it."""

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from kmodd import places
from kmodd.database.build import build
from kmodd.database.inventory import Inventory
from kmodd.database.reading import Progress
from kmodd.database.releases import releases_in
from kmodd.errors import Reason, TreeError
from kmodd.state import RecordStore
from kmodd.tallies import Durations
from kmodd.trees.generation import Generation, TreeSummary, no_summary
from kmodd.trees.options import PATIENCE, TreeOptions
from kmodd.trees.sight import Observer
from kmodd.trees.tree import Tree, no_tree


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
        patience: float = PATIENCE,
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
            patience=patience,
        )
        self._listeners: list[Callable[[], None]] = []
        self._changed = threading.Condition()
        self._trees: dict[str, Tree] = {}
        self._swaps = 0

    @property
    def rebuilds(self) -> Durations:
        """How long rebuilds took, by whether they were "done" or "failed"."""
        return self._options.rebuilds

    @contextmanager
    def observed_by(self, observer: Observer) -> Iterator[None]:
        """Have no tree looked at for changes that ``observer`` would have told of."""
        self._options.sight.observer = observer
        try:
            yield
        finally:
            self._options.sight.observer = None

    def releases(self) -> tuple[str, ...]:
        """Return the names of the releases that have a directory, in order."""
        return releases_in(str(self.directory))

    def in_force(self) -> Generation | None:
        """Return the generation in force for the kernel's own release, without building one."""
        tree = self._trees.get(self.release)
        return tree.generation if tree else None

    def refusal(self) -> str:
        """Say why nothing is in force for the kernel's own release, "" where it has no tree."""
        tree = self._trees.get(self.release)
        return tree.refusal if tree else ""

    def known(self) -> tuple[Tree, ...]:
        """Return the trees that were asked for or seen and have not gone, by their releases."""
        with self._changed:
            return tuple(tree for _, tree in sorted(self._trees.items()))

    def summaries(self) -> Mapping[str, TreeSummary]:
        """Return what is told of every release that something is in force for, in order."""
        found = ((tree.directory.name, tree.summary) for tree in self.known())
        return {name: summary for name, summary in found if summary is not None}

    def summary(self, release: str) -> TreeSummary | None:
        """Return what is told of one release, whose first database is built for it.

        One that none can be built for has that as its problem; None for one without a directory.
        """
        try:
            return self.tree(release).summary or self.rebuild(release).summary
        except TreeError as error:
            if error.reason is Reason.TREE_NOT_FOUND:
                return None
            return no_summary(self.directory / release, error.message)

    def serve_published(self) -> bool:
        """Put in force for the kernel's own release what its files on disk say, to be verified.

        Tells whether that is so; not where they do not look like those of the tree.
        """
        with suppress(TreeError):
            return self.tree().serve_published()
        return False

    def current(
        self, release: str = "", *, treeless: bool = False, at_once: bool = False
    ) -> Generation:
        """Return the generation in force, with its database; build the first one.

        What is provisional is verified first, unless it is wanted ``at_once``. Where the release
        has no directory, raises TreeError (TREE_NOT_FOUND), or returns with ``treeless`` the
        configuration with an empty database.
        """
        try:
            return self.tree(release).current(at_once=at_once)
        except TreeError as error:
            if not treeless or error.reason is not Reason.TREE_NOT_FOUND:
                raise
        return _treeless(self.directory / (release or self.release), self._options)

    def rebuild(
        self, release: str = "", *, progress: Progress | None = None, insist: bool = False
    ) -> Generation:
        """Read a release's tree anew; see ``Tree.rebuild``."""
        return self.tree(release).rebuild(progress=progress, insist=insist)

    def confirm(self, generation: Generation) -> Generation:
        """Return the generation that tells what is on disk; ``generation``'s number if it does.

        Raises TreeError, as ``Tree.confirm`` does.
        """
        tree = self.tree(generation.release)
        current = tree.current(at_once=True)
        return current if current.number != generation.number else tree.confirm(current)

    def tree(self, release: str = "") -> Tree:
        """Return one release's tree; raises TreeError where it has no directory."""
        release = release or self.release
        if "/" in release or release in ("", ".", "..") or "\0" in release:
            raise TreeError(Reason.INVALID_NAME, f"{release!r} cannot be the name of a release")
        with self._changed:
            tree = self._trees.get(release)
            if tree is None:
                directory = self.directory / release
                if not directory.is_dir():
                    raise no_tree(directory)
                own = release == self.release
                tree = self._trees[release] = Tree(directory, self._options, resident=own)
            return tree

    def forget_missing(self) -> None:
        """Give up the releases whose directory is gone, or is no kernel's any more."""
        present = set(self.releases())
        for tree in self.known():
            if tree.directory.name not in present:
                self._retire(tree)

    def clear_leftovers(self) -> None:
        """Take away what an earlier life published where there is no module any more."""
        for name in sorted({*_directories_in(self.directory)} - {*self.releases()}):
            with suppress(TreeError):  # it may be gone by now
                tree = self.tree(name)
                tree.remember()
                self._retire(tree)

    def _retire(self, tree: Tree) -> None:
        """Have a tree forget what it had, and then forget it, unless it has come again by then."""
        if not tree.retire():
            return
        with self._changed:
            if self._trees.get(tree.directory.name) is tree and tree.summary is None:
                del self._trees[tree.directory.name]

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


def _treeless(directory: Path, options: TreeOptions) -> Generation:
    """Return the configuration with an empty database, for a release that has no directory."""
    release = directory.name
    config, depmod_config = options.config(), options.depmod_config(release)
    unread = depmod_config.unread + config.unread
    options.unread.tell(unread)
    return Generation(
        number=0,
        release=release,
        directory=directory,
        database=build(Inventory(release=release, directory=str(directory), records={})),
        config=config,
        built=datetime.now(UTC),
        trusted_only=options.trusted_only,
        unread=unread,
    )


def modules_directory(root: Path) -> Path:
    """Return the directory of module trees under the system root ``root``."""
    return Path(places.modules_directory(str(root)))


def _directories_in(directory: Path) -> Iterator[str]:
    with suppress(OSError):
        yield from (each.name for each in directory.iterdir() if each.is_dir())
