# SPDX-License-Identifier: Apache-2.0
"""Reading modprobe.d: files of one directive a line, into one Config.

The syntax is libkmod's, which modprobe.d(5) tells the half of. A backslash vanishes and protects
the character after it, and a line end that it protects vanishes too. A ``#`` counts in the first
column alone. Words are set apart by blanks and tabs; the text of options and commands is the rest
of the line after one of these.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from kmodd.config.cmdline import parse_command_line
from kmodd.config.directives import (
    Alias,
    Blacklist,
    Command,
    Config,
    Options,
    SoftDependency,
    WeakDependency,
    parse_options,
    parse_softdep,
    parse_weakdep,
)
from kmodd.config.files import Gate, Objection, files_at, files_under, read_text
from kmodd.errors import RequestError
from kmodd.names import normalise_alias

MAX_LINE = 65536
"""Characters of one line, continued lines included."""

MAX_PROBLEMS = 100
"""Lines of one file that are complained of."""

_LOGICAL_LINE = re.compile(r"[^\\\n]*(?:\\(?:.|\Z)[^\\\n]*)*", re.DOTALL)
_PROTECTED = re.compile(r"\\(?:\n|(.)|\Z)", re.DOTALL)
_FIRST_WORD = re.compile(r"[\t ]*([^\t ]*)[\t ]?(.*)", re.DOTALL)


def read_config(
    root: Path,
    *,
    command_line: str = "",
    paths: Sequence[Path] | None = None,
    objection: Objection | None = None,
) -> Config:
    """Return the modprobe configuration of the system under ``root``.

    ``command_line`` is the kernel's, as /proc/cmdline has it; what it says comes last. ``paths``
    are directories or files to read in place of the root's directories (``modprobe -C``). Nothing
    is read of a directory or file that there is an ``objection`` to.

    Never raises for what it reads: a line that is wrong, or a file that cannot be read or is no
    regular file, is named among the ``problems``, and everything else is in force.
    """
    problems: list[str] = []
    gate = Gate(objection)
    files = files_under(root, problems, gate) if paths is None else files_at(paths, problems, gate)
    draft = _Draft(problems=problems)
    read = []
    for file in files:
        text = read_text(file, problems, gate)
        if text is not None:
            draft.add_file(text, file.shown)
            read.append(file.shown)
    draft.add_command_line(command_line)
    return draft.config(tuple(read), gate.unread)


def parse_config(text: str, file: str = "") -> Config:
    """Return the configuration that the text of one file comes to; ``file`` is its name."""
    draft = _Draft()
    draft.add_file(text, file)
    return draft.config((file,))


@dataclass(slots=True)
class _Draft:
    """A configuration while it is being read; never shared."""

    aliases: list[Alias] = field(default_factory=list)
    blacklist: list[Blacklist] = field(default_factory=list)
    options: list[Options] = field(default_factory=list)
    installs: list[Command] = field(default_factory=list)
    removes: list[Command] = field(default_factory=list)
    softdeps: list[SoftDependency] = field(default_factory=list)
    weakdeps: list[WeakDependency] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def add_file(self, text: str, file: str) -> None:
        """Add the directives of a file's text, and complain of its first bad lines."""
        bad = 0
        for line, content in _logical_lines(text):
            if not content or content.startswith("#"):
                continue
            problem = self._add_line(content, file, line)
            if problem and bad < MAX_PROBLEMS:
                self.problems.append(f"{file} line {line}: {problem}")
            bad += bool(problem)
        if bad > MAX_PROBLEMS:
            self.problems.append(f"{file}: {bad - MAX_PROBLEMS} more bad lines ignored")

    def add_command_line(self, text: str) -> None:
        """Add what the kernel's command line says."""
        said = parse_command_line(text)
        self.options += said.options
        self.blacklist += said.blacklist
        self.problems += said.problems

    def config(self, files: tuple[str, ...], unread: tuple[str, ...] = ()) -> Config:
        """Return the configuration, finished."""
        return Config(
            aliases=tuple(self.aliases),
            blacklist=tuple(self.blacklist),
            options=tuple(self.options),
            installs=tuple(self.installs),
            removes=tuple(self.removes),
            softdeps=tuple(self.softdeps),
            weakdeps=tuple(self.weakdeps),
            problems=tuple(self.problems),
            files=files,
            unread=unread,
        )

    def _add_line(self, content: str, file: str, line: int) -> str:
        """Add one line's directive; give what is wrong with it, or ""."""
        if len(content) > MAX_LINE:
            return f"ignoring a line of more than {MAX_LINE} characters"
        keyword, rest = _first_word(content)
        if not keyword:
            return ""
        if keyword in ("include", "config"):
            return f"command {keyword} is deprecated and not parsed anymore"
        try:
            understood = self._add_directive(keyword, rest, file, line)
        except RequestError:
            understood = False
        return "" if understood else f"ignoring bad line starting with '{keyword[:64]}'"

    def _add_directive(self, keyword: str, rest: str, file: str, line: int) -> bool:
        """Add one directive; False for one that is unknown or lacks an argument.

        Raises RequestError for a name whose brackets have no partner.
        """
        name, text = _first_word(rest)
        if keyword == "alias":
            text, _ = _first_word(text)
        if not name or not (text or keyword == "blacklist"):
            return False
        name = normalise_alias(name)
        match keyword:
            case "alias":
                self.aliases.append(Alias(name, normalise_alias(text), file, line))
            case "blacklist":
                self.blacklist.append(Blacklist(name, file, line))
            case "options":
                self.options.append(parse_options(name, text, file, line))
            case "install":
                self.installs.append(Command(name, text, file, line))
            case "remove":
                self.removes.append(Command(name, text, file, line))
            case "softdep":
                self.softdeps.append(parse_softdep(name, text, file, line))
            case "weakdep":
                self.weakdeps.append(parse_weakdep(name, text, file, line))
            case _:
                return False
        return True


def _logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """Yield each line with the number of its first physical line, 1 at the start.

    What follows a NUL byte in a line is dropped, as the C library's strings have it.
    """
    number, position = 1, 0
    while position < len(text):
        match = _LOGICAL_LINE.match(text, position)
        raw = match[0] if match else ""
        content = _PROTECTED.sub(lambda found: found[1] or "", raw) if "\\" in raw else raw
        yield number, content.partition("\0")[0]
        number += raw.count("\n") + 1
        position += len(raw) + 1


def _first_word(text: str) -> tuple[str, str]:
    """Split off the first word, and with it one of the blanks and tabs that end it."""
    match = _FIRST_WORD.match(text)
    return (match[1], match[2]) if match else ("", "")
