# SPDX-License-Identifier: Apache-2.0
"""/sys/module/NAME/sections and notes: where the parts of a loaded module are."""

from pathlib import Path

from kmodd.kernel.base import ModuleNote, ModuleSection
from kmodd.kernel.linux.system import System, SystemFile

NOTE_MAX = 64 << 10
"""Bytes that are read of a file of notes."""


def read_sections(system: System, directory: Path) -> tuple[ModuleSection, ...]:
    """Return the sections, by name; the module may go meanwhile.

    The files are root's, and show zeros to who may not know addresses (kptr_restrict,
    CAP_SYSLOG).
    """
    files = _files(system, directory)
    return tuple(ModuleSection(file.name, _address(file.contents or b"")) for file in files)


def read_notes(system: System, directory: Path) -> tuple[ModuleNote, ...]:
    """Return the notes, by name; the module may go meanwhile."""
    files = _files(system, directory)
    return tuple(ModuleNote(file.name, file.contents or b"") for file in files)


def read_note(system: System, file: Path) -> bytes:
    """Return one file of notes; nothing where it cannot be read."""
    try:
        return system.read(file, NOTE_MAX)
    except OSError:
        return b""


def _files(system: System, directory: Path) -> tuple[SystemFile, ...]:
    try:
        return system.read_directory(directory, NOTE_MAX)
    except OSError:
        return ()


def _address(shown: bytes) -> int:
    """Return the address that a file shows, 0 where it shows none to us."""
    try:
        return int(shown, 16)
    except ValueError:
        return 0
