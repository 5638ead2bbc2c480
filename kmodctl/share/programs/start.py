#!python
# SPDX-License-Identifier: Apache-2.0
"""Starts kmodctl and kmodd wherever their packages are, for the script by their names.

    python3 -I -S kmodd-start NUMBER PACKAGE PROGRAM [WORD...]

An installer writes the path of its interpreter into the first line, where the script reads it.
Where the packages cannot be imported, PROGRAM is executed again, and KMODD_TRIED tells it the
NUMBER of the attempt that failed, and why.
"""

import os
import site
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

_VERSION = f"python{sys.version_info[0]}.{sys.version_info[1]}"

_SITES = (
    f"lib/{_VERSION}/site-packages",
    "lib/python3/dist-packages",  # Debian's own
    f"lib/{_VERSION}/dist-packages",  # and what pip adds to it
    f"lib64/{_VERSION}/site-packages",
    "lib/python",  # pip install --home
)
"""Where packages may be, below the directory that has ``bin``."""


def main() -> "NoReturn":
    """Become the program; where it cannot be imported, execute the script again."""
    if len(sys.argv) < 4:
        sys.exit("kmodd-start is for kmodctl and kmodd, which execute it")
    number, package, *sys.argv = sys.argv[1:]
    try:
        _find_packages()
        if package == "kmodd" and sys.argv[1:] == ["front"]:  # which is started anew, and soon
            from kmodd.front.__main__ import main as run
        elif package == "kmodd":
            from kmodd.__main__ import main as run
        from kmodctl.starting import name_process, start
    except Exception as error:  # of a package that is half there anything may be missing
        reason = " ".join(str(error).split()) or type(error).__name__
        tried = {"KMODD_TRIED": f"{number} {reason}"}
        os.execve(sys.argv[0], sys.argv, {**os.environ, **tried})
    if package != "kmodd":
        start(number)
    name_process(os.path.basename(sys.argv[0]))
    sys.exit(run())


def _find_packages() -> None:
    """Have all places in ``sys.path`` that packages may be in, and import both of kmodd's.

    They are those beside this program, if there are any. Raises ImportError.
    """
    prefix = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))
    sites = [os.path.join(prefix, each) for each in _SITES]
    for each in filter(os.path.isdir, sites):
        site.addsitedir(each)
    site.main()
    before = sys.path[:]
    # pip install --target has the packages beside bin.
    sys.path[:0] = [
        each for each in (*sites, prefix) if os.path.exists(f"{each}/kmodctl/__init__.py")
    ]
    import kmodctl
    import kmodd  # noqa: F401

    # Nothing else that is there is to stand in for a module of the library.
    packages = os.path.dirname(os.path.dirname(kmodctl.__file__))
    sys.path[:] = [*before, *({packages} - {*before})]


if __name__ == "__main__":
    main()
