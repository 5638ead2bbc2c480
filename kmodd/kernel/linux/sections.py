# SPDX-License-Identifier: Apache-2.0
"""/sys/module/NAME/sections and notes: where the parts of a loaded module are."""

from pathlib import Path

from kmodd.kernel.base import ModuleNote, ModuleSection

NOTE_MAX = 64 << 10
"""Bytes that are read of a file of notes."""


def read_sections(directory: Path) -> tuple[ModuleSection, ...]:
    """Return the sections, by name; the module may go meanwhile.

    The files are root's, and show zeros to who may not know addresses (kptr_restrict,
    CAP_SYSLOG).
    """
    return tuple(ModuleSection(file.name, _address(file)) for file in _files(directory))


def read_notes(directory: Path) -> tuple[ModuleNote, ...]:
    """Return the notes, by name; the module may go meanwhile."""
    return tuple(ModuleNote(file.name, _contents(file)) for file in _files(directory))


def read_note(file: Path) -> bytes:
    """Return one file of notes; nothing where it cannot be read."""
    return _contents(file)


def _files(directory: Path) -> list[Path]:
    try:
        return sorted(directory.iterdir())
    except OSError:
        return []


def _address(file: Path) -> int:
    """Return the address that the file shows, 0 where it shows none to us."""
    try:
        return int(_contents(file), 16)
    except ValueError:
        return 0


def _contents(file: Path) -> bytes:
    try:
        with file.open("rb", buffering=0) as opened:
            return opened.read(NOTE_MAX) or b""
    except OSError:
        return b""
