# SPDX-License-Identifier: Apache-2.0
"""What is denied, for those who load modules before kmodd has run for the first time.

kmodd itself keeps that file as the deny list has it (namespace.published_denials).
"""

import os
from pathlib import Path

from kmodd.config.modprobe import DENIALS_FILE, DENIALS_MARK
from kmodd.database.releases import newest_release
from kmodd.errors import TreeError
from kmodd.namespace.identities import Identities
from kmodd.namespace.published_denials import denials_text
from kmodd.plan import DenyList
from kmodd.settings import Settings
from kmodd.settings.toml import read_settings
from kmodd.setup.changes import FileChange, text_of
from kmodd.trees import Generation, Trees, modules_directory

SETTINGS = "etc/kmodd/kmodd.toml"
"""The settings of the system's kmodd, below its root."""


def denials_change(root: Path, *, undo: bool = False) -> FileChange | None:
    """Return how the file of denials below ``root`` is to change; None where it is as it should be,
    or somebody else's.

    Raises RequestError for settings that are wrong.
    """
    path = root / "etc/modprobe.d" / DENIALS_FILE
    before = text_of(path)
    after = None if undo else _denials(root) or None
    if before == after or (before is not None and not before.startswith(DENIALS_MARK)):
        return None
    return FileChange(path, before, after)


def _denials(root: Path) -> str:
    """Return what the file is to say, by the settings with those that setup makes."""
    file = root / SETTINGS
    if not file.exists():
        return ""
    settings = read_settings(file, Settings(publish_deny=True))
    deny = DenyList(settings.deny, settings.deny_builds)
    if deny.is_empty or not settings.publish_deny:
        return ""
    return denials_text(deny, _generation(root), Identities())


def _generation(root: Path) -> Generation | None:
    """Return the databases of the kernel that runs or, where it has no tree, of the newest."""
    directory = modules_directory(root)
    own = os.uname().release
    release = own if (directory / own).is_dir() else newest_release(str(directory))
    if release is None:
        return None
    trees = Trees(root, release, publish=False)
    try:
        return trees.current(at_once=True)
    except TreeError:
        return None  # kmodd will say what is wrong with it
