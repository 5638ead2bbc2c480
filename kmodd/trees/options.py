# SPDX-License-Identifier: Apache-2.0
"""What all trees of a daemon have in common, the configuration among it."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from kmodd.access.trusted_files import objection
from kmodd.config import Config, read_config
from kmodd.config.depmod import DepmodConfig, read_depmod_config
from kmodd.records import field, record
from kmodd.state import RecordStore
from kmodd.tallies import Durations
from kmodd.trees.sight import Sight
from kmodd.trees.unread import Unread

if TYPE_CHECKING:
    from kmodd.config.files import Objection

PATIENCE = 3.0
"""Seconds without a removal after which a tree is written to."""


@record(kw_only=True)
class TreeOptions:
    """What all trees of a daemon have in common.

    ``publish`` is False where the databases are only held in memory. ``store`` keeps what was
    read for the next start, where there is a place for it. ``modprobe_config`` are read in place
    of the root's configuration, where there are any. ``swapped`` is called when a tree has
    another generation than before, or none, on the thread that brought it about.
    ``command_line`` is the kernel's. ``trusted_only`` refuses trees, and leaves out configuration,
    that others than root may write (see access/trusted_files.py); ``unread`` tells of that.
    ``sight`` is what the trees are observed by.
    ``patience`` is how long after a removal nothing is written into a tree, in seconds.
    ``rebuilds`` are how long they took, by whether they were "done" or "failed".
    """

    root: Path
    publish: bool = True
    store: RecordStore | None = None
    modprobe_config: tuple[Path, ...] = ()
    swapped: Callable[[], None]
    command_line: str = ""
    trusted_only: bool = False
    unread: Unread = field(default_factory=Unread)
    sight: Sight = field(default_factory=Sight)
    patience: float = PATIENCE
    rebuilds: Durations = field(default_factory=Durations)

    def config(self) -> Config:
        """Read the configuration of modprobe and the kernel's command line."""
        return read_config(
            self.root,
            command_line=self.command_line,
            paths=self.modprobe_config or None,
            objection=self._objection(Path("/") if self.modprobe_config else self.root),
        )

    def depmod_config(self, release: str) -> DepmodConfig:
        """Read the configuration of depmod for one release."""
        return read_depmod_config(self.root, release, objection=self._objection(self.root))

    def tree_objection(self) -> "Objection | None":
        """Return what has nothing but root's own read of a tree, where that is wanted."""
        return self._objection(Path("/"))

    def _objection(self, root: Path) -> "Objection | None":
        """Return what has nothing but root's own read below ``root``, where that is wanted."""
        return partial(objection, root=root) if self.trusted_only else None
