# SPDX-License-Identifier: Apache-2.0
"""modules-load.d: which modules are to be loaded when the system starts (modules-load.d(5)).

A file has a name a line; blank lines and those that begin with ``#`` or ``;`` say nothing. The
kernel's command line names more: ``modules_load=A,B``.
"""

from collections.abc import Iterator
from pathlib import Path

from kmodd.config.files import Gate, Objection, files_under, read_text
from kmodd.records import record

MODULES_LOAD = "modules-load.d"
"""The name of the directories."""

MAX_WANTED = 1024
"""Modules that are loaded at start; what is beyond that is a mistake."""

_WORDS = ("modules_load=", "modules-load=")


@record
class ModuleToLoad:
    """A module to load at start, by name or alias; ``source`` says to people who wants it."""

    name: str
    source: str


def modules_to_load(
    root: Path, command_line: str, problems: list[str], objection: "Objection | None" = None
) -> tuple[ModuleToLoad, ...]:
    """Return what ``command_line`` and the files under ``root`` want, each once, in their order.

    What is wrong with a file is added to ``problems``, and so is which directories and files are
    not read since there is an ``objection`` to them.
    """
    found: dict[str, ModuleToLoad] = {}
    gate = Gate(objection)
    for wanted in (*_on_command_line(command_line), *_in_files(root, problems, gate)):
        found.setdefault(wanted.name, wanted)
    problems += gate.unread
    if len(found) > MAX_WANTED:
        problems.append(f"{MODULES_LOAD}: more than {MAX_WANTED} modules, the rest ignored")
    return tuple(found.values())[:MAX_WANTED]


def _on_command_line(command_line: str) -> Iterator[ModuleToLoad]:
    for word in command_line.split():
        name, equals, value = word.partition("=")
        if name + equals in _WORDS:
            yield from (ModuleToLoad(each, word) for each in value.split(",") if each)


def _in_files(root: Path, problems: list[str], gate: Gate) -> Iterator[ModuleToLoad]:
    for file in files_under(root, problems, gate, MODULES_LOAD):
        for number, line in enumerate((read_text(file, problems, gate) or "").splitlines(), 1):
            name = line.strip()
            if name and not name.startswith(("#", ";")):
                yield ModuleToLoad(name, f"{file.shown}:{number}")
