#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""``systemd/sbom.py DIRECTORY``: writes the software bill of materials of a release.

It is CycloneDX 1.6 in JSON: kmodd, what the service's environment consists of besides, by
requirements.txt, and what needs what. The same sources make the same bytes: its number follows from
them, and its time is SOURCE_DATE_EPOCH, 0 where that is not set.
"""

import argparse
import os
import re
import uuid
from datetime import UTC, datetime
from pathlib import Path

from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.license import LicenseExpression
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

HERE = Path(__file__).parent

LICENCE = "Apache-2.0"

NUMBERS = uuid.UUID("5f0c8c1e-6a0b-4a44-9f0a-1d2f6b1f7c55")
"""The name space of the bills' numbers (RFC 9562, 5.5)."""

_PIN = re.compile(r"([A-Za-z0-9.-]+)==([^ ]+)")
_VIA = re.compile(r" +# +(?:via )?([A-Za-z0-9.-]+)( \(pyproject\.toml\))?")


def main() -> None:
    """Write the file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("directory", type=Path, help="where the file goes")
    options = parser.parse_args()
    version = version_of(HERE.parent / "kmodd" / "__init__.py")
    text = sbom(version, (HERE / "requirements.txt").read_text())
    (options.directory / f"kmodd-{version}.cdx.json").write_text(text)


def version_of(package: Path) -> str:
    """Return the version that a package says it has."""
    found = re.search(r'^__version__ = "(.+)"$', package.read_text(), re.MULTILINE)
    if found is None:
        raise SystemExit(f"{package} does not say which version it is")
    return found[1]


def sbom(version: str, lock: str) -> str:
    """Return the bill of kmodd in this version, with what ``lock`` has."""
    kmodd = component("kmodd", version, ComponentType.APPLICATION)
    kmodd.licenses.add(LicenseExpression(LICENCE))
    parts = {name: component(name, number) for name, number in _PIN.findall(lock)}
    bom = Bom(components=parts.values(), serial_number=uuid.uuid5(NUMBERS, version + lock))
    bom.metadata.component = kmodd
    epoch = int(os.environ.get("SOURCE_DATE_EPOCH", "0"))
    bom.metadata.timestamp = datetime.fromtimestamp(epoch, UTC)
    needs: dict[str, list[Component]] = {"kmodd": [], **{name: [] for name in parts}}
    name = ""
    for line in lock.splitlines():
        if pin := _PIN.match(line):
            name = pin[1]
        elif (via := _VIA.fullmatch(line)) and via[1] != "via":
            needs[via[1]].append(parts[name])
    for needing, needed in needs.items():
        bom.register_dependency(kmodd if needing == "kmodd" else parts[needing], needed)
    return JsonV1Dot6(bom).output_as_string(indent=2) + "\n"


def component(name: str, version: str, kind: ComponentType = ComponentType.LIBRARY) -> Component:
    """Return a distribution as a part."""
    url = PackageURL("pypi", name=name, version=version)
    return Component(type=kind, name=name, version=version, purl=url, bom_ref=str(url))


if __name__ == "__main__":
    main()
