# SPDX-License-Identifier: Apache-2.0
"""Parameters that a request gives: whether they can be handed on, and what they are given for."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from kmodd.errors import Reason, RequestError
from kmodd.kernel.base import Kernel

PARAMETERS_MAX = 64 << 10
"""Bytes of the longest parameters; the kernel takes a page or so, a command's environment more."""


_ARGUMENT = re.compile(r'(?:[^\s"]|"[^"]*"?)+')
_YES = re.compile(r"[yYtT1]|[oO][nN]")
_NO = re.compile(r"[nNfF0]|[oO][fF]")


@dataclass(frozen=True, slots=True)
class IgnoredParameter:
    """A parameter given for a module that is in the kernel already.

    ``in_force`` is the value that it has there, None where that is not known.
    """

    module: str
    given: str
    in_force: str | None


def check_parameters(text: str) -> None:
    """Raise RequestError (INVALID_PARAMETER) for what cannot be handed to a kernel."""
    if "\0" in text:
        raise RequestError(Reason.INVALID_PARAMETER, "a NUL byte in the parameters")
    if len(text.encode("utf-8", "surrogateescape")) > PARAMETERS_MAX:
        raise RequestError(
            Reason.INVALID_PARAMETER, f"parameters of more than {PARAMETERS_MAX} bytes"
        )


def ignored_parameters(kernel: Kernel, module: str, text: str) -> Iterator[IgnoredParameter]:
    """Yield the parameters of ``text`` that the kernel's ``module`` does not have as given."""
    details = kernel.details(module)
    values = {each.name: each.value for each in details.parameters} if details else {}
    for given in _ARGUMENT.findall(text):
        name, equals, value = given.partition("=")
        in_force = values.get(name.replace("-", "_"))
        if in_force is None or not _is_same(value.strip('"') if equals else "y", in_force):
            yield IgnoredParameter(module, given, in_force)


def _is_same(given: str, in_force: str) -> bool:
    """Compare a value with what /sys shows: a bool is Y or N there, however it was given."""
    spelled = {"Y": _YES, "N": _NO}.get(in_force)
    return given == in_force or (spelled is not None and spelled.match(given) is not None)
