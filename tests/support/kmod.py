# SPDX-License-Identifier: Apache-2.0
"""The machine's own kmod as an oracle, with a kernel of ours that it really changes.

kmod asks the kernel through /sys/module, /proc/modules and /proc/cmdline, and tells it through
three system calls. In a mount namespace of its own it finds our files there, and a library that
is preloaded (fake_kernel.c) answers the calls by changing them.
"""

import re
import shlex
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.support.here import Ran
from tests.support.modprobe import write_kernel
from tests.support.require import require

SOURCE = Path(__file__).with_name("fake_kernel.c")

_MARK = "\1end of this\1"
_AFTER_EACH = f"printf '{_MARK}%d{_MARK}' $?; printf '{_MARK}' >&2"

# What Debian's build adds to libkmod's messages: the file, the line and the function.
_PLACE = re.compile(r"(?<=ERROR):? \.\./libkmod/[\w.-]+:\d+ \w+(?:\(\))?:? ")


@dataclass(frozen=True, slots=True)
class Case:
    """One command for one state of the world.

    ``kernel`` is a directory as ``make_kernel`` makes it; ``failures`` are the modules that it does
    not load or unload, each with its errno. ``environment`` is added to the command's. ``trees``
    stands for /lib/modules, where it is given.
    """

    words: Sequence[str]
    kernel: Path
    failures: Iterable[tuple[str, int]] = ()
    environment: Iterable[tuple[str, str]] = ()
    trees: Path | None = None


def build_fake_kernel(directory: Path) -> Path:
    """Compile the library; skips without a compiler."""
    compiler = require("gcc", "kmod's system calls are answered by a library, built with gcc")
    library = directory / "fake_kernel.so"
    command = [compiler, "-shared", "-fPIC", "-O1", "-o", str(library), str(SOURCE), "-ldl"]
    subprocess.run(command, check=True, capture_output=True, text=True)
    return library


def make_kernel(
    directory: Path, loaded: Iterable[tuple[str, int, tuple[str, ...]]] = (), command_line: str = ""
) -> Path:
    """Write a kernel with these modules (name, refcount, holders), the newest first."""
    modules = list(loaded)
    write_kernel(directory, loaded=modules, command_line=command_line)
    lines = (f"{name} 16384 {count} {_users(users)} Live 0x0" for name, count, users in modules)
    (directory / "modules").write_text("".join(f"{line}\n" for line in lines))
    for name, _, _ in modules:
        (directory / "module" / name / "coresize").write_text("16384\n")
    return directory


def _users(holders: tuple[str, ...]) -> str:
    return "".join(f"{holder}," for holder in holders) or "-"


def run_kmod(cases: Sequence[Case], library: Path | None = None) -> list[Ran]:
    """Run each case; skips where kmod is missing, or a user may have no namespaces."""
    shell = _namespace()
    script = "\n".join(_script(case, library) for case in cases)
    answer = subprocess.run([*shell, "-s"], input=script.encode(), capture_output=True, check=False)
    outputs = answer.stdout.decode("utf-8", "surrogateescape").split(_MARK)[:-1]
    errors = answer.stderr.decode("utf-8", "surrogateescape").split(_MARK)[:-1]
    assert len(errors) == len(cases), answer.stderr
    return [
        Ran(output, _PLACE.sub(": ", error), int(status))
        for output, status, error in zip(outputs[::2], outputs[1::2], errors, strict=True)
    ]


def _namespace() -> list[str]:
    require("modprobe", "the comparison is with kmod")
    unshare = require("unshare", "a mount namespace needs unshare")
    shell = [unshare, "--map-root-user", "--mount", "sh"]
    tried = subprocess.run([*shell, "-c", ":"], capture_output=True, text=True, check=False)
    require(tried.returncode == 0, f"mount namespaces are not allowed: {tried.stderr.strip()}")
    return shell


def _script(case: Case, library: Path | None) -> str:
    """The lines that put the kernel in its place, run the command there, and take it away."""
    failures = " ".join(f"{name}={code}" for name, code in case.failures)
    variables = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"}
    if library is not None:
        variables |= {"LD_PRELOAD": str(library), "FAKE_ERRNO": failures}
    words = ["env", "-i", *(f"{name}={value}" for name, value in variables.items())]
    words += [*(f"{name}={value}" for name, value in case.environment), *case.words]
    places = [(case.kernel / "module", "/sys/module"), (case.kernel, "/proc")]
    if case.trees is not None:
        places.append((case.trees, "/lib/modules"))
    mounts = [shlex.join(("mount", "--bind", str(source), target)) for source, target in places]
    unmounts = [f"umount {target}" for _, target in reversed(places)]
    return "; ".join([*mounts, f"{shlex.join(words)} </dev/null", _AFTER_EACH, *unmounts])
