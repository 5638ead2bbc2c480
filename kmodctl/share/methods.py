# SPDX-License-Identifier: Apache-2.0
"""The table of the API's methods in kmodd-api(7).

The page has it between two comment lines, within a table of tbl(1) with three columns: the method,
the least role that it takes, and the least role on a real kernel where that is another one.
"""

from collections.abc import Iterator

from kmodd.access.policy import METHODS

BEGIN = '.\\" methods: begin\n'
END = '.\\" methods: end\n'


def with_methods(page: str) -> str:
    """Return ``page`` with the methods of now; raises ValueError where no lines are for them."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"the page lacks {BEGIN!r} or {END!r}")
    return before + begin + "".join(_rows()) + end + after


def _rows() -> Iterator[str]:
    for path, policy in METHODS.items():
        cells = [path.rpartition(".")[2], policy.role]
        if policy.role_on_real_kernel is not policy.role:
            cells.append(policy.role_on_real_kernel)
        yield "\t".join(cells) + "\n"
