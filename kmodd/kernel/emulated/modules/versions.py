# SPDX-License-Identifier: Apache-2.0
"""The versions of symbols that a module says it was built against (CONFIG_MODVERSIONS)."""

from collections.abc import Mapping

from kmodd.kernel.emulated.modules.candidate import Candidate
from kmodd.records import record


@record
class Versions:
    """CRCs by symbol, of the module that messages call ``label``; None where it has none."""

    label: str
    crcs: Mapping[str, int] | None


def symbol_versions(candidate: Candidate, *, ignored: bool) -> Versions:
    """Return the versions that ``candidate`` was built against."""
    tables = ("__versions", "__version_ext_crcs")
    if ignored or not any(map(candidate.section, tables)):
        return Versions(candidate.label, None)
    crcs: dict[str, int] = {}
    for version in candidate.module.versions():
        crcs.setdefault(version.name, version.crc)
    return Versions(candidate.label, crcs)
