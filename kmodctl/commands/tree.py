# SPDX-License-Identifier: Apache-2.0
"""tree: draw what a module needs, and what that needs

Below each module are those whose symbols it uses, and those that are to be loaded before or after
it (softdep). What was drawn further up is not drawn again.
"""

import sys

from kmodctl.errors import CallError
from kmodctl.output import Output
from kmodctl.parser import CommandOptions, Parser
from kmodctl.styles import FAINT, GOOD, Styled

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from kmodctl.api import Api
    from kmodd.messages.database_service import ModuleNeeds


class Lines:
    """The pieces that a tree is drawn with."""

    __slots__ = ("blank", "branch", "down", "last")

    def __init__(self, branch: str, last: str, down: str, blank: str) -> None:
        self.branch = branch
        self.last = last
        self.down = down
        self.blank = blank


UNICODE = Lines("├── ", "└── ", "│   ", "    ")
ASCII = Lines("|-- ", "`-- ", "|   ", "    ")


def configure(parser: Parser) -> None:
    """Add the arguments of tree."""
    add = parser.add_argument
    add("-S", "--set-version", dest="release", metavar="VERSION", default="", help="the release")
    add("module", metavar="MODULE", help="a module's name, or an alias")


def asks_about_files(options: CommandOptions) -> bool:
    """Tell whether a release is named."""
    return bool(options.release)


def run(options: CommandOptions, api: "Api", output: Output) -> int:
    """Draw the tree of each module that the name stands for."""
    from kmodd.messages.database_service import GetDependenciesRequest
    from kmodd.messages.module_service import ListModulesRequest

    request = GetDependenciesRequest(name=options.module, release=options.release)
    try:
        response = api.databases.get_dependencies(request)
    except CallError as error:
        if error.reason not in ("MODULE_NOT_FOUND", "INVALID_NAME"):
            raise
        output.error(f"Module {options.module} not found in directory {error.detail}")
        output.failure(error)
        return 1
    if output.json:
        output.message(response)
        return 0
    try:
        loaded = {each.name for each in api.modules.list_modules(ListModulesRequest()).modules}
    except CallError:  # a kernel without modules
        loaded = set()
    picture = _Picture({each.name: each for each in response.modules}, loaded, _lines())
    for name in response.names:
        for pieces in picture.draw(name):
            output.data(*pieces)
    return 0


def _lines() -> Lines:
    encoding = (getattr(sys.stdout, "encoding", "") or "").lower().replace("-", "")
    return UNICODE if encoding.startswith("utf") else ASCII


class _Picture:
    """Draws trees; remembers what it has drawn."""

    def __init__(self, needs: "dict[str, ModuleNeeds]", loaded: set[str], lines: Lines) -> None:
        self._needs = needs
        self._loaded = loaded
        self._lines = lines
        self._drawn: set[str] = set()

    def draw(self, name: str) -> "Iterator[list[str | Styled]]":
        """Yield the lines of the tree of ``name``, each in pieces."""
        yield self._label(name)
        yield from self._below(name, "")

    def _below(self, name: str, indent: str) -> "Iterator[list[str | Styled]]":
        """Yield the lines below ``name``; a stack of our own, as chains may be long."""
        stack = [(indent, iter(self._children(name)))]
        self._drawn.add(name)
        while stack:
            indent, children = stack[-1]
            child = next(children, None)
            if child is None:
                stack.pop()
                continue
            below, how, is_last = child
            seen = below in self._drawn and bool(self._children(below))
            line = self._lines.last if is_last else self._lines.branch
            label = self._label(below, how)
            yield [indent + line, *label, *([Styled(" (see above)", FAINT)] if seen else ())]
            if not seen:
                self._drawn.add(below)
                onward = self._lines.blank if is_last else self._lines.down
                stack.append((indent + onward, iter(self._children(below))))

    def _children(self, name: str) -> list[tuple[str, str, bool]]:
        """Return each module below ``name``, how it is needed, and whether it is the last."""
        needs = self._needs[name]
        found = [(each, "softdep, before") for each in needs.soft_before]
        found += [(each, "") for each in needs.depends]
        found += [(each, "softdep, after") for each in needs.soft_after]
        return [(each, how, at == len(found)) for at, (each, how) in enumerate(found, 1)]

    def _label(self, name: str, how: str = "") -> "list[str | Styled]":
        """Return the pieces of what is told of a module."""
        state = "builtin" if self._needs[name].builtin else ""
        if name in self._loaded:
            state = "loaded"
        if not how and not state:
            return [name]
        style = GOOD if state else FAINT
        return [name, " (", Styled(", ".join(filter(None, (how, state))), style), ")"]
