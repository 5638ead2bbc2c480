# SPDX-License-Identifier: Apache-2.0
"""A graph as one page of HTML that needs nothing else, from a file or from anywhere."""

import json
import os

from kmodctl.pictures.gathering import Graph, document
from kmodd.escapes import escaped

_TEMPLATE = os.path.join(os.path.dirname(__file__), "page.html")

_PLACEHOLDER = "@graph@"


def page(graph: Graph) -> str:
    """Return the page.

    What modules say of themselves is in it as JSON in which no tag can begin or end (HTML Living
    Standard, 4.12.1.3), and is shown as text alone.
    """
    data = json.dumps(_shown(document(graph)), separators=(",", ":"))
    for letter in "<>&\u2028\u2029":
        data = data.replace(letter, f"\\u{ord(letter):04x}")
    with open(_TEMPLATE, encoding="utf-8") as file:
        return file.read().replace(_PLACEHOLDER, data)


def _shown(value: object) -> object:
    """Return a value with the texts in it as they may be shown."""
    if isinstance(value, str):
        return escaped(value)
    if isinstance(value, list):
        return [_shown(each) for each in value]
    if isinstance(value, dict):
        return {escaped(key): _shown(each) for key, each in value.items()}
    return value
