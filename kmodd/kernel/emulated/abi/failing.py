# SPDX-License-Identifier: Apache-2.0
"""How kernel functions fail, and which of them take something back: beside their prototypes.

Who declares a function may say with what it fails where the kernel has nothing to give: NULL, an
errno below zero, or one in a pointer (include/linux/err.h). A check has each such call of a module
fail once. What no failure is declared of, or a kernel's function that cannot fail, is left alone.
"""

import errno
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Before = Callable[..., Any]
"""What a function has done by the time that it fails: (kernel, *arguments)."""

KERNEL_ERRNOS = {
    "ERESTARTSYS": 512,
    "ERESTARTNOINTR": 513,
    "ERESTARTNOHAND": 514,
    "ENOIOCTLCMD": 515,
    "ERESTART_RESTARTBLOCK": 516,
    "EPROBE_DEFER": 517,
    "EOPENSTALE": 518,
    "ENOPARAM": 519,
    "EBADHANDLE": 521,
    "ENOTSYNC": 522,
    "EBADCOOKIE": 523,
    "ENOTSUPP": 524,
    "ETOOSMALL": 525,
    "ESERVERFAULT": 526,
    "EBADTYPE": 527,
    "EJUKEBOX": 528,
    "EIOCBQUEUED": 529,
}
"""Errnos that the kernel has for itself (include/linux/errno.h)."""

_UNFAILING, _TOLERANT = set[str](), set[str]()

_SHAPE = re.compile(r"NULL|false|-(?P<plain>E\w+)|ERR_PTR\(-(?P<pointer>E\w+)\)")


@dataclass(frozen=True, slots=True)
class Failing:
    """One function's failure.

    ``shown`` is what is returned as C has it, ``result`` the same in the register. What
    ``may_be_ignored`` is of no consequence to who goes on without it; of what ``is_optional`` one
    may do without, but has to look. ``before`` is what is done even so.
    """

    shown: str
    result: int
    may_be_ignored: bool = False
    is_optional: bool = False
    before: Before | None = None


FAILING: dict[str, Failing] = {}
"""How functions fail, by name."""

GIVES_BACK: dict[str, frozenset[str]] = {}
"""What functions take back, by name: the kinds that a ledger has, of which there must be one."""


def fails(
    how: str,
    names: str,
    *,
    may_be_ignored: bool = False,
    is_optional: bool = False,
    before: Before | None = None,
) -> None:
    """Declare with what functions fail; ``names`` are separated by white space.

    ``how`` is "NULL", "false", "-ENOMEM" or "ERR_PTR(-ENOMEM)". Raises ValueError for another.
    """
    failing = Failing(how, _result(how), may_be_ignored, is_optional, before)
    FAILING.update(dict.fromkeys(names.split(), failing))


def fails_else(how: str, name: str) -> None:
    """Declare with what a function fails of which nobody says so."""
    if name not in _UNFAILING:
        FAILING.setdefault(name, Failing(how, _result(how)))


def cannot_fail(names: str) -> None:
    """Declare that functions never fail, though they could say so."""
    for name in names.split():
        _UNFAILING.add(name)
        FAILING.pop(name, None)


def gives_back(kinds: str, names: str) -> None:
    """Declare that functions take back one thing of these kinds, which are separated by commas."""
    found = frozenset(each.strip() for each in kinds.split(","))
    for name in names.split():
        if name not in _TOLERANT:
            GIVES_BACK[name] = GIVES_BACK.get(name, frozenset()) | found


def may_give_nothing(names: str) -> None:
    """Declare that functions see for themselves whether there is anything to take back."""
    for name in names.split():
        _TOLERANT.add(name)
        GIVES_BACK.pop(name, None)


def _result(how: str) -> int:
    found = _SHAPE.fullmatch(how)
    if found is None:
        raise ValueError(f"no way to fail: {how}")
    name = found["plain"] or found["pointer"]
    if name is None:
        return 0
    return -(KERNEL_ERRNOS.get(name) or int(getattr(errno, name)))
