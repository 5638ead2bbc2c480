# SPDX-License-Identifier: Apache-2.0
"""What a command prints of names that a stranger has chosen."""

import contextlib
import json
import pty
import sys

import pytest

from kmodctl.output import Output

NAME = "wlan\x1b]0;title\x07\u202e\nroot"
SHOWN = r"wlan\x1b]0;title\x07\u202e\x0aroot"


def at_a_terminal(monkeypatch: pytest.MonkeyPatch, output: Output, method: str, text: str) -> str:
    """Return what reaches the terminal that is stdout while ``method`` prints ``text``."""
    ours, theirs = pty.openpty()
    reached = b""
    with open(ours, "rb", buffering=0) as reader:
        with open(theirs, "w", encoding="utf-8") as terminal, monkeypatch.context() as patched:
            patched.setattr(sys, "stdout", terminal)
            getattr(output, method)(text)
        with contextlib.suppress(OSError):  # EIO, once nobody has the terminal (pty(7))
            while some := reader.read(4096):
                reached += some
    return reached.decode().replace("\r\n", "\n")


@pytest.mark.parametrize("exact", [False, True])
def test_a_terminal_gets_no_name_raw(monkeypatch: pytest.MonkeyPatch, exact: bool) -> None:
    output = Output("lsmod", exact=exact)
    assert at_a_terminal(monkeypatch, output, "data", NAME) == f"{SHOWN}\n"
    assert at_a_terminal(monkeypatch, output, "raw", "a\x1bb\nc\n") == "a\\x1bb\nc\n"


def test_only_the_data_of_kmods_tools_is_for_programs_as_it_is(
    capfd: pytest.CaptureFixture[str],
) -> None:
    Output("lsmod", exact=True).data(NAME)
    Output("lsmod", exact=True).raw("\x1b\n")
    assert capfd.readouterr().out == f"{NAME}\n\x1b\n"
    Output("events").data(NAME)
    Output("events").raw("\x1b\n")
    assert capfd.readouterr().out == f"{SHOWN}\n\\x1b\n"


def test_a_message_is_one_line_whatever_it_names(capfd: pytest.CaptureFixture[str]) -> None:
    for exact in (False, True):
        output = Output("modprobe", exact=exact)
        output.error(f"could not insert '{NAME}'")
        output.library(NAME)
        shown = capfd.readouterr().err
        assert shown == (f"modprobe: ERROR: could not insert '{SHOWN}'\nlibkmod: ERROR: {SHOWN}\n")


def test_json_has_every_control_character_escaped(capfd: pytest.CaptureFixture[str]) -> None:
    name = "".join(map(chr, range(0xA0))) + "\u202e"
    Output("events", json=True).document(name)
    shown = capfd.readouterr().out
    assert json.loads(shown) == name
    assert shown.removesuffix("\n").isprintable()
