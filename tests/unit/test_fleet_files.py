# SPDX-License-Identifier: Apache-2.0
"""A fleet's files: where etcd is, and wishes with a selector."""

from pathlib import Path

import pytest

from kmodctl.fleet.links import Tls
from kmodctl.fleet.model import NodeFacts
from kmodctl.fleet.settings import SettingsError, read_settings
from kmodctl.fleet.wish_file import WishFileError, read_wish_file

FILE = b"""\
# What racks b have.
[selector]
release = ">=6.1, <7"
architecture = ["x86_64", "aarch64"]
labels = { rack = "b*" }

[[module]]
name = "wireguard"
when = { labels = { role = "[gr]w" } }
"""


def test_a_selector_is_taken_out_of_the_text_and_leaves_its_lines() -> None:
    desired = read_wish_file(FILE, "vpn")
    lines = desired.document.splitlines()
    assert lines == [FILE.decode().splitlines()[0], *[""] * 5, *FILE.decode().splitlines()[6:]]
    assert desired.selector.releases == (">=6.1", "<7")
    fitting = NodeFacts(release="6.1.0-56-amd64", architecture="x86_64", labels={"rack": "b3"})
    assert desired.selector.fits(fitting)
    assert not desired.selector.fits(NodeFacts(release="6.1.0", architecture="x86_64"))


@pytest.mark.parametrize(
    "text",
    [
        b'selector.release = "6.*"\n[[module]]\nname = "a"\n',
        b'selector = { release = "6.*" }\n',
        b'[selector]\nlabels = { a = """\n[x]\n""" }\n',
    ],
)
def test_a_selector_that_cannot_be_taken_out_is_told(text: bytes) -> None:
    with pytest.raises(WishFileError, match=r"x: the selector is to be a table with a header"):
        read_wish_file(text, "x")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"[selector]\nhost = 1\n", "selector has 'host', which is none of"),
        (b"[selector]\nrelease = '>= x'\n", "neither a comparison"),
        (b"[selector]\nlabels = 1\n", r"selector\.labels is a table"),
        (b"[selector]\narchitecture = [1]\n", r"selector\.architecture is a text"),
        (b"[[selector]]\n", "selector is a table"),
        (b"[[module]]\n", "x:1: a \\[\\[module\\]\\] needs a name"),
        (b"\xff", "x: .*decode"),
        (b"[[module]]\nname =\n", "x: .*line 2"),
        (b"a = " + b"[" * 5000, "x: "),
        (b"#" * (1 << 20) + b"\n", "more than"),
    ],
)
def test_what_is_wrong_with_a_file_is_told(text: bytes, words: str) -> None:
    with pytest.raises(WishFileError, match=words):
        read_wish_file(text, "x")


def test_wishes_have_a_name_that_a_key_can_have() -> None:
    with pytest.raises(WishFileError, match="give --name"):
        read_wish_file(FILE, "a/b")


def test_settings_come_from_a_file_and_options_replace_them(tmp_path: Path) -> None:
    file = tmp_path / "fleet.toml"
    file.write_text(
        'endpoints = ["https://a:1", "https://b:1"]\nprefix = "/p"\n'
        'authority = "ca"\ncertificate = "crt"\nkey = "key"\n[agent]\nnode = "n"\n'
    )
    settings = read_settings(str(file))
    assert settings.endpoints == ("https://a:1", "https://b:1")
    assert (settings.tls, settings.keys.prefix) == (Tls("ca", "crt", "key"), "/p")
    assert settings.agent == {"node": "n"}
    settings = read_settings(str(file), ["https://c:1"], "/q", key="other")
    assert (settings.endpoints, settings.keys.prefix) == (("https://c:1",), "/q")
    assert settings.tls == Tls("ca", "crt", "other")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no endpoint of etcd is known"),
        ("endpoint = 1", "endpoint is no setting"),
        ("endpoints = 'a'", "endpoints is a list of texts"),
        ("prefix = '/a/'", "prefix is a text that ends with no slash"),
        ("agent = 1", "agent is a table"),
        ("endpoints = ['a']\nkey = 'k'", "TLS needs all of .* there is no authority"),
        ("a =\n", "line 1"),
        ("a = '" + "x" * 70_000 + "'", "more than 65536 bytes"),
    ],
)
def test_what_is_wrong_with_the_settings_is_told(text: str, words: str, tmp_path: Path) -> None:
    file = tmp_path / "fleet.toml"
    file.write_text(text)
    with pytest.raises(SettingsError, match=words):
        read_settings(str(file))


def test_settings_that_are_not_there_are_told() -> None:
    with pytest.raises(SettingsError, match="/nowhere: No such file"):
        read_settings("/nowhere")
