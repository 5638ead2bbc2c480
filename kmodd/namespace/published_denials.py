# SPDX-License-Identifier: Apache-2.0
"""The deny list in a file of modprobe.d, for those who load modules without asking kmodd.

Before kmodd is up, and in the initial RAM disk, it is udev and PID 1 that load, and libkmod that
decides. It has no patterns there, so each module is named: those of the kernel's tree that are
denied, and what the list names in full. ``install`` keeps a module from being loaded even for
another one, ``blacklist`` says so to those who ask first (modprobe.d(5)).
"""

import logging
import threading
from collections.abc import Iterator
from pathlib import Path

from kmodd.config.modprobe import DENIALS_FILE, DENIALS_MARK
from kmodd.database import ModuleRecord
from kmodd.errors import KmoddError, Reason
from kmodd.host.whole_file import write_whole
from kmodd.modulefile.identity import Identity
from kmodd.names import is_plain_name
from kmodd.namespace.identities import FileDenials, Identities
from kmodd.plan import DenyList
from kmodd.trees import Generation

HEAD = f"""\
{DENIALS_MARK} from its deny list, for those who load modules without asking it.
# It is written anew whenever that changes; what is denied, kmodd.toml says.
"""

log = logging.getLogger(__name__)


class PublishedDenials:
    """Keeps the file as the deny list has it. ``_lock`` guards writing, and what was written."""

    def __init__(self, root: Path) -> None:
        """The file is in etc/modprobe.d below ``root``, a directory that must be there."""
        self.path = root / "etc/modprobe.d" / DENIALS_FILE
        self._identities = Identities()
        self._lock = threading.Lock()
        self._complained = False

    def publish(self, deny: DenyList, generation: Generation | None) -> None:
        """Have the file name what ``deny`` is against; where that is nothing there is no file.

        A file that cannot be written is complained of once.
        """
        with self._lock:
            try:
                self._put(denials_text(deny, generation, self._identities))
            except OSError as error:
                if not self._complained:
                    log.warning("%s cannot be written: %s", self.path, error.strerror)
                self._complained = True
            else:
                self._complained = False

    def _put(self, text: str) -> None:
        """Have the file say ``text``, whole or not at all; raises OSError."""
        try:
            present = self.path.read_text("utf-8", "surrogateescape")
        except FileNotFoundError:
            present = ""
        if present == text:
            return
        if present and not present.startswith(DENIALS_MARK):
            raise FileExistsError(0, "somebody else has made it")
        if not text:
            self.path.unlink()
            return
        write_whole(self.path, text.encode("utf-8", "surrogateescape"), lasting=True)


def denials_text(deny: DenyList, generation: Generation | None, identities: Identities) -> str:
    """Return what the file is to say: "" where nothing is denied."""
    names = sorted(denied_names(deny, generation, identities))
    lines = (f"blacklist {name}\ninstall {name} /bin/false\n" for name in names)
    return HEAD + "".join(lines) if names else ""


def denied_names(
    deny: DenyList, generation: Generation | None, identities: Identities
) -> Iterator[str]:
    """Yield the names of modules that ``deny`` is against, as far as a name tells it.

    The files of the tree are looked into only where a build is denied.
    """
    yield from deny.plain_names
    if generation is None or deny.is_empty:
        return
    database = generation.database

    def identify(record: ModuleRecord) -> Identity:
        return identities.of(record, database.directory)

    denials = FileDenials(deny, database, identify) if deny.has_builds else deny
    for name in database.modules:
        if name in deny.plain_names or not is_plain_name(name):
            continue  # one with another letter could say more in such a file than a name
        try:
            denial = denials.denial(name)
        except KmoddError:  # the tree has changed: what comes next tells of it anew
            continue
        if denial is not None and denial.reason is Reason.MODULE_DENIED:
            yield name
