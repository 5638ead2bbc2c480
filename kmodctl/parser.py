# SPDX-License-Identifier: Apache-2.0
"""Command lines read as getopt_long(3) reads them.

kmod's tools are getopt programs: options and operands come in any order, ``--`` ends the options,
long options may be shortened to what is unique, and a mistake is one line in the C library's
words. Scripts and users count on that.
"""

import os
import sys

from kmodctl.declarations import Declaration, DeclarationGroup
from kmodctl.nested import refusal_of
from kmodctl.output import Output
from kmodd.escapes import escaped

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any, NoReturn

LONGEST_WAIT = 86_400_000
"""Milliseconds, a day; a daemon waits for an hour at most."""

_DIGITS = {8: set("01234567"), 10: set("0123456789"), 16: set("0123456789abcdefABCDEF")}


class WrongValueError(Exception):
    """A value that an option cannot have; the message is what the tool ends with."""


class CommandOptions:
    """What a command line came to: an attribute for each option and operand."""

    def __init__(self, **values: object) -> None:
        self.__dict__.update(values)

    def __getattr__(self, name: str) -> "Any":
        raise AttributeError(f"no option is called {name}")

    if TYPE_CHECKING:

        def __setattr__(self, name: str, value: object) -> None: ...


class Parser(DeclarationGroup):
    """Reads words as getopt_long(3) does, by what was declared; fails with status 1.

    ``prog`` is what its messages begin with. Options added to ``extensions`` are those that kmod
    does not have: they have to be spelled out, so that they make no shortened option ambiguous,
    and ``parse_args`` does not know them where ``exact`` is set. Where ``behind`` is set, the words
    behind ``--`` are no operands but a list of that name. One that ``suggests`` names the options
    that a misspelt one may have been, which the C library does not. The rest is for the help:
    ``usage`` where the operands do not tell it, and whether the lines of the text stay as they are.
    """

    def __init__(
        self,
        prog: str,
        *,
        usage: str = "",
        description: str = "",
        epilog: str = "",
        keeps_lines: bool = False,
        suggests: bool = False,
    ) -> None:
        super().__init__([], extensions=False)
        self.extensions = DeclarationGroup(self.declarations, extensions=True)
        self.prog = prog
        self.usage = usage
        self.description = description
        self.epilog = epilog
        self.keeps_lines = keeps_lines
        self.suggests = suggests
        self.exact = False
        self.behind = ""

    def parse_args(
        self, words: "Sequence[str]", given: CommandOptions | None = None
    ) -> CommandOptions:
        """Read a whole command line; ends the program where it is wrong, or asks for help.

        The options are added to those that are ``given``.
        """
        result, operands = self.read(words, given)
        self._bind(operands, result)
        return result

    def read(
        self,
        words: "Sequence[str]",
        given: CommandOptions | None = None,
        *,
        operands_end: bool = False,
    ) -> tuple[CommandOptions, list[str]]:
        """Read the options of ``words`` and give them with the operands, in order.

        With ``operands_end``, or where POSIXLY_CORRECT is set, the first operand ends the options.
        In a command of modprobe.d no option may follow it.
        """
        result = CommandOptions() if given is None else given
        self._set_defaults(result)
        operands_end = operands_end or ("POSIXLY_CORRECT" in os.environ and not self.behind)
        operands: list[str] = []
        rest = iter(words)
        for word in rest:
            if word.startswith("-") and word != "-" and (why := refusal_of(word, operands)):
                self.complain(f"option '{word}' is refused in a command of modprobe.d: {why}")
            if word == "--":
                if self.behind:
                    setattr(result, self.behind, list(rest))
                break
            if word.startswith("--"):
                self._read_long(word, rest, result)
            elif word.startswith("-") and word != "-":
                self._read_short(word, rest, result)
            else:
                operands.append(word)
                if operands_end:
                    break
        return result, [*operands, *rest]

    def options(self) -> tuple[Declaration, ...]:
        """Return the options there are, in the order of their declaration."""
        return tuple(each for each in self.declarations if each.option_strings)

    def operands(self) -> tuple[Declaration, ...]:
        """Return what is declared beside the options, in order."""
        return tuple(each for each in self.declarations if not each.option_strings)

    def complain(self, message: str) -> "NoReturn":
        """End the program with a mistake in the C library's words."""
        print(f"{self.prog}: {escaped(message)}", file=sys.stderr)
        raise SystemExit(1)

    def error(self, message: str) -> "NoReturn":
        """End the program with a wrong command line."""
        self.complain(f"{message}. See -h.")

    def _set_defaults(self, options: CommandOptions) -> None:
        for each in self.declarations:
            setattr(options, each.dest, each.default)
        if self.behind:
            setattr(options, self.behind, [])

    def _read_long(self, word: str, rest: "Iterator[str]", options: CommandOptions) -> None:
        name, equals, value = word.partition("=")
        option, declaration = self._find_long(name, word)
        if declaration.nargs == 0:
            if equals:
                self.complain(f"option '{option}' doesn't allow an argument")
            self._meet(declaration, options)
            return
        if not equals:
            following = next(rest, None)
            if following is None:
                self.complain(f"option '{option}' requires an argument")
            value = following
        self._store(declaration, value, options)

    def _find_long(self, name: str, word: str) -> tuple[str, Declaration]:
        """Find the option that ``name`` is, or that it begins as no other option does."""
        known = [
            (option, declaration)
            for declaration in self.options()
            for option in declaration.option_strings
            if option.startswith("--") and option.startswith(name)
        ]
        for option, declaration in known:
            if option == name and not (self.exact and declaration.is_extension):
                return option, declaration
        known = [
            (option, declaration) for option, declaration in known if not declaration.is_extension
        ]
        if not known:
            names = [each for one in self.options() for each in one.option_strings]
            self.complain(f"unrecognized option '{word}'{self._suggestion(name, names)}")
        if any(declaration is not known[0][1] for _, declaration in known):
            possibilities = " ".join(f"'{option}'" for option, _ in known)
            self.complain(f"option '{word}' is ambiguous; possibilities: {possibilities}")
        return known[0]

    def _suggestion(self, word: str, known: "Sequence[str]") -> str:
        """Return the words on which of those known a misspelt word may have been."""
        if not self.suggests:
            return ""
        from kmodctl.suggestions import did_you_mean

        return did_you_mean(word, known)

    def _read_short(self, word: str, rest: "Iterator[str]", options: CommandOptions) -> None:
        """Read a word of one-letter options, the last of which may take what follows."""
        for at, letter in enumerate(word[1:], 2):
            option = f"-{letter}"
            known = (each for each in self.options() if option in each.option_strings)
            declaration = next(known, None)
            if declaration is None or (self.exact and declaration.is_extension):
                self.complain(f"invalid option -- '{letter}'")
            if declaration.nargs == 0:
                self._meet(declaration, options)
                continue
            value = word[at:] or next(rest, None)
            if value is None:
                self.complain(f"option requires an argument -- '{letter}'")
            self._store(declaration, value, options)
            return

    def _meet(self, declaration: Declaration, options: CommandOptions) -> None:
        """Do what an option without a value stands for."""
        if callable(declaration.action):
            declaration.action(self)
        else:
            setattr(options, declaration.dest, declaration.const)

    def _store(self, declaration: Declaration, text: str, options: CommandOptions) -> None:
        """Keep the value of an option, with those before it where it may be repeated."""
        value = self._typed(declaration, text)
        if declaration.action == "append":
            value = [*(getattr(options, declaration.dest) or ()), value]
        setattr(options, declaration.dest, value)

    def _typed(self, declaration: Declaration, text: str) -> "Any":
        """Return a value of the type that ``declaration`` asks for, if it is one of its choices.

        A WrongValueError has the message that the tool ends with, whatever -q and -s say.
        """
        try:
            value = text if declaration.type is None else declaration.type(text)
        except WrongValueError as error:
            Output(self.prog).error(str(error))
            raise SystemExit(1) from None
        except ValueError:
            self.error(f"{declaration.name}: invalid value '{text}'")
        if declaration.choices is not None and value not in declaration.choices:
            choices = ", ".join(map(str, declaration.choices))
            suggestion = self._suggestion(text, declaration.choices) or ". See -h."
            self.complain(f"{declaration.name}: '{text}' is none of {choices}{suggestion}")
        return value

    def _bind(self, operands: list[str], options: CommandOptions) -> None:
        """Give the operands to what is declared to take them, each as much as it may."""
        for declaration in self.operands():
            if declaration.nargs in ("*", "+"):
                if declaration.nargs == "+" and not operands:
                    self.error(f"missing {declaration.name}")
                values = [self._typed(declaration, text) for text in operands]
                setattr(options, declaration.dest, values)
                operands = []
            elif operands:
                setattr(options, declaration.dest, self._typed(declaration, operands.pop(0)))
            elif declaration.nargs != "?":
                self.error(f"missing {declaration.name}")
        if operands:
            self.error("too many arguments")


def add_wait(to: DeclarationGroup, for_what: str) -> None:
    """Add ``--wait`` to a parser, or to a group of its options."""
    to.add_argument(
        *("-w", "--wait"),
        dest="wait_msec",
        metavar="MSEC",
        type=milliseconds,
        default=0,
        help=f"wait so long for {for_what}",
    )


def milliseconds(text: str) -> int:
    """Return the time that strtoul(3) finds with base 0, the type of ``--wait``.

    One below 0 is none at all, and one that is longer than LONGEST_WAIT is that. Raises
    WrongValueError for anything else.
    """
    unsigned = text.lstrip(" \t\n\v\f\r")
    is_negative = unsigned.startswith("-")
    if unsigned.startswith(("+", "-")):
        unsigned = unsigned[1:]
    base = 16 if unsigned[:2] in ("0x", "0X") else 8 if unsigned.startswith("0") else 10
    digits = unsigned[2:] if base == 16 else unsigned
    if not digits or not set(digits) <= _DIGITS[base]:
        raise WrongValueError(f"unexpected wait value '{text}'.")
    # A number of that many digits is too long for Python to read.
    value = int(digits, base) if len(unsigned) < 30 else LONGEST_WAIT
    return 0 if is_negative else min(value, LONGEST_WAIT)
