# SPDX-License-Identifier: Apache-2.0
"""What the journal is sent, and in what form."""

import fcntl
import logging
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import kmodd
from kmodd.host.journal import VALUES_MAX, JournalHandler
from kmodd.log_kinds import LogKind, told
from tests.support.require import require

SYSTEMD = Path(__file__).parents[2] / "systemd"
MESSAGE_MAX = 1 << 20
LARGE = "x" * (4 << 20)
"""More than a datagram takes."""

Entry = list[tuple[str, str]]


class Journal:
    """A socket in the journal's place."""

    def __init__(self, place: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(place))
        self._socket.settimeout(30)

    def entry(self) -> Entry:
        """Return the next entry, which is a datagram or the memory file that one brings."""
        data, fds, _, _ = socket.recv_fds(self._socket, MESSAGE_MAX, 1)
        if fds:
            assert data == b""
            assert fcntl.fcntl(fds[0], fcntl.F_GET_SEALS) & fcntl.F_SEAL_WRITE
            with open(fds[0], "rb") as file:
                file.seek(0)
                data = file.read()
        return list(fields(data))

    def close(self) -> None:
        self._socket.close()


def fields(data: bytes) -> Iterator[tuple[str, str]]:
    """Yield the fields of an entry, in either of the two forms that the journal reads."""
    while data:
        line, _, data = data.partition(b"\n")
        name, equals, value = line.partition(b"=")
        if not equals:
            size = int.from_bytes(data[:8], "little")
            value, end, data = data[8 : 8 + size], data[8 + size : 9 + size], data[9 + size :]
            assert end == b"\n"
        yield name.decode(), value.decode("utf-8", "surrogateescape")


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    found = Journal(tmp_path / "socket")
    yield found
    found.close()


@pytest.fixture
def log(tmp_path: Path, journal: Journal) -> Iterator[logging.Logger]:
    assert journal
    logger = logging.Logger("kmodd.test")
    handler = JournalHandler(tmp_path / "socket")
    logger.addHandler(handler)
    yield logger
    handler.close()


def test_an_entry_has_its_kind_and_its_facts(log: logging.Logger, journal: Journal) -> None:
    facts = told(LogKind.MODULES_LOADED, module=["greet", "world"], uid=0, origin="", device=())
    log.warning("loaded %d", 2, extra=facts)
    assert journal.entry() == [
        ("MESSAGE", "loaded 2"),
        ("PRIORITY", "4"),
        ("SYSLOG_IDENTIFIER", "kmodd"),
        ("MESSAGE_ID", LogKind.MODULES_LOADED.value),
        ("KMODD_MODULE", "greet"),
        ("KMODD_MODULE", "world"),
        ("KMODD_UID", "0"),
    ]
    log.debug("plain")
    assert journal.entry() == [
        ("MESSAGE", "plain"),
        ("PRIORITY", "7"),
        ("SYSLOG_IDENTIFIER", "kmodd"),
    ]


@pytest.mark.parametrize("name", ["a\nPRIORITY=0", "a\n_UID=0\n\n", "\n", "a=b", "a\udcff\x00b"])
def test_no_name_makes_a_field(log: logging.Logger, journal: Journal, name: str) -> None:
    log.info("loaded %s", name, extra=told(LogKind.LOAD_REFUSED, module=name))
    entry = journal.entry()
    assert [each for each, _ in entry] == [
        *("MESSAGE", "PRIORITY", "SYSLOG_IDENTIFIER", "MESSAGE_ID", "KMODD_MODULE"),
    ]
    assert entry[-1][1] == name
    assert entry[0][1].isprintable()


def test_a_traceback_is_one_entry(log: logging.Logger, journal: Journal) -> None:
    try:
        raise ValueError("a\nb")
    except ValueError:
        log.exception("gone wrong")
    (_, message), *_ = journal.entry()
    first, *others = message.split("\n")
    assert (first, others[-1]) == ("gone wrong", "  b")
    assert all(line.startswith("  ") for line in others)


def test_what_no_datagram_takes_goes_as_a_file(log: logging.Logger, journal: Journal) -> None:
    log.error("%s", LARGE)
    open_before = len(os.listdir("/proc/self/fd"))
    assert dict(journal.entry())["MESSAGE"] == LARGE
    log.error("%s", LARGE)
    assert dict(journal.entry())["MESSAGE"] == LARGE
    assert len(os.listdir("/proc/self/fd")) == open_before


def test_a_fact_has_no_more_values_than_an_entry_takes(
    log: logging.Logger, journal: Journal
) -> None:
    log.info("many", extra=told(LogKind.MODULES_LOADED, module=map(str, range(10_000))))
    assert sum(name == "KMODD_MODULE" for name, _ in journal.entry()) == VALUES_MAX


SAY = """
import logging, os, sys
from pathlib import Path
status = os.fstat(2)
os.environ["JOURNAL_STREAM"] = f"{status.st_dev}:{status.st_ino}"
from kmodd.host import journal, log
journal.JournalHandler.__init__.__defaults__ = (Path(sys.argv[1]),)
log.begin_logging()
logging.error("one")
os.unlink(sys.argv[1])
logging.error("two\\nthree")
"""


def test_without_a_journal_stderr_has_it(tmp_path: Path, journal: Journal) -> None:
    """What it has is what the journal makes an entry of, as it did before there was a socket."""
    command = [sys.executable, "-c", SAY, str(tmp_path / "socket")]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stderr
    assert said == "<3>two\\x0athree\n"
    assert dict(journal.entry())["MESSAGE"] == "one"


def test_the_catalog_explains_each_kind_by_the_facts_that_there_are(tmp_path: Path) -> None:
    journalctl = require("journalctl", "systemd reads its catalog itself")
    place = tmp_path / "usr/lib/systemd/catalog"
    place.mkdir(parents=True)
    (tmp_path / "var/lib/systemd/catalog").mkdir(parents=True)
    (place / "kmodd.catalog").write_bytes((SYSTEMD / "kmodd.catalog").read_bytes())
    shown = [
        subprocess.run(
            [journalctl, f"--root={tmp_path}", *words], capture_output=True, text=True, check=True
        )
        for words in (["--update-catalog"], ["--dump-catalog"])
    ]
    assert shown[0].stderr == ""
    entries = dict(
        entry.split("\n", 1) for entry in re.split(r"^-- ", shown[1].stdout, flags=re.M)[1:]
    )
    assert sorted(entries) == sorted(kind.value for kind in LogKind)
    facts = set(re.findall(r"@(\w+)@", shown[1].stdout))
    sources = "".join(path.read_text() for path in Path(kmodd.__file__).parent.rglob("*.py"))
    for fact in facts:
        name = fact.removeprefix("KMODD_").lower()
        assert f"{name}=" in sources or f'"{name}":' in sources, fact


def test_the_kinds_keep_their_numbers() -> None:
    """Who looks for a kind in an old journal finds it by the number it had."""
    numbers = [kind.value for kind in LogKind]
    assert len(set(numbers)) == len(numbers)
    assert all(re.fullmatch("[0-9a-f]{32}", number) for number in numbers)
    assert LogKind.LOAD_REFUSED.value == "465ec0a706624136b5048ed1038b816d"
