# SPDX-License-Identifier: Apache-2.0
"""The help of a command line: argparse writes it, and is imported for nothing else."""

import argparse
from typing import Any

from kmodctl.declarations import SUPPRESS, Declaration
from kmodctl.parser import Parser


def help_of(parser: Parser) -> str:
    """Return the whole help, as wide as the terminal."""
    return _argparser(parser).format_help()


def usage_of(parser: Parser) -> str:
    """Return the line of usage, which the help begins with."""
    return _argparser(parser).format_usage()


def _argparser(parser: Parser) -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog=parser.prog,
        usage=parser.usage or _usage(parser),
        description=parser.description,
        epilog=parser.epilog,
        formatter_class=(
            argparse.RawDescriptionHelpFormatter if parser.keeps_lines else argparse.HelpFormatter
        ),
        add_help=False,
    )
    extensions = made.add_argument_group("beyond kmod")
    for each in parser.declarations:
        if each.help == SUPPRESS:
            continue
        group = extensions if each.is_extension else made
        group.add_argument(*each.option_strings, **_settings(each))
    return made


def _settings(declaration: Declaration) -> dict[str, Any]:
    """Return what argparse is to know of an option or an operand to write of it."""
    settings: dict[str, Any] = {
        "dest": declaration.dest,
        "default": declaration.default,
        "help": declaration.help,
    }
    if declaration.nargs == 0:
        return settings | {"action": "store_true"}
    return settings | {
        "nargs": declaration.nargs,
        "choices": declaration.choices,
        "metavar": declaration.metavar,
    }


def _usage(parser: Parser) -> str:
    shown = (each for each in parser.operands() if each.help != SUPPRESS)
    behind = (f"-- {parser.behind.upper()}...",) if parser.behind else ()
    return " ".join(["%(prog)s [options]", *map(_shape, shown), *behind])


def _shape(operand: Declaration) -> str:
    """Return how an operand is written in a line of usage."""
    if "[" in operand.name:
        return operand.name
    shapes = {"*": f"[{operand.name}...]", "+": f"{operand.name}...", "?": f"[{operand.name}]"}
    return shapes.get(str(operand.nargs), operand.name)
