# SPDX-License-Identifier: Apache-2.0
"""What settings come to, said in words."""

from collections.abc import Iterable, Iterator

from kmodd.access.caller import Role
from kmodd.access.grants import SOURCE, Grant, has_list
from kmodd.settings.values import SocketSettings


def socket_words(settings: SocketSettings) -> str:
    """Return who may do what at a socket."""
    if not settings.grants:
        return f"{settings.path} has the role {settings.role} and the mode {settings.mode:04o}"
    return (
        f"{settings.path} has the mode {settings.mode:04o}, and the grants decide who has which "
        f"role there: at most {settings.role}, which root has, and {settings.default} where no "
        "grant fits"
    )


def grant_words(grant: Grant) -> str:
    """Return whom a grant is for, and what it gives."""
    words = f"{grant.role} where {' and '.join(_conditions(grant))}"
    if not has_list(grant.role):
        return words
    if grant.role is Role.STEWARD:
        words += f", as the source {grant.source or SOURCE}"
    denied = f" but not {_either(grant.deny)}" if grant.deny else ""
    parameters = "with" if grant.parameters else "without"
    return f"{words}, for {_either(grant.allow)}{denied}, {parameters} parameters"


def _conditions(grant: Grant) -> Iterator[str]:
    for what, names in (
        ("user", grant.users),
        ("group", grant.groups),
        ("unit", grant.units),
        ("container", grant.containers),
    ):
        if names:
            yield f"the {what} is {_either(names)}"


def _either(names: Iterable[str | int]) -> str:
    return " or ".join(map(str, names))
