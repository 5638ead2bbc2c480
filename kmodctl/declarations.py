# SPDX-License-Identifier: Apache-2.0
"""What was declared to an argparse parser: the one place that knows argparse's private names.

argparse takes declarations and tells of them only in its own help. Reading words in another way,
manual pages and completions all need them. These names are as old as argparse is; where one goes,
only this file has to follow.
"""

import argparse
from typing import Any

Container = argparse._ActionsContainer
"""What declarations are made to: a parser, or a group of its options."""


def actions_of(declared: argparse.ArgumentParser) -> tuple[argparse.Action, ...]:
    """Return the options and operands of a parser, in the order of their declaration."""
    return tuple(declared._actions)


def options_of(parser: argparse.ArgumentParser) -> tuple[argparse.Action, ...]:
    """Return the options alone."""
    return tuple(action for action in actions_of(parser) if action.option_strings)


def operands_of(parser: argparse.ArgumentParser) -> tuple[argparse.Action, ...]:
    """Return what is declared beside the options."""
    return tuple(action for action in actions_of(parser) if not action.option_strings)


def members_of(group: argparse._ArgumentGroup) -> tuple[argparse.Action, ...]:
    """Return what was added to a group."""
    return tuple(group._group_actions)


def defaults_of(parser: argparse.ArgumentParser) -> dict[str, Any]:
    """Return what ``set_defaults`` was told, by name."""
    return dict(parser._defaults)


def subparsers_of(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    """Return the parsers below a parser by name; raises ValueError where there are none."""
    for action in actions_of(parser):
        if isinstance(action, argparse._SubParsersAction):
            return dict(action.choices)
    raise ValueError(f"{parser.prog} has no commands")
