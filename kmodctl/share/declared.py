# SPDX-License-Identifier: Apache-2.0
"""What was declared to an argparse parser: the one place that knows argparse's private names.

argparse takes declarations and tells of them only in its own help. The manual page of kmodd needs
them, too. These names are as old as argparse is; where one goes, only this file has to follow.
"""

import argparse


def options_of(parser: argparse.ArgumentParser) -> tuple[argparse.Action, ...]:
    """Return the options of a parser, in the order of their declaration."""
    return tuple(action for action in parser._actions if action.option_strings)


def operands_of(parser: argparse.ArgumentParser) -> tuple[argparse.Action, ...]:
    """Return what is declared beside the options, in order."""
    return tuple(action for action in parser._actions if not action.option_strings)


def subparsers_of(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    """Return the parsers below a parser by name; raises ValueError where there are none."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            return dict(action.choices)
    raise ValueError(f"{parser.prog} has no commands")


def summaries_of(parser: argparse.ArgumentParser) -> dict[str, str]:
    """Return what is said of each parser below a parser, in a line."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            return {each.dest: each.help or "" for each in action._choices_actions}
    return {}
