# SPDX-License-Identifier: Apache-2.0
"""What the guest is wished to have of modules, while others do what they do."""

import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path

from kmodd.v1 import state_service_pb2 as pb
from tests.realkernel.scenarios import Record, Session
from tests.realkernel.service_unit import (
    PATIENCE,
    journal_entries,
    main_pid,
    systemctl,
    wait_for_another,
)
from tests.support.daemon import wait_until
from tests.support.wishes import wishes

FILE = Path("/etc/kmodd/state.d/test.toml")
TIMES = Path("/sys/module/greet/parameters/times")
DEVICE = Path("/dev/ppp")
IN_USE = 60.0
"""Seconds that a module is in use which is to be absent."""


def wished(session: Session) -> Record:
    """A parameter is set by another program, and a module to be absent has its device open for a
    minute. Meanwhile kmodd is started anew, and a package brings a module that was missing and one
    that is loaded.
    """
    (release,) = Path("/lib/modules").iterdir()
    extra, away = release / "extra", Path("/run/hello.ko")
    shutil.move(extra / "hello.ko", away)
    session.load("ppp_generic")
    _until(DEVICE.exists)
    device = DEVICE.open("rb")
    FILE.parent.mkdir(exist_ok=True)
    FILE.write_text(wishes("greet loaded times=3", "ppp_generic absent", "hello loaded"))
    began = time.monotonic()
    _until(lambda: TIMES.exists() and TIMES.read_text() == "3\n")
    _until(lambda: "PENDING" not in _fares(session).values())
    first = _fares(session)
    TIMES.write_text("7")
    _until(lambda: TIMES.read_text() == "3\n")
    before = main_pid()
    systemctl("restart", "kmodd.service")
    wait_for_another(session, before)
    install(extra, "greet.ko.xz", (extra / "greet.ko.xz").read_bytes())
    install(extra, "hello.ko", away.read_bytes())
    _until(lambda: Path("/sys/module/hello").exists())
    TIMES.write_text("8")
    time.sleep(max(0.0, IN_USE - (time.monotonic() - began)))
    in_use = _fares(session)["ppp_generic"]
    device.close()
    _until(lambda: set(_fares(session).values()) == {"DONE"})
    record = {
        "first": first,
        "in_use": in_use,
        "last": _fares(session),
        "listed": sorted(session.listed("greet", "ppp_generic", "hello")),
        "times": TIMES.read_text(),
        "trail": _trail(),
    }
    FILE.unlink()
    _until(lambda: not session.listed("greet", "hello"))
    session.unload("slhc")
    return record


def _until(condition: Callable[[], bool]) -> None:
    wait_until(condition, seconds=PATIENCE, pause=0.5)


def install(directory: Path, name: str, content: bytes) -> None:
    """Put a file in its place as dpkg does."""
    fresh = directory / f"{name}.dpkg-new"
    fresh.write_bytes(content)
    fresh.rename(directory / name)


def _fares(session: Session) -> dict[str, str]:
    standings = session.client.get_state().modules
    return {each.module: pb.Standing.Name(each.standing)[len("STANDING_") :] for each in standings}


def _trail() -> list[str]:
    """Return what the audit trail says was done for wishes, and what came of it."""
    lines = [each["MESSAGE"] for each in journal_entries()]
    found = (
        re.search(r"action=(\S+) what=(\S+) .*origin=state result=(\S+)", line)
        for line in lines
        if isinstance(line, str)
    )
    return [" ".join(each.groups()) for each in found if each]
