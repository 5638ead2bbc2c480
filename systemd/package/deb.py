#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Builds the Debian package of kmodd as a service, kmodd_VERSION-REVISION_ARCHITECTURE.deb.

It has a virtual environment in /opt/kmodd (``environment``), for the Pythons of Debian 12 and of
Debian 13 alike: so there is one package, which goes on working when the one is upgraded to the
other. The rest are the units and what belongs to them, and manual pages and completions where
programs look for them.

The same commit makes the same bytes: all times are SOURCE_DATE_EPOCH, or the commit's.
"""

import argparse
import gzip
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from environment import PLACE, PYTHONS, make_environment

HERE = Path(__file__).parent
PROJECT = HERE.parents[1]
SYSTEMD = PROJECT / "systemd"

SCRIPTS = ("preinst", "postinst", "prerm", "postrm")

CONFFILES = {"etc/kmodd/kmodd.toml": SYSTEMD / "kmodd.toml"}
"""What the administrator may change, by its place (deb-conffiles(5))."""

COMPLETIONS = {
    "usr/share/bash-completion/completions/kmodctl": "bash-completion/completions/kmodctl",
    "usr/share/zsh/vendor-completions/_kmodctl": "zsh/site-functions/_kmodctl",
    "usr/share/fish/vendor_completions.d/kmodctl.fish": "fish/vendor_completions.d/kmodctl.fish",
}
"""Where Debian's shells look, and which file of the wheel's that is."""

LINKS = {
    "usr/bin/kmodctl": f"{PLACE}/bin/kmodctl",
    "usr/sbin/kmodd": f"{PLACE}/bin/kmodd",
}

FILE, PROGRAM = 0o644, 0o755

COMPRESSION = ("-Zxz", "-z2", "--threads-max=1")
"""A tenth larger than with dpkg's own, in a quarter of the time, and whatever the processors."""


def main() -> None:
    """Build the package, and print where it is."""
    parser = argparse.ArgumentParser(prog="build-deb", description=__doc__)
    output = PROJECT / "dist"
    parser.add_argument("--output", type=Path, default=output, help="where it goes (dist)")
    parser.add_argument("--revision", default="1", help="of the package of one version (1)")
    options = parser.parse_args()
    for tool in ("dpkg-deb", "mmdebstrap", "bwrap"):
        if shutil.which(tool) is None:
            parser.error(f"there is no {tool} here: install dpkg, mmdebstrap and bubblewrap")
    version = f"{version_of(PROJECT)}-{options.revision}"
    options.output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="kmodd-deb-") as directory:
        print(build(Path(directory), version, options.output))


def version_of(project: Path) -> str:
    """Return the version that the sources say they have."""
    text = (project / "kmodd/__init__.py").read_text()
    found = re.search(r'^__version__ = "(.+)"$', text, re.MULTILINE)
    if found is None:
        sys.exit(f"{project} does not say which version it is")
    return found[1]


def build(work: Path, version: str, output: Path) -> Path:
    """Build the package in ``work``; returns its file in ``output``."""
    epoch = time_of_sources()
    os.environ["SOURCE_DATE_EPOCH"] = str(epoch)  # for hatchling and dpkg-deb
    architecture = said_by("dpkg", "--print-architecture")
    stage = work / "stage"
    make_environment(PROJECT, work, stage, architecture)
    add_services(stage)
    add_documents(stage, version, epoch)
    add_control(stage, version, architecture)
    settle(stage, epoch)
    package = output / f"kmodd_{version}_{architecture}.deb"
    subprocess.run(
        ["dpkg-deb", "--root-owner-group", *COMPRESSION, "--build", str(stage), str(package)],
        stdout=subprocess.DEVNULL,
        check=True,
    )
    return package


def time_of_sources() -> int:
    """Return the time of the commit, in seconds since 1970, unless the environment has another."""
    given = os.environ.get("SOURCE_DATE_EPOCH")
    if given is None and (PROJECT / ".git").exists():
        trust = ("-c", f"safe.directory={PROJECT}")
        given = said_by("git", *trust, "-C", str(PROJECT), "log", "-1", "--format=%ct")
    if given is None:
        sys.exit("this is no checkout of git's: SOURCE_DATE_EPOCH is to say the time of the files")
    return int(given)


def said_by(*command: str) -> str:
    """Return the line that a program says."""
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout.strip()


def add_services(stage: Path) -> None:
    """Add the units, the groups, the directories and the settings."""
    for source in (*SYSTEMD.glob("kmodd*.service"), *SYSTEMD.glob("kmodd*.socket")):
        put(stage / "usr/lib/systemd/system" / source.name, source.read_bytes())
    for kind in ("sysusers.d", "tmpfiles.d"):
        put(stage / "usr/lib" / kind / "kmodd.conf", (SYSTEMD / kind / "kmodd.conf").read_bytes())
    # systemd's own package has the catalog taken in (its trigger on the directory).
    catalog = "kmodd.catalog"
    put(stage / "usr/lib/systemd/catalog" / catalog, (SYSTEMD / catalog).read_bytes())
    for place, source in CONFFILES.items():
        put(stage / place, source.read_bytes())


def add_documents(stage: Path, version: str, epoch: int) -> None:
    """Add links to the programs, and what is to be read, where people and shells look for it."""
    share = stage / PLACE.lstrip("/") / "share"
    links = LINKS | {place: f"{PLACE}/share/{name}" for place, name in COMPLETIONS.items()}
    for place, target in links.items():
        (stage / place).parent.mkdir(parents=True, exist_ok=True)
        (stage / place).symlink_to(target)
    for page in sorted(share.glob("man/man*/*")):
        put(stage / "usr/share" / f"{page.relative_to(share)}.gz", packed(page.read_bytes()))
    shutil.rmtree(share / "man")
    documents = stage / "usr/share/doc/kmodd"
    put(documents / "copyright", (HERE / "copyright").read_bytes())
    for example in ("grafana-dashboard.json", "kmodd-alerts.yml"):
        put(documents / "examples" / example, (SYSTEMD / example).read_bytes())
    put(documents / "changelog.gz", packed((PROJECT / "CHANGELOG.md").read_bytes()))
    date = datetime.fromtimestamp(epoch, UTC).strftime("%a, %d %b %Y %H:%M:%S +0000")
    entry = (HERE / "changelog.in").read_text().format(version=version, date=date)
    put(documents / "changelog.Debian.gz", packed(entry.encode()))
    put(stage / "usr/share/lintian/overrides/kmodd", (HERE / "lintian-overrides").read_bytes())


def add_control(stage: Path, version: str, architecture: str) -> None:
    """Add what dpkg goes by."""
    control = stage / "DEBIAN"
    files = sorted(path for path in stage.rglob("*") if path.is_file() and not path.is_symlink())
    sums = (
        f"{hashlib.md5(path.read_bytes()).hexdigest()}  {path.relative_to(stage)}\n"
        for path in files
        if str(path.relative_to(stage)) not in CONFFILES
    )
    put(control / "md5sums", "".join(sums).encode())
    put(control / "conffiles", "".join(f"/{place}\n" for place in CONFFILES).encode())
    text = (HERE / "control.in").read_text()
    kibibytes = sum(-(-path.stat().st_size // 1024) for path in files)
    put(
        control / "control",
        text.format(
            version=version, architecture=architecture, size=kibibytes, pythons=needed_pythons()
        ).encode(),
    )
    for name in SCRIPTS:
        put(control / name, (HERE / name).read_bytes(), PROGRAM)


def needed_pythons() -> str:
    """Return the relations for the Pythons that the package is for, and none between them."""
    numbers = sorted(tuple(map(int, each.split("."))) for each in PYTHONS)
    following = [f"{major}.{minor + 1}" for major, minor in numbers]
    between = (
        f"python3 (<< {end}~) | python3 (>= {major}.{minor}~)"
        for end, (major, minor) in zip(following, numbers[1:], strict=False)
    )
    first = ".".join(map(str, numbers[0]))
    return ", ".join((f"python3 (>= {first}~)", *between, f"python3 (<< {following[-1]}~)"))


def put(path: Path, content: bytes, mode: int = FILE) -> None:
    """Write a file, with the directories above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    path.chmod(mode)


def packed(content: bytes) -> bytes:
    """Return it as gzip -9n makes it, which Debian's policy wants (12.1, 12.7)."""
    return gzip.compress(content, 9, mtime=0)


def settle(stage: Path, epoch: int) -> None:
    """Give all files the modes of a package, whoever has them here, and one time."""
    for path in (stage, *stage.rglob("*")):
        if not path.is_symlink():
            path.chmod(PROGRAM if path.is_dir() or is_program(path) else FILE)
        os.utime(path, (epoch, epoch), follow_symlinks=False)


def is_program(path: Path) -> bool:
    """Tell whether a file is to be executed, and can be; wheels say so of others, too."""
    return path.stat().st_mode & 0o100 != 0 and path.read_bytes()[:2] == b"#!"


if __name__ == "__main__":
    main()
