# SPDX-License-Identifier: Apache-2.0
"""What a misspelt word may have been: asked for where a command line is wrong, and only then."""

import difflib
from collections.abc import Iterable


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return the part of a message that names the known words like ``word``, if there are any.

    At most three, the likest first; likeness is difflib's, of which 0.6 is asked for.
    """
    found = difflib.get_close_matches(word, list(known))
    return f". Did you mean {' or '.join(found)}?" if found else ""
