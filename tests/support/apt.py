# SPDX-License-Identifier: Apache-2.0
"""Debian's packages, asked for and downloaded with apt: of the machine's suite, and of others."""

import os
import re
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from tests.support.require import require

NEED = "Debian's packages need apt-get and dpkg, and package lists (apt-get update)"
LISTS_SECONDS = 24 * 3600
"""Seconds for which the lists of another suite are new enough."""

ARCHITECTURE = "amd64"
"""The architecture of what is downloaded of other suites."""


@dataclass(frozen=True, slots=True)
class Apt:
    """apt with these options: the machine's own without any. What cannot be had skips the test."""

    options: tuple[str, ...] = ()

    def newest(self, kind: str, architecture: str) -> str:
        """Return the release that the metapackage ``kind``-ARCHITECTURE depends on."""
        return _found(rf"Depends: {kind}-(\d\S+)", self._depends(f"{kind}-{architecture}"))

    def needed(self, package: str) -> list[str]:
        """Return the packages that ``package`` depends on, the first of each choice."""
        return re.findall(r"^ {2}Depends: ([^\s<]+)$", self._depends(package), re.MULTILINE)

    def file_name(self, package: str) -> str:
        """Return the file name of the current version, which tells one build from the next."""
        listing = output("apt-get", *self.options, "download", "--print-uris", package)
        return _found(r"' (\S+\.deb) ", listing)

    def download(self, package: str, directory: Path) -> Path:
        """Download ``package`` into ``directory``, and return the file."""
        # As root, apt downloads as a user of its own, who cannot write here.
        sandbox = ["-o", "APT::Sandbox::User=root"] if os.geteuid() == 0 else []
        name = self.file_name(package)
        command = ["apt-get", "-qq", *self.options, *sandbox, "download", package]
        answer = subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False)
        require(answer.returncode == 0, f"cannot download {package}: {answer.stderr.strip()}")
        return directory / name

    def _depends(self, package: str) -> str:
        return output("apt-cache", *self.options, "depends", "--important", package)


def machine_architecture() -> str:
    """Return Debian's name of the machine's architecture; skips without dpkg."""
    return output("dpkg", "--print-architecture").strip()


def machine_suite() -> str:
    """Return the suite that the machine has, "bookworm"; "" where that is none of Debian's."""
    try:
        text = Path("/etc/os-release").read_text()
    except OSError:
        return ""
    words = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
    return words.get("VERSION_CODENAME", "") if words.get("ID") == "debian" else ""


def sources_of(suite: str) -> list[str]:
    """Return the lines of sources.list for a suite, at the mirrors that the machine has."""
    mirrors = _mirrors()
    key = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
    by = f"[signed-by={key}] " if key.exists() else ""
    lines = [f"deb {by}{mirrors['Debian']} {suite} main"]
    if suite != "sid" and "Debian-Security" in mirrors:
        lines.append(f"deb {by}{mirrors['Debian-Security']} {suite}-security main")
    return lines


def apt_of(suite: str, cache: Path) -> Apt:
    """Return apt for a suite of Debian's, with lists of its own in ``cache``.

    They are downloaded once a day; old ones serve where that fails. Skips where there are none.
    For who has the lock of ``cache``.
    """
    if suite == machine_suite() and machine_architecture() == ARCHITECTURE:
        return Apt()
    place = cache / f"apt-{suite}"
    for each in ("lists/partial", "cache/archives/partial", "parts"):
        (place / each).mkdir(parents=True, exist_ok=True)
    (place / "status").touch()
    (place / "sources.list").write_text("".join(f"{line}\n" for line in sources_of(suite)))
    settings = {
        "Dir::Etc::sourcelist": place / "sources.list",
        "Dir::Etc::sourceparts": place / "parts",
        "Dir::State::lists": place / "lists",
        "Dir::Cache": place / "cache",
        "Dir::State::status": place / "status",
        "APT::Architecture": ARCHITECTURE,
        "APT::Architectures": ARCHITECTURE,
        "Acquire::Languages": "none",
    }
    apt = Apt(tuple(word for key, value in settings.items() for word in ("-o", f"{key}={value}")))
    stamp = place / "updated"
    if not stamp.exists() or time.time() - stamp.stat().st_mtime > LISTS_SECONDS:
        user = ("-o", "APT::Sandbox::User=root") if os.geteuid() == 0 else ()
        command = ["apt-get", "-qq", *apt.options, *user, "update"]
        answer = subprocess.run(command, capture_output=True, text=True, check=False)
        if answer.returncode == 0:
            stamp.touch()
        why = f"cannot have the package lists of {suite}: {answer.stderr.strip()}"
        require(stamp.exists(), why)
    return apt


def unpack(packages: list[Path], root: Path) -> None:
    """Unpack these files of packages into ``root``."""
    for each in packages:
        subprocess.run(["dpkg", "-x", str(each), str(root)], check=True)


def output(tool: str, *arguments: str) -> str:
    """Return what a packaging tool prints, "" where it fails."""
    command = [require(tool, NEED), *arguments]
    environment = os.environ | {"LC_ALL": "C"}
    answer = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    return answer.stdout if answer.returncode == 0 else ""


def _mirrors() -> dict[str, str]:
    """Return where the machine has Debian's archives from, by their labels."""
    listing = output("apt-get", "indextargets", "--format", "$(ORIGIN)|$(LABEL)|$(SITE)|$(URI)")
    found: dict[str, str] = {}
    for line in listing.splitlines():
        origin, label, site, uri = line.split("|")
        if origin == "Debian" and "/dists/" in uri:
            found.setdefault(label, site)
    require("Debian" in found, "other suites of Debian's come from the mirror that apt has")
    return found


def _found(pattern: str, listing: str) -> str:
    """Return the pattern's group in what apt said; skips where apt did not say it."""
    found = re.search(pattern, listing)
    require(found is not None, NEED)
    return found[1] if found else ""
