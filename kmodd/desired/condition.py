# SPDX-License-Identifier: Apache-2.0
"""For which machines a wish is meant: by the kernel's release, the host's name, and labels."""

import fnmatch
import re
from collections.abc import Mapping

from kmodd.database.releases import version_key
from kmodd.records import field, record

_COMPARISON = re.compile(r"(>=|<=|>|<)\s*([0-9]\S*)")


@record
class MachineFacts:
    """What is known of the machine; ``labels`` are those of kmodd.toml."""

    release: str
    hostname: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)


@record
class Condition:
    """What must be so for a wish to count; where it says nothing, that does not matter.

    Of ``releases`` all must hold: a comparison (">=6.1") or a pattern ("6.1.*"). Of ``hostnames``,
    which are patterns, one must fit, and each of ``labels`` must be there with a value that its
    pattern fits. Patterns are the shell's.
    """

    releases: tuple[str, ...] = ()
    hostnames: tuple[str, ...] = ()
    labels: tuple[tuple[str, str], ...] = ()

    def holds(self, machine: MachineFacts) -> bool:
        """Tell whether the wish is meant for ``machine``."""
        names = self.hostnames
        return (
            all(_is_release(machine.release, each) for each in self.releases)
            and (not names or any(fnmatch.fnmatchcase(machine.hostname, each) for each in names))
            and all(
                name in machine.labels and fnmatch.fnmatchcase(machine.labels[name], pattern)
                for name, pattern in self.labels
            )
        )


ALWAYS = Condition()
"""What holds on every machine."""


def release_tests(text: str) -> tuple[str, ...]:
    """Return the tests that ``text`` has, with commas between them; raises ValueError."""
    tests = tuple(each.strip() for each in text.split(","))
    for test in tests:
        if not test or (test[0] in "<>=!" and not _COMPARISON.fullmatch(test)):
            raise ValueError(f"has {test!r}, which is neither a comparison (>=6.1) nor a pattern")
    return tests


def _is_release(release: str, test: str) -> bool:
    """Tell whether a release is as ``test`` says; versions compare as their numbers do."""
    comparison = _COMPARISON.fullmatch(test)
    if comparison is None:
        return fnmatch.fnmatchcase(release, test)
    operator, version = comparison.groups()
    found, wanted = version_key(release), version_key(version)
    match operator:
        case ">=":
            return found >= wanted
        case "<=":
            return found <= wanted
        case ">":
            return found > wanted
        case _:
            return found < wanted
