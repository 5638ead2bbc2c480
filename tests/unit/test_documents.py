# SPDX-License-Identifier: Apache-2.0
"""The documents refer to what there is."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from kmodd import __version__
from tests.support.sources import PROJECT

DOCUMENTS = sorted(PROJECT.glob("*.md"))


def links(document: Path) -> Iterator[tuple[str, str]]:
    """Yield the file and the anchor of each link to something in the project."""
    for target in re.findall(r"\]\(([^)\s]+)\)", document.read_text()):
        if "://" not in target:
            file, _, anchor = target.partition("#")
            yield file, anchor


def anchors(document: Path) -> set[str]:
    """The anchors that a forge makes of the headings."""
    headings = re.findall(r"^#+ (.*)$", document.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.name)
def test_what_a_document_links_to_is_there(document: Path) -> None:
    for file, anchor in links(document):
        target = document.parent / file if file else document
        assert target.exists(), file
        assert not anchor or anchor in anchors(target), anchor


def test_the_changelog_has_what_is_unreleased_and_this_version_next() -> None:
    versions = re.findall(r"^## \[(.*?)\]", (PROJECT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert versions[:2] == ["Unreleased", __version__]
