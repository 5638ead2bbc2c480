# SPDX-License-Identifier: Apache-2.0
"""The project as others get it: built, and installed in a virtual environment of its own."""

import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from tests.support.require import require


@dataclass(frozen=True, slots=True)
class Release:
    """What is built of one state of the sources."""

    sdist: Path
    wheel: Path


def build(source: Path, output: Path) -> Release:
    """Build a release into the directory ``output``, with the backend that is installed here."""
    words = ["build", "--no-isolation", "--outdir", str(output), str(source)]
    _run(sys.executable, "-m", *words)
    (sdist,) = output.glob("*.tar.gz")
    (wheel,) = output.glob("*.whl")
    return Release(sdist, wheel)


def install(wheel: Path, environment: Path) -> Path:
    """Install a wheel alone in a new virtual environment, and return that one's directory.

    What kmodd needs is found where the tests' own interpreter has it. A .pth file in that place is
    not read, so that an editable kmodd there is not found.
    """
    _make_environment(environment)
    _pip(environment / "bin/python", "--no-index", str(wheel))
    return environment


def install_editable(source: Path, environment: Path) -> Path:
    """Install the sources themselves likewise."""
    _make_environment(environment)
    _pip(environment / "bin/python", "--no-build-isolation", "-e", str(source))
    return environment


def install_below(wheel: Path, python: Path, option: str, directory: Path) -> None:
    """Install a wheel in the ``directory`` of pip's ``option``, by the interpreter ``python``."""
    _pip(python, "--no-index", "--ignore-installed", option, str(directory), str(wheel))


def _make_environment(environment: Path) -> None:
    require(find_spec("pip") is not None, "installing a wheel needs pip")
    _run(sys.executable, "-m", "venv", "--without-pip", str(environment))
    (packages,) = environment.glob("lib/python3*/site-packages")
    needed = dict.fromkeys(sysconfig.get_path(name) for name in ("purelib", "platlib"))
    (packages / "needed.pth").write_text("".join(f"{path}\n" for path in needed))


def _pip(python: Path, *words: str) -> None:
    options = ["--disable-pip-version-check", "--python", str(python)]
    _run(sys.executable, "-m", "pip", *options, "install", "-q", "--no-deps", *words)


def moved(environment: Path, place: Path) -> Path:
    """Copy a virtual environment, with its programs as if they were installed in ``place``."""
    shutil.copytree(environment, place, symlinks=True)
    start = place / "bin/kmodd-start"
    start.write_text(start.read_text().replace(str(environment), str(place), 1))
    return place


def clean_environment() -> Mapping[str, str]:
    """Return the environment without what would lead Python or mypy to the sources."""
    leading = ("PYTHONPATH", "MYPYPATH", "PYTHONHOME")
    return {name: value for name, value in os.environ.items() if name not in leading}


def _run(*words: str) -> None:
    ran = subprocess.run(
        words, env=clean_environment(), capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
