# SPDX-License-Identifier: Apache-2.0
"""Command lines declared as argparse has it, and read as getopt_long(3) reads them.

kmod's tools are getopt programs: options and operands come in any order, ``--`` ends the options,
long options may be shortened to what is unique, and a mistake is one line in the C library's
words. Scripts and users count on that, and argparse has other ideas about each of these. Its
declarations are kept: from them come the help, the manual pages and the shell completion.
"""

import argparse
import os
import re
import sys
from collections.abc import Iterator, Sequence
from typing import Any, NoReturn

from kmodctl.declarations import (
    Container,
    actions_of,
    defaults_of,
    members_of,
    operands_of,
    options_of,
)
from kmodctl.nested import refusal_of
from kmodctl.output import Output

LONGEST_WAIT = 86_400_000
"""Milliseconds, a day; a daemon waits for an hour at most."""

_NUMBER = re.compile(r"[ \t\n\v\f\r]*([+-]?)(0[xX][0-9a-fA-F]+|0[0-7]*|[1-9][0-9]*)")


SUPPRESS = "==SUPPRESS=="
"""argparse's word, in place of a help, for what no help tells of."""


class CommandOptions(argparse.Namespace):
    """What a command line came to: an attribute for each option and operand."""


class Parser(argparse.ArgumentParser):
    """An ArgumentParser that reads words as getopt_long(3) does, and fails with status 1.

    ``prog`` is what its messages begin with. Options added to ``extensions`` are those that kmod
    does not have: they have to be spelled out, so that they make no shortened option ambiguous,
    and ``parse_args`` does not know them where ``exact`` is set. Where ``behind`` is set, the words
    behind ``--`` are no operands but a list of that name.
    """

    def __init__(self, **settings: Any) -> None:
        super().__init__(add_help=False, allow_abbrev=False, **settings)
        self.exact = False
        self.behind = ""
        self.extensions = self.add_argument_group("beyond kmod")

    def parse_args(  # type: ignore[override]  # what it is given and gives is the base's
        self, args: Sequence[str] | None = None, namespace: CommandOptions | None = None
    ) -> CommandOptions:
        """Read a whole command line; ends the program where it is wrong, or asks for help."""
        result, operands = self.read(sys.argv[1:] if args is None else args, namespace)
        self._bind(operands, result)
        return result

    def read(
        self,
        words: Sequence[str],
        namespace: CommandOptions | None = None,
        *,
        operands_end: bool = False,
    ) -> tuple[CommandOptions, list[str]]:
        """Read the options of ``words`` and give them with the operands, in order.

        With ``operands_end``, or where POSIXLY_CORRECT is set, the first operand ends the options.
        In a command of modprobe.d no option may follow it.
        """
        result = CommandOptions() if namespace is None else namespace
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

    def options(self) -> tuple[argparse.Action, ...]:
        """Return the options there are, in the order of their declaration."""
        return options_of(self)

    def operands(self) -> tuple[argparse.Action, ...]:
        """Return what is declared beside the options, in order."""
        return operands_of(self)

    def is_extension(self, action: argparse.Action) -> bool:
        """Tell whether kmod's tool of this name does not have the option."""
        return action in members_of(self.extensions)

    def complain(self, message: str) -> NoReturn:
        """End the program with a mistake in the C library's words."""
        print(f"{self.prog}: {message}", file=sys.stderr)
        raise SystemExit(1)

    def error(self, message: str) -> NoReturn:
        """End the program with a wrong command line."""
        self.complain(f"{message}. See -h.")

    def _set_defaults(self, namespace: CommandOptions) -> None:
        for action in actions_of(self):
            if action.dest != argparse.SUPPRESS and action.default != argparse.SUPPRESS:
                setattr(namespace, action.dest, action.default)
        for name, value in defaults_of(self).items():
            setattr(namespace, name, value)
        if self.behind:
            setattr(namespace, self.behind, [])

    def _read_long(self, word: str, rest: Iterator[str], namespace: CommandOptions) -> None:
        name, equals, value = word.partition("=")
        option, action = self._find_long(name, word)
        if action.nargs == 0:
            if equals:
                self.complain(f"option '{option}' doesn't allow an argument")
            action(self, namespace, [], option)
            return
        if not equals:
            following = next(rest, None)
            if following is None:
                self.complain(f"option '{option}' requires an argument")
            value = following
        self._store(action, option, value, namespace)

    def _find_long(self, name: str, word: str) -> tuple[str, argparse.Action]:
        """Find the option that ``name`` is, or that it begins as no other option does."""
        known = [
            (option, action)
            for action in self.options()
            for option in action.option_strings
            if option.startswith("--") and option.startswith(name)
        ]
        for option, action in known:
            if option == name and not (self.exact and self.is_extension(action)):
                return option, action
        known = [(option, action) for option, action in known if not self.is_extension(action)]
        if not known:
            self.complain(f"unrecognized option '{word}'")
        if any(action is not known[0][1] for _, action in known):
            possibilities = " ".join(f"'{option}'" for option, _ in known)
            self.complain(f"option '{word}' is ambiguous; possibilities: {possibilities}")
        return known[0]

    def _read_short(self, word: str, rest: Iterator[str], namespace: CommandOptions) -> None:
        """Read a word of one-letter options, the last of which may take what follows."""
        for at, letter in enumerate(word[1:], 2):
            option = f"-{letter}"
            known = (each for each in self.options() if option in each.option_strings)
            action = next(known, None)
            if action is None or (self.exact and self.is_extension(action)):
                self.complain(f"invalid option -- '{letter}'")
            if action.nargs == 0:
                action(self, namespace, [], option)
                continue
            value = word[at:] or next(rest, None)
            if value is None:
                self.complain(f"option requires an argument -- '{letter}'")
            self._store(action, option, value, namespace)
            return

    def _store(
        self, action: argparse.Action, option: str, text: str, namespace: CommandOptions
    ) -> None:
        action(self, namespace, self._typed(action, text), option)

    def _typed(self, action: argparse.Action, text: str) -> Any:
        """Return a value of the type that ``action`` asks for, if it is one of its choices.

        An ArgumentTypeError has the message that the tool ends with, whatever -q and -s say.
        """
        try:
            value = action.type(text) if callable(action.type) else text
        except argparse.ArgumentTypeError as error:
            Output(self.prog).error(str(error))
            raise SystemExit(1) from None
        except ValueError:
            self.error(f"{_name(action)}: invalid value '{text}'")
        if action.choices is not None and value not in action.choices:
            choices = ", ".join(map(str, action.choices))
            self.error(f"{_name(action)}: '{text}' is none of {choices}")
        return value

    def _bind(self, operands: list[str], namespace: CommandOptions) -> None:
        """Give the operands to what is declared to take them, each as much as it may."""
        for action in self.operands():
            if action.nargs in ("*", "+", argparse.REMAINDER):
                if action.nargs == "+" and not operands:
                    self.error(f"missing {_name(action)}")
                values = [self._typed(action, text) for text in operands]
                setattr(namespace, action.dest, values)
                operands = []
            elif operands:
                setattr(namespace, action.dest, self._typed(action, operands.pop(0)))
            elif action.nargs != "?":
                self.error(f"missing {_name(action)}")
        if operands:
            self.error("too many arguments")


def _name(action: argparse.Action) -> str:
    """What messages call an option or an operand."""
    if action.option_strings:
        return action.option_strings[-1]
    return str(action.metavar or action.dest)


def add_wait(to: Container, for_what: str) -> None:
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
    ArgumentTypeError for anything else.
    """
    found = _NUMBER.fullmatch(text)
    if found is None:
        raise argparse.ArgumentTypeError(f"unexpected wait value '{text}'.")
    sign, digits = found.groups()
    base = 8 if digits.isdecimal() and digits.startswith("0") else 0
    # A number of that many digits is too long for Python to read.
    value = int(digits, base) if len(digits) < 30 else LONGEST_WAIT
    return 0 if sign == "-" else min(value, LONGEST_WAIT)
