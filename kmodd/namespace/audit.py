# SPDX-License-Identifier: Apache-2.0
"""The audit trail: one line for each operation, in the log and, where asked, in a file.

A request is one operation, however many names it has.

The log has a line of ``key=value`` for people and for grep; the file has a JSON object a line. An
operation that found nothing to do is logged at level debug, and a load that was refused is a
warning.
"""

import json
import logging
import os
import threading
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from kmodd.access.caller import Caller
from kmodd.errors import KmoddError, Reason
from kmodd.log_kinds import Fact, LogKind, told
from kmodd.names import is_plain_name, module_name_of_path
from kmodd.records import record

WINDOW = 60.0
"""Seconds within which the lines of operations without effect are counted for each caller: a user
at a socket."""

LINES = 600
"""Lines of a caller's operations without effect within that time; the others are counted."""

LINE_MAX = 8192
"""Characters of the names of modules in one line of the trail."""

Action = Literal[
    "load",
    "unload",
    "insert",
    "remove",
    "hold",
    "release",
    "end-hold",
    "set-parameter",
    "add-device",
    "remove-device",
    "request",
    "seal",
    "end-connection",
    "apply-state",
    "reload",
    "raise-interrupt",
    "use-file",
]
"""What an operation does; OperationAction of the API has a value for each."""

log = logging.getLogger("kmodd.audit")


@record(kw_only=True)
class Finished:
    """An operation that has ended.

    ``what`` has the names that were asked for. ``began`` is in seconds of Unix time, ``seconds``
    how long it took. ``loaded`` and ``unloaded`` are the modules that it put into the kernel and
    took out, in order. ``acted`` is False where there was nothing to do. ``error`` is
    why it failed, None where it did not. Of several names that are done one after the other
    ``names`` were, and ``failed`` of them failed, the first with the ``error``. ``origin`` says
    what the daemon did it for of its own accord ("hotplug", "state" for a wish), and ``device`` for
    which device, by its path below /sys.
    """

    number: int
    action: Action
    what: str
    caller: Caller
    began: float
    seconds: float
    loaded: tuple[str, ...] = ()
    unloaded: tuple[str, ...] = ()
    acted: bool = True
    error: KmoddError | None = None
    names: int = 0
    failed: int = 0
    origin: str = ""
    device: str = ""

    @property
    def result(self) -> str:
        """``done``, ``unchanged`` where there was nothing to do, or the failure's reason."""
        if self.error is not None:
            return self.error.reason.name
        return "done" if self.acted else "unchanged"


class AuditTrail:
    """Writes the trail. ``_lock`` guards the file, ``_counting`` what is only counted.

    A file that has been moved away or removed is made anew, as log rotation expects. What has
    changed the kernel always has a line. Of what has not, a caller has so many within a while, and
    the same denial one; the rest is told as a count, by result.
    """

    def __init__(self, path: Path | None = None, window: float = WINDOW) -> None:
        """``path`` is the file of JSON lines, None for none; it is opened with the first line.

        The counts are told every ``window`` seconds.
        """
        self._path = path
        self._window = window
        self._counting = threading.Lock()
        self._timer: threading.Timer | None = None
        self._lines: Counter[str] = Counter()
        self._told: set[tuple[str, str, str, str]] = set()
        self._counted: dict[str, tuple[Caller, Counter[str]]] = {}
        self._lock = threading.Lock()
        self._fd = -1
        self._broken = False

    def write(self, finished: Finished) -> None:
        """Add the line of an operation; a file that cannot be written is complained of once."""
        level = _level(finished)
        logged = log.isEnabledFor(level)
        if not logged and self._path is None:
            return
        if not finished.acted and not self._has_room(finished):
            return
        self._write(_facts(finished), level if logged else None, _told(finished))

    def has_what_is_unchanged(self) -> bool:
        """Tell whether an operation that neither did anything nor failed is written anywhere."""
        return self._path is not None or log.isEnabledFor(logging.DEBUG)

    def settle(self) -> None:
        """Tell the counts of what had no line, and begin anew."""
        with self._counting:
            counted, self._counted = self._counted, {}
            self._lines, self._told = Counter(), set()
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
        for caller, results in counted.values():
            facts = _count_facts(caller, results, self._window)
            about = told(LogKind.OPERATIONS_COUNTED, **_caller_facts(caller))
            self._write(facts, logging.INFO, about)

    def close(self) -> None:
        """Tell the counts, and close the file; a later line opens it again."""
        self.settle()
        with self._lock:
            self._close()

    def _has_room(self, finished: Finished) -> bool:
        """Tell whether an operation without effect is to have a line; else it is counted."""
        who, result = finished.caller.identity, finished.result
        denial = (who, finished.action, finished.what, result) if result in _DENIALS else None
        with self._counting:
            if self._timer is None:
                self._timer = threading.Timer(self._window, self.settle)
                self._timer.daemon = True
                self._timer.start()
            if denial not in self._told and self._lines[who] < LINES:
                self._lines[who] += 1
                if denial is not None:
                    self._told.add(denial)
                return True
            self._counted.setdefault(who, (finished.caller, Counter()))[1][result] += 1
            return False

    def _write(
        self, facts: Mapping[str, object], level: int | None, about: Mapping[str, object]
    ) -> None:
        if level is not None:
            log.log(level, "%s", _plain_line(facts), extra=about)
        if self._path is not None:
            with self._lock:
                self._append(self._path, json.dumps(facts).encode() + b"\n")

    def _append(self, path: Path, line: bytes) -> None:
        try:
            if self._fd < 0 or not _is_at(self._fd, path):
                self._close()
                self._fd = os.open(path, _FLAGS, 0o600)
            os.write(self._fd, line)
        except OSError as error:
            if not self._broken:
                log.error("%s cannot be written: %s", path, error.strerror)
            self._broken = True
        else:
            self._broken = False

    def _close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
        self._fd = -1


_FLAGS = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK


_DENIALS = (Reason.ACCESS_DENIED.name, Reason.MODULE_DENIED.name)


_LOADS = ("load", "insert", "hold", "reload")

_REFUSALS = frozenset(
    {
        Reason.ACCESS_DENIED,
        Reason.MODULE_DENIED,
        Reason.MODULES_DISABLED,
        Reason.COMMAND_REFUSED,
        Reason.KERNEL_REFUSED,
        Reason.KERNEL_PANIC,
        Reason.MODULE_CRASHED,
        Reason.INVALID_MODULE_FILE,
        Reason.INVALID_MODULE_FORMAT,
        Reason.UNKNOWN_SYMBOL,
        Reason.SYMBOL_VERSION_MISMATCH,
    }
)
"""Why a module that is there does not come into the kernel. What nobody has is asked for every
day: the kernel itself asks for each file system and protocol that a program tries."""

_KINDS = {
    "load": LogKind.MODULES_LOADED,
    "insert": LogKind.MODULES_LOADED,
    "reload": LogKind.MODULES_LOADED,
    "unload": LogKind.MODULES_UNLOADED,
    "remove": LogKind.MODULES_UNLOADED,
    "hold": LogKind.HOLD_BEGUN,
    "release": LogKind.HOLD_ENDED,
    "end-hold": LogKind.HOLD_ENDED,
    "seal": LogKind.KERNEL_SEALED,
}
"""What kind of thing an operation is that was done, by its action."""

_BY_NAME = ("load", "insert", "unload", "remove", "hold", "reload", "request")
"""The actions on what is named by modules, aliases and files."""


def _is_refused(finished: Finished) -> bool:
    """Tell whether it is a load that somebody or something said no to."""
    error = finished.error
    return error is not None and finished.action in _LOADS and error.reason in _REFUSALS


def _level(finished: Finished) -> int:
    if finished.result == "unchanged":
        return logging.DEBUG
    return logging.WARNING if _is_refused(finished) else logging.INFO


def _kind(finished: Finished) -> LogKind:
    if _is_refused(finished):
        return LogKind.LOAD_REFUSED
    if finished.action == "end-connection":
        return LogKind.CONNECTION_ENDED
    if finished.error is not None:
        return LogKind.OPERATION_FAILED
    return _KINDS.get(finished.action, LogKind.OPERATION_DONE)


def _told(finished: Finished) -> dict[str, object]:
    """Return what the journal has of an operation beside the line."""
    error = finished.error
    return told(
        _kind(finished),
        operation=finished.number,
        action=finished.action,
        module=tuple(_modules(finished)),
        result=finished.result,
        errno=error.errno if error else "",
        origin=finished.origin,
        device=finished.device,
        **_caller_facts(finished.caller),
    )


def _caller_facts(caller: Caller) -> dict[str, Fact]:
    peer = caller.peer
    facts: dict[str, Fact] = {"socket": caller.socket, "role": caller.role}
    if peer is not None:
        facts |= {"uid": peer.uid, "unit": peer.unit, "container": peer.container}
        facts |= {"pid": peer.pid or ""}
    return facts


def _modules(finished: Finished) -> Iterable[str]:
    """Return the modules that an operation was about, each once and by its normal name.

    They are those that it loaded and unloaded, the one that its failure is about, and those that
    were asked for by name.
    """
    names = [*finished.loaded, *finished.unloaded]
    if finished.error is not None and finished.error.module:
        names.append(finished.error.module)
    if finished.action == "set-parameter":
        names.append(finished.what.partition(".")[0])
    elif finished.action in _BY_NAME:
        names += (each for each in finished.what.split() if each != "--outdated")
    return dict.fromkeys(filter(is_plain_name, map(module_name_of_path, names)))


def _is_at(fd: int, path: Path) -> bool:
    """Tell whether the open file is still the one of that name."""
    try:
        return os.path.samestat(os.fstat(fd), os.lstat(path))
    except FileNotFoundError:
        return False


def _facts(finished: Finished) -> dict[str, object]:
    """Return what the trail says of an operation, in the order in which it says it."""
    facts: dict[str, object] = {
        "time": datetime.fromtimestamp(finished.began, UTC).isoformat(timespec="milliseconds"),
        "operation": finished.number,
        "action": finished.action,
        "what": finished.what,
        "socket": finished.caller.socket,
        "role": finished.caller.role,
        **_peer_facts(finished.caller),
        **_origin_facts(finished),
        "result": finished.result,
        "loaded": " ".join(finished.loaded)[:LINE_MAX],
        "unloaded": " ".join(finished.unloaded)[:LINE_MAX],
    }
    if finished.error is not None:
        facts |= {"errno": finished.error.errno, "message": finished.error.message}
    if finished.names > 1:
        facts |= {"names": finished.names, "failed": finished.failed}
    facts["milliseconds"] = round(finished.seconds * 1000, 3)
    return facts


def _peer_facts(caller: Caller) -> dict[str, object]:
    """Return who made the caller's connection; the process only where it is known."""
    peer = caller.peer
    if peer is None:
        return {}
    facts: dict[str, object] = {"uid": peer.uid, "gids": " ".join(map(str, sorted(peer.gids)))}
    if peer.pid:
        facts |= {"pid": peer.pid, "start_ticks": peer.started, "command": peer.command}
        facts |= {"unit": peer.unit, "container": peer.container}
    return facts


def _origin_facts(finished: Finished) -> dict[str, object]:
    """Return what the daemon did it for, where nobody asked."""
    facts = {"origin": finished.origin, "device": finished.device}
    return {name: value for name, value in facts.items() if value}


def _count_facts(caller: Caller, results: Counter[str], seconds: float) -> dict[str, object]:
    """Return what the trail says of operations that had no line of their own."""
    return {
        "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "action": "counted",
        "socket": caller.socket,
        "role": caller.role,
        **({"uid": caller.peer.uid} if caller.peer else {}),
        "count": results.total(),
        "results": " ".join(f"{name}:{count}" for name, count in sorted(results.items())),
        "seconds": seconds,
    }


def _plain_line(facts: Mapping[str, object]) -> str:
    """Return the facts that say something as ``key=value``, in quotes where a blank needs them."""
    told = ((key, str(value)) for key, value in facts.items() if value != "" and key != "time")
    return " ".join(f"{key}={_quoted(value)}" for key, value in told)


def _quoted(value: str) -> str:
    if value.isprintable() and not any(letter in value for letter in ' "='):
        return value
    return json.dumps(value)
