# SPDX-License-Identifier: Apache-2.0
"""Puts the databases of one tree on disk, minds who else writes there, and takes them away again.

A tree may be on its way out. So nothing is written while files are being removed from it, but
after a time without removals; and where the last module is gone, what was published goes, too.
"""

import logging
import time
from collections.abc import Mapping
from pathlib import Path

from kmodd.database import Database, FileStamp
from kmodd.database.freshness import has_lost_none
from kmodd.database.presence import has_module
from kmodd.database.publish import (
    Place,
    Publication,
    UnfinishedError,
    place_of,
    publish,
    withdraw,
)
from kmodd.errors import Reason, TreeError
from kmodd.log_kinds import LogKind, told
from kmodd.trees.sight import Sight

CONTEST = 60.0
"""Seconds within which a second overwriting by others is a contest, which kmodd leaves alone."""

log = logging.getLogger(__name__)


class Publisher:
    """What is known of one tree's files on disk.

    Its methods are called under the tree's lock, but for ``note_removal`` and ``is_quiet``, which
    read and write one number, and ``is_replaced``, which reads one pair. ``problem`` says why the
    files are not those in force, "" if they are, or if they only have to wait.
    """

    def __init__(self, directory: Path, patience: float, sight: Sight) -> None:
        """``patience`` is how long after a removal nothing is written, in seconds.

        ``sight`` has removals noted that have not been told of yet.
        """
        self.problem = ""
        self.is_contested = False
        self._directory = directory
        self._patience = patience
        self._sight = sight
        self._removed_at = -patience
        self._overwritten_at = -CONTEST
        self._stamps: Mapping[str, FileStamp] = {}
        self._place: Place | None = None

    @property
    def stamps(self) -> Mapping[str, FileStamp]:
        """The stamps of the files that were published last, by name."""
        return self._stamps

    def adopt(self, stamps: Mapping[str, FileStamp]) -> None:
        """Take over what an earlier life published, unless this one has done so by now."""
        self._stamps = self._stamps or stamps

    def note_place(self) -> None:
        """Note that the directory which is there just now is to be scanned, for its files."""
        self._place = place_of(str(self._directory))

    def is_replaced(self) -> bool:
        """Tell whether there is another directory than that which was scanned.

        Mounting over it makes one, and so does taking such a mount away. The files of the one are
        never those of the other.
        """
        return self._place is not None and self._place != place_of(str(self._directory))

    def note_removal(self) -> None:
        """Note that something is being removed from the tree just now."""
        self._removed_at = time.monotonic()

    def note_removal_after(self, moment: float) -> None:
        """Note that of what was there at ``moment`` (time.monotonic) something is gone."""
        if self._removed_at <= moment:
            self.note_removal()

    def waits(self) -> bool:
        """Tell whether files are not written, but for somebody who insists."""
        return self.is_contested or not self.is_quiet()

    def is_quiet(self) -> bool:
        """Tell whether the last removal is past for long enough."""
        return time.monotonic() - self._removed_at >= self._patience

    def publish(
        self, database: Database, before: Publication | None, *, asked: bool, again: bool
    ) -> Publication | None:
        """Put the files of ``database`` on disk, where that is to be done; None where it is not.

        ``before`` was published last. To write ``again`` what was there counts against whoever
        wrote over it, unless somebody ``asked`` for it, who does not wait for quiet either.
        """
        if database.cycles:
            self.problem = database.cycles.message
            return None
        if not database.inventory.records:
            self.problem = ""
            if self.is_quiet():
                self.withdraw()
            return None
        if self.is_contested and not asked:
            return None
        if not (asked or self.is_quiet()):
            self.problem = ""
            return None
        return self._write(database, before, counts=again and not asked)

    def withdraw(self) -> None:
        """Take away what was published last, and a directory that is empty then."""
        stamps, self._stamps = self._stamps, {}
        removed = withdraw(Publication(str(self._directory), {}, stamps, ()))
        if removed:
            log.info("%s has no module left: %d files removed", self._directory, len(removed))

    def settle(self) -> None:
        """End a contest: there is something else to publish, or somebody insists."""
        self.is_contested = False

    def _write(
        self, database: Database, before: Publication | None, *, counts: bool
    ) -> Publication | None:
        directory = str(self._directory)
        began = time.monotonic()

        def wanted() -> bool:
            self._sight.hear()
            return has_module(directory) and self._removed_at <= began

        def whole() -> bool:
            return has_lost_none(database.inventory)

        try:
            publication = publish(
                database.files, directory, before, place=self._place, wanted=wanted, whole=whole
            )
        except TreeError as error:
            if error.reason is Reason.TREE_NOT_FOUND:
                if isinstance(error, UnfinishedError):
                    self._stamps = {**self._stamps, **error.left}
                if not self.is_replaced():
                    self.note_removal()
                self.problem = ""
                return None
            self._note_problem(error.message)
            return None
        self._stamps = publication.stamps
        if database.unwritable:
            self._note_problem(f"{self._directory}: {database.unwritable}")
        else:
            self.problem = ""
        if publication.written:
            log.info(
                "%s: %d modules, %d files written",
                directory,
                len(database.modules),
                len(publication.written),
                extra=told(LogKind.TREE_PUBLISHED, release=self._directory.name),
            )
            if counts and self._is_contest():
                return None
        return publication

    def _note_problem(self, why: str) -> None:
        """Note why the files are not those in force, and log it once."""
        if self.problem != why:
            about = told(LogKind.TREE_NOT_PUBLISHED, release=self._directory.name)
            log.warning("%s; the databases are in force in memory", why, extra=about)
        self.problem = why

    def _is_contest(self) -> bool:
        """Note that others wrote over our files; the second time soon after, give in."""
        now = time.monotonic()
        again = now - self._overwritten_at < CONTEST
        self._overwritten_at = now
        if not again:
            about = told(LogKind.TREE_NOT_PUBLISHED, release=self._directory.name)
            log.warning(
                "%s: another program wrote over the databases", self._directory, extra=about
            )
            return False
        self.is_contested = True
        self.problem = f"{self._directory}: another program keeps writing over the databases"
        log.error("%s; they are left to it until a module changes", self.problem)
        return True
