# SPDX-License-Identifier: Apache-2.0
"""What the manual pages show, as whoever types it in has it."""

import re
from pathlib import Path

PAGES = Path(__file__).parents[2] / "kmodctl/share/man"


def example(page: str, beginning: str) -> str:
    """Return the example of a page (``kmodd-api.7``) whose first line begins like that.

    Exactly one has to, and its only escapes are those of the minus sign.
    """
    text = (PAGES / page).read_text()
    found = re.findall(rf"^\.EX\n({re.escape(beginning)}.*?)^\.EE$", text, re.DOTALL | re.MULTILINE)
    assert len(found) == 1, (page, beginning, len(found))
    shown = str(found[0]).replace("\\-", "-")
    assert "\\" not in shown, shown
    return shown
