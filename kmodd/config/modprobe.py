# SPDX-License-Identifier: Apache-2.0
"""Reading modprobe.d: files of one directive a line, into one Config.

The syntax is libkmod's, which modprobe.d(5) tells the half of. A backslash vanishes and protects
the character after it, and a line end that it protects vanishes too. A ``#`` counts in the first
column alone. Words are set apart by blanks and tabs; the text of options and commands is the rest
of the line after one of these.
"""

from __future__ import annotations

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
from kmodd.config.files import Gate, files_at, files_under, read_text
from kmodd.errors import RequestError
from kmodd.names import normalise_alias

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from kmodd.config.files import AnyPath, ConfigFile, Objection

MAX_LINE = 65536
"""Characters of one line, continued lines included."""

DENIALS_FILE = "kmodd-deny.conf"
"""A file in which kmodd publishes for others what it never loads."""

DENIALS_MARK = "# Published by kmodd"
"""What that file begins with. It is passed over: what kmodd itself is to deny, its settings say."""

MAX_PROBLEMS = 100
"""Lines of one file that are complained of."""


def read_config(
    root: AnyPath,
    *,
    command_line: str = "",
    paths: Iterable[AnyPath] | None = None,
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
    draft = _Draft(problems)
    read = []
    for file in files:
        text = read_text(file, problems, gate)
        if text is not None and not _is_published(file, text):
            draft.add_file(text, file.shown)
            read.append(file.shown)
    draft.add_command_line(command_line)
    return draft.config(tuple(read), gate.unread)


def _is_published(file: ConfigFile, text: str) -> bool:
    """Tell whether a file is what kmodd has published of its deny list."""
    return file.shown.rpartition("/")[2] == DENIALS_FILE and text.startswith(DENIALS_MARK)


def parse_config(text: str, file: str = "") -> Config:
    """Return the configuration that the text of one file comes to; ``file`` is its name."""
    draft = _Draft([])
    draft.add_file(text, file)
    return draft.config((file,))


class _Draft:
    """A configuration while it is being read; never shared."""

    def __init__(self, problems: list[str]) -> None:
        self.aliases: list[Alias] = []
        self.blacklist: list[Blacklist] = []
        self.options: list[Options] = []
        self.installs: list[Command] = []
        self.removes: list[Command] = []
        self.softdeps: list[SoftDependency] = []
        self.weakdeps: list[WeakDependency] = []
        self.problems = problems

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
    pieces = text.split("\n")
    if not pieces[-1]:
        pieces.pop()
    number, joined = 1, []
    for at, piece in enumerate(pieces, 1):
        joined.append(piece)
        if at == len(pieces) or not _protects(piece):
            yield number, _unprotected("\n".join(joined)).partition("\0")[0]
            number, joined = at + 1, []


def _protects(piece: str) -> bool:
    """Tell whether ``piece`` ends in a backslash that is not protected, itself."""
    return bool((len(piece) - len(piece.rstrip("\\"))) % 2)


def _unprotected(raw: str) -> str:
    """Return ``raw`` without its backslashes, but for those that another one protects."""
    first, *rest = raw.split("\\")
    kept, is_protected = [first], False
    for piece in rest:
        if is_protected:
            kept.append(f"\\{piece}")
            is_protected = False
        elif piece:
            kept.append(piece.removeprefix("\n"))
        else:
            is_protected = True
    return "".join(kept)


def _first_word(text: str) -> tuple[str, str]:
    """Split off the first word, and with it one of the blanks and tabs that end it."""
    text = text.lstrip("\t ")
    word = text.replace("\t", " ").partition(" ")[0]
    return word, text[len(word) + 1 :]
