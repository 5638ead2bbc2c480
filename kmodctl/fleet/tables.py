# SPDX-License-Identifier: Apache-2.0
"""What is known of a fleet, as it is shown to people."""

from collections.abc import Iterable

from kmodctl.errors import KmodctlError
from kmodctl.fleet.model import Selector, WishFate
from kmodctl.fleet.survey import BEHIND, Survey
from kmodctl.output import Output
from kmodctl.styles import BAD, ODD, PLAIN, Styled


class BusyError(KmodctlError):
    """What is to be changed is being changed by others."""

    reason = "BUSY"


class NoSuchError(KmodctlError):
    """There is nothing of that name."""

    reason = "NO_SUCH_NAME"


STYLES = {
    WishFate.UNREADABLE.value: BAD,
    WishFate.FAILED.value: BAD,
    WishFate.DRIFTED.value: ODD,
    WishFate.PENDING.value: ODD,
    BEHIND: ODD,
    WishFate.DONE.value: PLAIN,
}
"""How a fate is shown, the worst first."""


def write_table(
    output: Output, head: tuple[str, ...], rows: Iterable[tuple[tuple[str, ...], str]]
) -> None:
    """Print rows of cells, each in a style, under a head; nothing where there are none."""
    found = list(rows)
    if not found:
        return
    columns = zip(head, *(cells for cells, _ in found), strict=True)
    widths = [max(map(len, column)) for column in columns]
    for cells, style in ((head, PLAIN), *found):
        line = "  ".join(f"{cell:<{width}}" for cell, width in zip(cells, widths, strict=True))
        output.data(Styled(line.rstrip(), style))


def shown_selector(selector: Selector) -> str:
    """Return for which nodes wishes are meant, in a line."""
    parts = [
        *(f"release {each}" for each in selector.releases),
        *(f"architecture {each}" for each in selector.architectures),
        *(f"{name}={pattern}" for name, pattern in selector.labels),
    ]
    return ", ".join(parts) or "all"


def counted(nodes: int) -> str:
    """Return a number of nodes in words."""
    return "1 node" if nodes == 1 else f"{nodes} nodes"


def tell_unreadable(found: Survey, output: Output) -> bool:
    """Warn of what cannot be read; tell whether there is any such."""
    for problem in found.problems:
        output.warning(problem)
    return bool(found.problems)
