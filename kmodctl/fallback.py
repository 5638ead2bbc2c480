# SPDX-License-Identifier: Apache-2.0
"""The real kmod, which is executed in place of kmodctl where no daemon has the running kernel.

A system boots before its daemons do. Where /sbin/modprobe is a link to kmodctl, whoever calls it
then gets what the distribution's own program does.
"""

import os
import sys

from kmodctl.environment import environment
from kmodctl.errors import KmodctlError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

REAL_KMOD_VARIABLE = "KMODD_REAL_KMOD"
"""Names the preserved program in the environment; its word is final."""

_DIRECTORIES = ("/usr/bin", "/bin", "/usr/sbin", "/sbin")

_DIVERTED = ".distrib"
"""What dpkg-divert(1) adds to the name of a file that it puts aside."""


def execute_real_kmod(tool: str, words: "Sequence[str]") -> None:
    """Become the real ``tool`` with these words; raises KmodctlError where there is none."""
    program = find_real_kmod(tool, environment(), sys.argv[0])
    if program is None:
        raise KmodctlError(
            f"no daemon answers, and the real {tool} is not found; {REAL_KMOD_VARIABLE} may name it"
        )
    sys.stdout.flush()
    sys.stderr.flush()
    # kmod is the tool that it is called by the name of.
    os.execve(program, [tool, *words], environment())


def find_real_kmod(tool: str, environment: "Mapping[str, str]", own: str) -> str | None:
    """Return the path of the preserved program, which is never ``own``, this very program."""
    given = environment.get(REAL_KMOD_VARIABLE)
    for path in (given,) if given else _candidates(tool):
        if os.access(path, os.X_OK) and os.path.realpath(path) != os.path.realpath(own):
            return path
    return None


def _candidates(tool: str) -> "Iterator[str]":
    """Yield where the program may be: the one for all tools, then what was put aside."""
    for name in ("kmod", f"kmod{_DIVERTED}", f"{tool}{_DIVERTED}"):
        yield from (f"{directory}/{name}" for directory in _DIRECTORIES)
