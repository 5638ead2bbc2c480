# SPDX-License-Identifier: Apache-2.0
"""What a command line may have: its options and operands, as they are declared.

Calls and attributes have argparse's names, since help, manual pages and completions are made from
argparse's declarations and from these alike. Importing argparse takes longer than a whole call.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

SUPPRESS = "==SUPPRESS=="
"""argparse's word, in place of a help, for what no help tells of."""


class Declaration:
    """An option or an operand; argparse's documentation tells of the attributes.

    ``action`` is "store", "append", "store_true", "store_const", or a function that is called with
    the parser. ``type`` makes a value of a word. ``is_extension`` tells that kmod's tool of this
    name does not have the option.
    """

    __slots__ = (
        *("action", "choices", "const", "default", "dest", "help", "is_extension"),
        *("metavar", "nargs", "option_strings", "type"),
    )

    def __init__(self, *names: str, is_extension: bool, **settings: "Any") -> None:
        take = settings.pop
        self.option_strings = names if names[0].startswith("-") else ()
        self.is_extension = is_extension
        self.dest: str = take("dest", _destination(names))
        self.action: str | Callable[[Any], object] = take("action", "store")
        is_flag = self.action not in ("store", "append")
        self.nargs: int | str | None = take("nargs", 0 if is_flag else None)
        self.const: object = take("const", True)
        self.default: object = take("default", False if self.action == "store_true" else None)
        self.type: Callable[[str], object] | None = take("type", None)
        self.choices: Sequence[str] | None = take("choices", None)
        self.metavar: str | None = take("metavar", None)
        self.help: str | None = take("help", None)
        if settings:
            raise TypeError(f"{names[0]} is declared with {', '.join(settings)}")

    @property
    def name(self) -> str:
        """What messages call it."""
        return self.option_strings[-1] if self.option_strings else self.metavar or self.dest


def _destination(names: "Sequence[str]") -> str:
    """Return the attribute that holds the value: the first long option's name, or the first."""
    chosen = next((name for name in names if name.startswith("--")), names[0])
    return chosen.lstrip("-").replace("-", "_")


class DeclarationGroup:
    """Takes declarations of one kind into a list that it may share with other groups."""

    def __init__(self, declarations: list[Declaration], *, extensions: bool) -> None:
        self.declarations = declarations
        self._extensions = extensions

    def add_argument(self, *names: str, **settings: "Any") -> None:
        """Declare an option by its names, or an operand by its one, as argparse has it."""
        self.declarations.append(Declaration(*names, is_extension=self._extensions, **settings))
