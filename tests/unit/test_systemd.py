# SPDX-License-Identifier: Apache-2.0
"""What systemd is told."""

import logging
import os
import socket
import sys
from pathlib import Path

import pytest

from kmodd.host.systemd import JournalFormatter, LineFormatter, is_journal, notify
from kmodd.host.watchdog import watchdog_pause


@pytest.mark.parametrize("abstract", [False, True])
def test_a_notification_reaches_the_manager(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, abstract: bool
) -> None:
    name = f"@kmodd-test-{os.getpid()}" if abstract else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind("\0" + name[1:] if abstract else name)
        manager.settimeout(5)
        monkeypatch.setenv("NOTIFY_SOCKET", name)
        notify("READY=1", "STATUS=fine")
        assert manager.recv(1024) == b"READY=1\nSTATUS=fine"


def test_nobody_is_notified_where_nobody_listens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    notify("READY=1")
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "gone"))
    notify("READY=1")


@pytest.mark.parametrize(
    ("usec", "pid", "pause"),
    [
        ("60000000", "", 30.0),
        ("60000000", "own", 30.0),
        ("60000000", "1", None),
        ("0", "", None),
        ("", "", None),
        ("soon", "", None),
    ],
)
def test_the_watchdog_is_told_twice_as_often_as_it_asks(
    monkeypatch: pytest.MonkeyPatch, usec: str, pid: str, pause: float | None
) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", usec)
    monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()) if pid == "own" else pid)
    assert watchdog_pause() == pause


@pytest.mark.parametrize(
    ("level", "priority"),
    [
        (logging.CRITICAL, 2),
        (logging.ERROR, 3),
        (logging.WARNING, 4),
        (logging.INFO, 6),
        (logging.DEBUG, 7),
    ],
)
def test_every_line_in_the_journal_has_its_priority(level: int, priority: int) -> None:
    try:
        raise ValueError("three\n<0>four\x1b")
    except ValueError:
        record = logging.LogRecord("kmodd", level, "", 0, "one %s", ("two",), sys.exc_info())
    first, *others = JournalFormatter("%(message)s").format(record).split("\n")
    assert first == f"<{priority}>one two"
    assert all(line.startswith(f"<{priority}>  ") for line in others)
    assert others[-2:] == [f"<{priority}>  ValueError: three", f"<{priority}>  <0>four\\x1b"]


def test_a_name_makes_no_assignment_for_the_service_manager(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(path))
        monkeypatch.setenv("NOTIFY_SOCKET", str(path))
        notify("READY=1", "STATUS=a\nMAINPID=1")
        assert manager.recv(100) == rb"READY=1" + b"\n" + rb"STATUS=a\x0aMAINPID=1"


@pytest.mark.parametrize("name", ["a\nkmodd: b", "a\x85<0>b", "a\u2028b", "a\x1b[2Jb", "a\udcffb"])
@pytest.mark.parametrize("formatter", [JournalFormatter, LineFormatter])
def test_a_name_makes_no_line_of_the_log_and_no_other_mischief(
    formatter: type[LineFormatter], name: str
) -> None:
    record = logging.LogRecord("kmodd", logging.INFO, "", 0, "loaded %s", (name,), None)
    shown = formatter("%(message)s").format(record)
    assert shown.isprintable()
    assert "loaded a\\" in shown


def test_the_journal_is_known_by_its_device_and_inode(monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writing = os.pipe()
    try:
        status = os.fstat(writing)
        monkeypatch.setenv("JOURNAL_STREAM", f"{status.st_dev}:{status.st_ino}")
        assert is_journal(writing)
        monkeypatch.setenv("JOURNAL_STREAM", "0:0")
        assert not is_journal(writing)
        monkeypatch.delenv("JOURNAL_STREAM")
        assert not is_journal(writing)
    finally:
        os.close(reading)
        os.close(writing)
