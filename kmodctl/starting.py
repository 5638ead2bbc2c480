# SPDX-License-Identifier: Apache-2.0
"""How the program kmodctl begins, once its script has found this package.

The script, ``kmodctl/share/programs/kmodctl``, starts the interpreter without ``site``, which takes
as long as half a call. Where something cannot be imported, it is executed again, and KMODD_TRIED
tells it the number of the attempt that failed, and why.
"""

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType
    from typing import NoReturn

TRIED_VARIABLE = "KMODD_TRIED"

_LAST = "9"
"""A number behind all attempts: what has begun is not begun again."""


class LateSite:
    """Has ``site`` look for modules, once one is missed; kmodctl imports in one thread.

    grpc may be elsewhere than kmodctl, or where a .pth file leads to.
    """

    def __init__(self, packages: str) -> None:
        self._packages = packages

    def find_spec(
        self,
        name: str,
        path: "Sequence[str] | None" = None,
        target: "ModuleType | None" = None,
    ) -> "ModuleSpec | None":
        """Return what the other finders find of a module after all."""
        sys.meta_path.remove(self)
        import site

        site.addsitedir(self._packages)
        site.main()
        found = (finder.find_spec(name, path, target) for finder in sys.meta_path)
        return next(filter(None, found), None)


def start_without_site(number: str, places: int) -> "NoReturn":
    """Become kmodctl, where the first ``places`` of ``sys.path`` are those that may have it.

    It goes behind the others, so that nothing there stands in for a module of the library.
    """
    del sys.path[:places]
    packages = os.path.dirname(os.path.dirname(__file__))
    sys.path.append(packages)
    sys.meta_path.append(LateSite(packages))
    start(number)


def start(number: str) -> "NoReturn":
    """Become kmodctl with the words in ``sys.argv``; ``number`` is that of this attempt."""
    words = tuple(sys.argv)
    name_process(os.path.basename(words[0]))
    try:
        from kmodctl.cli import run
    except Exception as error:  # of a package that is half there anything may be missing
        execute_again(words, number, error)
    try:
        run()
    except ImportError as error:
        execute_again(words, _LAST, error)


def name_process(name: str) -> None:
    """Have ps(1) show ``name``, as of a program that is executed by its own path."""
    try:
        file = os.open("/proc/self/comm", os.O_WRONLY)
        os.write(file, os.fsencode(name))
        os.close(file)
    except OSError:
        return


def execute_again(words: tuple[str, ...], number: str, error: Exception) -> "NoReturn":
    """Execute the script in place of this process, and tell it what has gone wrong."""
    reason = " ".join(str(error).split()) or type(error).__name__
    os.execve(words[0], words, {**os.environ, TRIED_VARIABLE: f"{number} {reason}"})
