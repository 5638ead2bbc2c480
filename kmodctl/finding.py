# SPDX-License-Identifier: Apache-2.0
"""What ``list`` and ``search`` print: the modules of a tree, a line for each."""

from kmodctl.output import Output
from kmodctl.styles import FAINT, Styled

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from kmodctl.api import Api
    from kmodd.messages.database_service import FindModulesRequest, FoundModule

_COLUMN = 24
"""Where descriptions begin; a name that is longer has two blanks behind it."""


def print_found(request: "FindModulesRequest", api: "Api", output: Output, missing: str) -> int:
    """Print the modules that ``request`` finds; without one ``missing`` is said, and 1 returned."""
    parts = api.databases.find_modules(request)
    if output.json:
        found = [module for part in parts for module in part.modules]
        output.messages(found)
        return 0 if found else 1
    some = False
    for part in parts:
        for module in part.modules:
            some = True
            output.data(*_pieces(module, with_texts=request.descriptions))
    if not some:
        output.error(missing)
    return 0 if some else 1


def _pieces(module: "FoundModule", *, with_texts: bool) -> "list[str | Styled]":
    texts = [*_texts(module)] if with_texts else []
    if not texts:
        return [module.name]
    return [f"{f'{module.name} ':<{_COLUMN - 1}} ", *texts]


def _texts(module: "FoundModule") -> "Iterator[str | Styled]":
    """Yield what stands behind a name."""
    notes = ["builtin"] if module.builtin else []
    notes += [f"alias {alias}" for alias in module.aliases]
    if module.description:
        yield module.description
    if notes:
        yield Styled(f"{' ' if module.description else ''}({', '.join(notes)})", FAINT)
