# SPDX-License-Identifier: Apache-2.0
"""The virtual environment of the package, for more than one Python.

What is written in Python is there once, and beside each file its byte code for each Python; what
is compiled has the Python's number in its name. So all share one directory, to which
lib/pythonX.Y leads. The environment's python3 is the system's.

Byte code is made by each Python itself, in a bare system of its Debian's. It is believed without a
look at the source (PEP 552, unchecked), so that it is the same whenever it was made: a start
reads no file twice, and nothing is ever written into the environment.
"""

import shutil
import stat
import subprocess
import sys
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

PLACE = "/opt/kmodd"

PYTHONS = {"3.11": "bookworm", "3.13": "trixie"}
"""Each Python that the package is for, with the suite of Debian's that has it."""

MACHINES = {"amd64": "x86_64-manylinux_2_28", "arm64": "aarch64-manylinux_2_28"}
"""For which machines wheels are taken, as uv calls them, by Debian's architectures."""

SHEBANG = b"#!python"
"""How a script of a wheel begins that is to be run by the environment's Python."""

CONFIGURATION = "home = /usr/bin\ninclude-system-site-packages = false\n"
"""What makes a directory a virtual environment (pyvenv.cfg, PEP 405)."""

OF_INSTALLERS = ("RECORD", "WHEEL", "INSTALLER", "REQUESTED", "direct_url.json", "uv_cache.json")
"""What a wheel and its installer write of themselves, and dpkg knows better."""


def make_environment(project: Path, work: Path, stage: Path, architecture: str) -> None:
    """Make the environment of kmodd's sources and what requirements.txt locks, below ``stage``.

    It is at PLACE there. ``work`` takes what is between.
    """
    if architecture not in MACHINES:
        sys.exit(f"no package is made for {architecture}, only for {', '.join(MACHINES)}")
    place = stage / PLACE.lstrip("/")
    shared = place / "lib/python3/site-packages"
    shared.mkdir(parents=True)
    unpack_wheel(wheel_of(project, work), place, shared)
    for python in PYTHONS:
        found = work / f"packages-{python}"
        fetch(project / "systemd/requirements.txt", found, python, MACHINES[architecture])
        merge(found, shared)
        (place / "lib" / f"python{python}").symlink_to("python3")
    (place / "pyvenv.cfg").write_text(CONFIGURATION)
    (place / "bin/python3").symlink_to("/usr/bin/python3")
    (place / "bin/python").symlink_to("python3")
    (place / "bin/modprobe").symlink_to("kmodctl")
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda python: compile_for(python, work, place), PYTHONS))


def wheel_of(project: Path, work: Path) -> Path:
    """Build kmodd's wheel into ``work``."""
    words = ["hatchling", "build", "-t", "wheel", "-d", str(work)]
    run([sys.executable, "-m", *words], cwd=project)
    (wheel,) = work.glob("*.whl")
    return wheel


def unpack_wheel(wheel: Path, place: Path, packages: Path) -> None:
    """Install kmodd's wheel (Binary distribution format, PyPA): its packages, programs and data."""
    with zipfile.ZipFile(wheel) as archive:
        for entry in archive.infolist():
            first, _, rest = entry.filename.partition("/")
            content = archive.read(entry)
            path = packages / entry.filename
            mode = stat.S_IMODE(entry.external_attr >> 16)
            if first.endswith(".data"):
                kind, _, rest = rest.partition("/")
                path = place / ("bin" if kind == "scripts" else "") / rest
                if kind == "scripts":
                    mode = 0o755
                    if content.startswith(SHEBANG):
                        content = f"#!{PLACE}/bin/python3".encode() + content[len(SHEBANG) :]
            elif first.endswith(".dist-info") and path.name in OF_INSTALLERS:
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
            path.chmod(mode)


def fetch(lock: Path, directory: Path, python: str, platform: str) -> None:
    """Install what ``lock`` has for a Python into ``directory``, from wheels with those hashes."""
    run(
        [
            *(sys.executable, "-m", "uv", "pip", "install", "--quiet", "--no-config"),
            *("--require-hashes", "--no-deps", "--only-binary", ":all:"),
            *("--python-version", python, "--python-platform", platform),
            *("--link-mode", "copy", "--target", str(directory), "--requirements", str(lock)),
        ]
    )


def merge(found: Path, shared: Path) -> None:
    """Move the packages in ``found`` to the others; a file that is there already is the same."""
    for path in sorted(found.rglob("*")):
        relative = path.relative_to(found)
        if path.is_dir() or relative.parts[0] == "bin" or is_installers(relative):
            continue
        target = shared / relative
        if target.exists() and target.read_bytes() != path.read_bytes():
            sys.exit(f"{relative} is not the same for all of Python {', '.join(PYTHONS)}")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(path, target)


def is_installers(path: Path) -> bool:
    """Tell whether a file is of no use to who imports."""
    in_information = path.parts[0].endswith(".dist-info") and len(path.parts) == 2
    return (in_information and path.name in OF_INSTALLERS) or path.name == ".lock"


def compile_for(python: str, work: Path, place: Path) -> None:
    """Have a Python write its byte code of all packages at ``place``."""
    root = work / f"system-{python}"
    make_system(PYTHONS[python], root)
    run(
        [
            *("bwrap", "--unshare-all", "--die-with-parent", "--clearenv"),
            *("--ro-bind", str(root), "/", "--bind", str(place), PLACE),
            *("--proc", "/proc", "--dev", "/dev"),
            *("--setenv", "PYTHONHASHSEED", "0", "--setenv", "LC_ALL", "C.UTF-8"),
            *(f"/usr/bin/python{python}", "-B", "-s", "-m", "compileall", "-q"),
            *("--invalidation-mode", "unchecked-hash", f"{PLACE}/lib/python{python}/site-packages"),
        ]
    )


def make_system(suite: str, root: Path) -> None:
    """Unpack what the suite's Python needs into ``root``, without installing it."""
    # A mirror may be as it was some time ago, where the machine's apt takes that.
    settings = ("apt-config", "dump", "--format", "%v", "Acquire::Check-Valid-Until")
    answer = subprocess.run(settings, stdout=subprocess.PIPE, text=True, check=True)
    valid = answer.stdout.strip() or "true"
    run(
        [
            *("mmdebstrap", "--quiet", "--variant=extract", "--include=python3"),
            f'--aptopt=Acquire::Check-Valid-Until "{valid}"',
            *('--aptopt=Acquire::Languages "none"', suite, str(root)),
        ]
    )
    for name in ("bin", "lib", "lib64"):
        if not (root / name).exists():
            (root / name).symlink_to(f"usr/{name}")
    for name in ("dev", "proc", PLACE.lstrip("/")):
        (root / name).mkdir(parents=True, exist_ok=True)


def run(command: list[str], cwd: Path | None = None) -> None:
    """Run a program that says nothing unless it fails, which ends the build."""
    done = subprocess.run(
        command, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    if done.returncode:
        sys.exit(f"{' '.join(command[:4])} ... fails:\n{done.stdout.strip()}")
