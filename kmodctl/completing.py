# SPDX-License-Identifier: Apache-2.0
"""What a word of a command line may become: the words before it, and what it is to be.

The shells' scripts ask for it with all words as they are typed, by ``kmodctl complete``. An answer
has a line for each candidate, with what it is behind a tab, and a line that begins with a colon
where the shell itself is to offer files, directories or commands.
"""

from kmodctl.candidates import Named, Names, offered
from kmodctl.cli import command_parser, main_parser
from kmodctl.commands import COMMANDS, command_module, summary
from kmodctl.declarations import SUPPRESS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from kmodctl.declarations import Declaration

FILES, MODULE_FILES, DIRECTORIES, COMMAND = ":files", ":modules", ":directories", ":command"
"""What the shell offers itself."""

_OF_METAVAR = {"FILE": FILES, "PATH": FILES, "DIR": DIRECTORIES}
"""What the value of an option or an operand is, by what stands for it in the help."""


class Line:
    """The words before the one that is completed, as a parser would read them.

    ``given`` are the values of options by their destinations, True without one. ``awaiting`` is the
    option whose value comes next. ``behind`` are the words behind ``--``, None without it.
    """

    __slots__ = ("awaiting", "behind", "given", "operands", "rest")

    def __init__(
        self,
        words: "Iterable[str]",
        options: "Sequence[Declaration]",
        *,
        operands_end: bool = False,
    ) -> None:
        """With ``operands_end`` the first operand is the last; the words after it are ``rest``."""
        self.given: dict[str, str | bool] = {}
        self.awaiting: Declaration | None = None
        self.behind: list[str] | None = None
        self.operands: list[str] = []
        self.rest: list[str] = []
        self._read(iter(words), options, operands_end=operands_end)

    def _read(
        self, following: "Iterator[str]", options: "Sequence[Declaration]", *, operands_end: bool
    ) -> None:
        for word in following:
            if self.awaiting is not None:
                self.given[self.awaiting.dest] = word
                self.awaiting = None
            elif word == "--":
                self.behind = [*following]
            elif word.startswith("--"):
                self._long(word, options)
            elif word.startswith("-") and word != "-":
                self._short(word, options)
            else:
                self.operands.append(word)
                if operands_end:
                    self.rest = [*following]

    def _long(self, word: str, options: "Sequence[Declaration]") -> None:
        name, equals, value = word.partition("=")
        option = long_option(name, options)
        if option is None:
            return
        if option.nargs == 0 or equals:
            self.given[option.dest] = value if equals else True
        else:
            self.awaiting = option

    def _short(self, word: str, options: "Sequence[Declaration]") -> None:
        for at, letter in enumerate(word[1:], 2):
            option = next((each for each in options if f"-{letter}" in each.option_strings), None)
            if option is None:
                return
            if option.nargs == 0:
                self.given[option.dest] = True
                continue
            if word[at:]:
                self.given[option.dest] = word[at:]
            else:
                self.awaiting = option
            return


def long_option(name: str, options: "Sequence[Declaration]") -> "Declaration | None":
    """Return the option of that name, or the one that it is short for."""
    found = [each for each in options for known in each.option_strings if known.startswith(name)]
    exact = [each for each in found if name in each.option_strings]
    return next(iter(exact or found), None)


def completed(words: "Sequence[str]") -> "Iterator[str]":
    """Yield the lines for the last of ``words``, of which the first is the program."""
    program, *before, word = joined(words)
    if program.rpartition("/")[2] == "kmodd":
        from kmodctl.completing_daemon import completed_daemon

        yield from completed_daemon(before, word)
        return
    options = main_parser().options()
    line = Line(before, options, operands_end=True)
    if not line.operands and line.behind is None:
        commands = ((name, summary(command_module(name))) for name in COMMANDS)
        yield from for_option_or(line, word, options, Names(line.given), lambda: commands)
        return
    command, *rest = [*line.operands, *line.rest] if line.operands else line.behind or [""]
    if command in COMMANDS:
        names = Names(line.given)
        options = command_parser(command).options()
        line = Line(rest, options)
        yield from for_option_or(
            line, word, options, names, lambda: _operands(command, line, word, names)
        )


def joined(words: "Sequence[str]") -> list[str]:
    """Return words as they were before bash has parted them at equals signs and colons."""
    whole: list[str] = []
    glued = False
    for word in words:
        parts = word and not word.strip("=:")
        if whole[1:] and (parts or glued):
            whole[-1] += word
        else:
            whole.append(word)
        glued = bool(parts)
    return whole


def for_option_or(
    line: Line,
    word: str,
    options: "Sequence[Declaration]",
    names: "Names",
    operands: "Callable[[], Iterable[str | Named]]",
) -> "Iterator[str]":
    """Yield what the word may be: an option or its value, else an operand."""
    if line.awaiting is not None:
        yield from offered(word, _values(line.awaiting, line, names, word))
    elif line.behind is None and word.startswith("--") and "=" in word:
        name, _, value = word.partition("=")
        option = long_option(name, options)
        if option is not None and option.nargs != 0:
            values = _values(option, line, names, value)
            yield from offered(value, values, before=f"{name}=")
    elif line.behind is None and word.startswith("-"):
        for option in options:
            if option.help != SUPPRESS:
                text = (option.help or "") % {"default": option.default}
                yield from offered(word, [(name, text) for name in option.option_strings])
    else:
        yield from offered(word, operands())


def _values(
    option: "Declaration", line: Line, names: "Names", word: str
) -> "Iterable[str | Named]":
    """Return what the value of an option may be."""
    if option.choices:
        return [(each, "") for each in option.choices]
    if option.dest == "release":
        return names.releases(line.given)
    if option.dest == "end":
        return names.holds()
    if option.dest == "field":
        fields = ("alias", "author", "depends", "description", "filename", "firmware", "license")
        return [(each, "") for each in (*fields, "name", "parm", "srcversion", "vermagic")]
    kind = _OF_METAVAR.get(option.metavar or "")
    return [kind] if kind and not word.startswith(":") else []


def _operands(command: str, line: Line, word: str, names: "Names") -> "Iterable[str | Named]":
    """Return what an operand of a command may be."""
    if command == "hold" and line.behind is not None:
        return [FILES if line.behind else COMMAND]
    operands = [*line.operands, *(line.behind or ())]
    if (find := _FINDERS.get(command)) is not None:
        return find(operands, line.given, word, names)
    first = next(iter(command_parser(command).operands()), None)
    if first is None or operands:
        return []
    if first.choices:
        return [(each, "") for each in first.choices]
    kind = _OF_METAVAR.get(first.metavar or "")
    return [kind] if kind else []


def _is_path(word: str) -> bool:
    return word.startswith((".", "~")) or "/" in word


if TYPE_CHECKING:
    Given = dict[str, str | bool]
    Found = Iterable[str | Named]


def _known(_before: list[str], given: "Given", word: str, names: "Names") -> "Found":
    return names.known(word, given)


def _first_known(before: list[str], given: "Given", word: str, names: "Names") -> "Found":
    return [] if before else names.known(word, given)


def _known_or_file(_before: list[str], given: "Given", word: str, names: "Names") -> "Found":
    return [MODULE_FILES] if _is_path(word) else names.known(word, given)


def _loaded(_before: list[str], _given: "Given", _word: str, names: "Names") -> "Found":
    return names.loaded()


def _modprobe(before: list[str], given: "Given", word: str, names: "Names") -> "Found":
    if "show_config" in given:
        return []
    if "remove" in given:
        return names.loaded()
    takes_names = any(name in given for name in ("all", "resolve_alias"))
    if before and not takes_names:
        return names.parameters(before[0], given)
    return [MODULE_FILES] if _is_path(word) else names.known(word, given)


def _check(before: list[str], given: "Given", word: str, names: "Names") -> "Found":
    if before:
        return names.parameters(before[0], given)
    return [MODULE_FILES] if _is_path(word) else names.known(word, given)


def _insmod(before: list[str], given: "Given", _word: str, names: "Names") -> "Found":
    return names.parameters(before[0], given) if before else [MODULE_FILES]


def _param(before: list[str], _given: "Given", _word: str, names: "Names") -> "Found":
    return names.settings(before[0]) if before else names.loaded()


def _depmod(_before: list[str], given: "Given", word: str, names: "Names") -> "Found":
    return [MODULE_FILES] if _is_path(word) else names.releases(given)


def _device(before: list[str], _given: "Given", _word: str, names: "Names") -> "Found":
    if not before:
        return [("add", ""), ("list", ""), ("remove", "")]
    return names.devices() if before == ["remove"] else []


def _fleet(before: list[str], given: "Given", word: str, names: "Names") -> "Found":
    from kmodctl.commands.fleet import ACTIONS, ROLLOUTS, TAKES_FILE

    if before in ([], ["rollout"]):
        return [(each, "") for each in (ROLLOUTS if before else ACTIONS)]
    if before in TAKES_FILE:
        return [FILES]
    return names.known(word, given) if before[0] == "explain" and len(before) == 2 else []


def _ls(before: list[str], _given: "Given", word: str, names: "Names") -> "Found":
    return [] if before else names.kernel_files(word)


def _kernel_files(_before: list[str], _given: "Given", word: str, names: "Names") -> "Found":
    return names.kernel_files(word)


_FINDERS: "dict[str, Callable[[list[str], Given, str, Names], Found]]" = {
    "insmod": _insmod,
    "modprobe": _modprobe,
    "rmmod": _loaded,
    "reload": _loaded,
    "check": _check,
    "modinfo": _known_or_file,
    "depmod": _depmod,
    "param": _param,
    "tree": _first_known,
    "graph": _known,
    "list": _first_known,
    "status": _loaded,
    "hold": _known,
    "device": _device,
    "fleet": _fleet,
    "ls": _ls,
    "cat": _kernel_files,
    "write": _ls,
    "ioctl": _ls,
    "open": _ls,
}
"""What has the operands of a command, where those are neither a file nor one of some words."""
