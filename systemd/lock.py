#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes what the service's environment consists of, each distribution with its version and hashes.

requirements.txt is what kmodd needs, build-requirements.txt what it is built with, and
package/requirements.txt what Debian's package is, all for every Python that it supports and every
machine. A version stays until pyproject.toml does not allow it
any more, or ``--upgrade`` is given. With ``--check`` nothing is written, and the exit status says
whether anything would have been. It needs uv, of the extra "test", and that one's index.
"""

import argparse
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

HERE = Path(__file__).parent
PROJECT = HERE.parent

OLDEST = "3.11"
"""The oldest Python that is supported."""

HEAD = "# Made by systemd/lock.py of what pyproject.toml has. Do not edit it.\n"

TESTED = ("--extra", "emulator", "--extra", "test")
"""What is resolved first: the service is to have the versions that the tests run with."""


def main() -> None:
    """Write the files, or say whether they are as they should be."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing, and fail if stale")
    parser.add_argument("--upgrade", action="store_true", help="take the newest versions")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        made = locks(Path(directory), upgrade=options.upgrade)
    stale = [path for path, text in made.items() if not path.exists() or is_stale(path, text)]
    if not options.check:
        for path in stale:
            path.write_text(made[path])
    elif stale:
        sys.exit(f"to be made anew by systemd/lock.py: {', '.join(map(str, stale))}")


def is_stale(path: Path, made: str) -> bool:
    """Tell whether a file has another version than ``made``, or a file that its index has not.

    Files that were added to a version later do no harm.
    """
    (lines, hashes), (new_lines, new_hashes) = map(taken_apart, (path.read_text(), made))
    return lines != new_lines or not hashes <= new_hashes


def taken_apart(text: str) -> tuple[list[str], set[str]]:
    """Return the lines without hashes, and the hashes."""
    words = [line.strip(" \\") for line in text.splitlines()]
    hashes = {word for word in words if word.startswith("--hash=")}
    return [word for word in words if word not in hashes], hashes


def locks(work: Path, *, upgrade: bool) -> dict[Path, str]:
    """Return the text of each file; ``work`` is a directory for what is between."""
    needed, built = HERE / "requirements.txt", HERE / "build-requirements.txt"
    packed = HERE / "package/requirements.txt"
    project = PROJECT / "pyproject.toml"
    requires = tomllib.loads(project.read_text())["build-system"]["requires"]
    tools, packing = work / "build.in", work / "package.in"
    tools.write_text("\n".join(requires))
    packing.write_text("\n".join([*requires, "uv"]))
    before = needed.read_text() if needed.exists() and not upgrade else ""
    known = resolved(work, project, before, *TESTED)
    return {
        needed: HEAD + resolved(work, project, known, "--generate-hashes"),
        built: HEAD + resolved(work, tools, known, "--generate-hashes", "--no-annotate"),
        packed: HEAD + resolved(work, packing, known, "--generate-hashes", "--no-annotate"),
    }


def resolved(work: Path, source: Path, known: str, *options: str) -> str:
    """Return what ``source`` asks for, in the versions of ``known`` where that has some."""
    output = work / "resolved.txt"
    output.write_text(known)
    command = [
        *(sys.executable, "-m", "uv", "pip", "compile", "--quiet", "--no-config", "--no-header"),
        *("--universal", "--python-version", OLDEST, *options),
        *("--output-file", str(output), source.name),
    ]
    subprocess.run(command, cwd=source.parent, check=True)
    return output.read_text()


if __name__ == "__main__":
    main()
