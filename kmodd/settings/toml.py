# SPDX-License-Identifier: Apache-2.0
"""kmodd.toml and its drop-ins, read into Settings.

A file is TOML (https://toml.io). Beside ``FILE`` the directory ``FILE.d`` may hold drop-ins, whose
names end with ``.toml``; they are read after it in the order of their names. A later value
replaces an earlier one, and the tables ``[[socket]]``, ``[[grant]]`` and ``[[deny]]`` of all
files add up.

Everything that is wrong is found at once, and each complaint names the file and the line.
"""

import errno
import os
import re
import stat
import tomllib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from kmodd.access.caller import Role
from kmodd.access.grants import SOURCE, Grant, has_list
from kmodd.errors import KmoddError, Reason, RequestError
from kmodd.kernel.opening import KERNELS
from kmodd.names import normalise_alias
from kmodd.settings.values import (
    LOG_LEVELS,
    VM_MEMORY,
    VM_PROCESSORS,
    Limits,
    Settings,
    SocketSettings,
    Timing,
    check_command_line,
)

MAX_FILE = 256 << 10
"""Bytes of one file of settings."""

MAX_FILES = 256
"""Files of settings."""

_LISTS = "allow, deny, parameters and source"

Key = tuple[str | int, ...]
"""Where a value is: names of tables and places in lists, the outermost first."""

Check = Callable[[Any], Any]
"""Returns a value as Settings have it; raises ValueError with what is to be said after its name."""


@dataclass(frozen=True, slots=True)
class Value:
    """A setting that is one value; ``meaning`` is what kmodd.toml(5) says of it.

    In a list of tables it may stand ``instead`` of the setting that is needed there.
    """

    check: Check
    meaning: str
    instead: str = ""


Table = dict[str, "Value | Table | list[Table]"]
"""What a table may hold: values, tables, and lists of tables."""


def read_settings(file: Path, base: Settings) -> Settings:
    """Return ``base`` with what ``file`` and its drop-ins set.

    Raises RequestError (INVALID_REQUEST) whose message has a line "FILE:LINE: what" for each thing
    that is wrong.
    """
    problems: list[str] = []
    values: dict[str, Any] = {}
    origins: dict[str, list[str]] = {"socket": [], "grant": []}
    for path in settings_files(file):
        document = _Document(path)
        found = document.values()
        for name, tables in origins.items():
            tables += [document.place((name, at)) for at in range(len(found.get(name, ())))]
        _merge(values, found)
        problems += document.problems
    sockets = [SocketSettings(**each) for each in values.pop("socket", []) if "path" in each]
    grants = [Grant(**each) for each in values.pop("grant", []) if "role" in each]
    if not problems:
        problems = [
            *_socket_conflicts(sockets, origins["socket"]),
            *_grant_conflicts(grants, origins["grant"], sockets),
        ]
    if problems:
        raise RequestError(Reason.INVALID_REQUEST, "\n".join(problems), detail=str(file))
    denied = values.pop("deny", [])
    builds = [(each["build_id"], each.get("reason", "")) for each in denied if "build_id" in each]
    for name in ("limits", "timing"):
        if name in values:
            values[name] = replace(getattr(base, name), **values[name])
    pairs = [
        (module, each.get("reason", "")) for each in denied for module in each.get("modules", ())
    ]
    return replace(
        base,
        **values,
        deny=(*base.deny, *pairs),
        deny_builds=(*base.deny_builds, *builds),
        grants=(*base.grants, *grants),
        sockets=tuple(sockets) or base.sockets,
    )


def settings_files(file: Path) -> tuple[Path, ...]:
    """Return ``file`` and its drop-ins in the order in which they are read."""
    drop_ins = sorted(drop_ins_of(file).glob("*.toml"), key=lambda path: os.fsencode(path.name))
    return (file, *drop_ins)[:MAX_FILES]


def drop_ins_of(file: Path) -> Path:
    """Return the directory that holds the drop-ins of ``file``, whether or not there is one."""
    return file.with_name(f"{file.name}.d")


def table_places(file: Path, name: str) -> list[str]:
    """Return "FILE:LINE" of each table of a list of ``file`` and its drop-ins, which can be read.

    They are in the order in which ``read_settings`` has the tables.
    """
    places = []
    for path in settings_files(file):
        document = _Document(path)
        tables = document.values().get(name, ())
        places += [document.place((name, at)) for at in range(len(tables))]
    return places


class _Document:
    """One file: its values, and what is wrong with it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lines: list[str] = []
        self.problems: list[str] = []

    def values(self) -> dict[str, Any]:
        """Return what the file says that is right."""
        try:
            text = _text_of(self._path)
            parsed = tomllib.loads(text)
        except OSError as error:
            self.problems.append(f"{self._path}: {error.strerror}")
            return {}
        except ValueError as error:  # TOML's errors name their line
            self.problems.append(f"{self._path}: {error}")
            return {}
        except RecursionError:
            self.problems.append(f"{self._path}: too many lists or tables, one in another")
            return {}
        self._lines = text.splitlines()
        return self._checked(parsed, SETTINGS, ())

    def place(self, key: Key) -> str:
        """Return "FILE:LINE" of where a value begins.

        tomllib does not tell, so ever longer pieces of the file are parsed until one has it.
        """
        name = next(part for part in reversed(key) if isinstance(part, str))
        line, named = 1, False
        for number, text in enumerate(self._lines, 1):
            if name in text:
                line, named = number, True
            if named:
                try:
                    found = tomllib.loads("\n".join(self._lines[:number]))
                except (ValueError, RecursionError):
                    continue  # in the middle of a value
                if _has(found, key):
                    break
                named = False
        return f"{self._path}:{line}"

    def _checked(self, table: Mapping[str, Any], known: Table, at: Key) -> dict[str, Any]:
        """Return what is right of ``table``, and complain of the rest."""
        return {
            name: found
            for name, value in table.items()
            if (found := self._value(value, known.get(name), (*at, name))) is not None
        }

    def _value(self, value: Any, wanted: "Value | Table | list[Table] | None", key: Key) -> Any:
        name = key[-1]
        if wanted is None:
            self._complain(key, "is not a setting")
        elif isinstance(wanted, dict):
            if isinstance(value, dict):
                return self._checked(value, wanted, key)
            self._complain(key, f"is a table, [{name}]")
        elif isinstance(wanted, list):
            if isinstance(value, list) and all(isinstance(each, dict) for each in value):
                return [self._row(each, wanted[0], (*key, at)) for at, each in enumerate(value)]
            self._complain(key, f"is a list of tables, [[{name}]]")
        else:
            try:
                return wanted.check(value)
            except (ValueError, KmoddError) as error:
                self._complain(key, str(error))
        return None

    def _row(self, table: Mapping[str, Any], known: Table, key: Key) -> dict[str, Any]:
        """Check one of a list of tables, of which the first setting must be there, or its like."""
        needed = next(iter(known))
        like = [name for name, each in known.items() if _is_instead(each, needed)]
        if table.keys().isdisjoint((needed, *like)):
            self._complain(key, f"needs a {' or a '.join((needed, *like))}")
        return self._checked(table, known, key)

    def _complain(self, key: Key, what: str) -> None:
        name = ".".join(part for part in key if isinstance(part, str))
        self.problems.append(f"{self.place(key)}: {name} {what}")


def _is_instead(wanted: "Value | Table | list[Table]", needed: str) -> bool:
    return isinstance(wanted, Value) and wanted.instead == needed


def _text_of(path: Path) -> str:
    """Return the text of a file; raises OSError, ValueError for what is none or too long."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    with os.fdopen(fd, "rb") as file:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise OSError(errno.EINVAL, "not a regular file")
        content = file.read(MAX_FILE + 1)
    if len(content) > MAX_FILE:
        raise ValueError(f"more than {MAX_FILE} bytes")
    return content.decode()


def _has(value: Any, key: Key) -> bool:
    for part in key:
        try:
            value = value[part]
        except (LookupError, TypeError):
            return False
    return True


def _merge(values: dict[str, Any], more: Mapping[str, Any]) -> None:
    """Take over ``more``: tables grow, lists of tables grow longer, all else is replaced."""
    for name, value in more.items():
        if isinstance(value, dict):
            _merge(values.setdefault(name, {}), value)
        elif isinstance(value, list):
            values[name] = values.get(name, []) + value
        else:
            values[name] = value


def _socket_conflicts(sockets: list[SocketSettings], places: list[str]) -> Iterator[str]:
    """Yield what is wrong with the sockets together."""
    directories = Counter(each.path.parent for each in sockets)
    for each, place in zip(sockets, places, strict=True):
        if directories[each.path.parent] > 1:
            yield f"{place}: {each.path}: another socket is in this directory; each needs its own"
        if each.grants and (each.allow or each.deny or each.parameters or each.source):
            yield f"{place}: {each.path}: {_LISTS} are for the grants to say"
        for what in _list_conflicts(each, needs_list=not each.grants):
            yield f"{place}: {each.path}: {what}"
        if each.default is not Role.NONE and not each.grants:
            yield f"{place}: {each.path}: default is for a socket with grants"
    names = Counter(each.name for each in sockets if each.name)
    for each, place in zip(sockets, places, strict=True):
        if names[each.name] > 1:
            yield f"{place}: {each.path}: another socket has the name {each.name!r}"
    if sockets and not any(each.role is Role.ADMIN for each in sockets):
        yield f"{places[0]}: of all sockets none has the role admin"


def _grant_conflicts(
    grants: list[Grant], places: list[str], sockets: list[SocketSettings]
) -> Iterator[str]:
    """Yield what is wrong with the grants together."""
    for grant, place in zip(grants, places, strict=True):
        if grant.names_nobody:
            yield f"{place}: grant: needs users, groups, units or containers"
        for what in _list_conflicts(grant, needs_list=True):
            yield f"{place}: grant: {what}"
    if grants and not any(each.grants for each in sockets):
        yield f"{places[0]}: grant: no socket goes by the grants (grants = true)"


def _list_conflicts(each: SocketSettings | Grant, *, needs_list: bool) -> Iterator[str]:
    """Yield what is wrong with what is said for one role and is another's."""
    if not has_list(each.role) and (each.allow or each.deny or each.parameters):
        yield "allow, deny and parameters are for the roles loader and steward"
    if each.role is not Role.STEWARD and each.source:
        yield "source is for the role steward"
    if has_list(each.role) and needs_list and not each.allow:
        does = "load" if each.role is Role.LOADER else "wish for"
        yield f"a {each.role} without allow may {does} nothing"


def _boolean(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError("is true or false")
    return value


def _string(value: Any) -> str:
    if not isinstance(value, str) or "\0" in value:
        raise ValueError("is a string")
    return value


def _path(value: Any) -> Path:
    if not _string(value).startswith("/"):
        raise ValueError(f"is an absolute path, not {value!r}")
    return Path(value)


def _metrics_path(value: Any) -> Path:
    path = _path(value)
    if path.suffix != ".prom":
        raise ValueError("is a file *.prom: node_exporter reads no others")
    return path


def _paths(value: Any) -> tuple[Path, ...]:
    return tuple(map(_path, _list(value)))


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise ValueError("is a list")
    return value


def _patterns(value: Any) -> tuple[str, ...]:
    """Return patterns of module names; a bracket without a partner is an error."""
    patterns = tuple(map(_string, _list(value)))
    for pattern in patterns:
        normalise_alias(pattern)
    return patterns


def _build_id(value: Any) -> str:
    """Return a build id in lower hexadecimal digits (ld --build-id: two a byte)."""
    digits = _string(value).replace(":", "").lower()
    if not re.fullmatch(r"([0-9a-f]{2})+", digits):
        raise ValueError("is a build id in hexadecimal digits, two for each byte")
    return digits


def _choice(*words: str) -> Check:
    def check(value: Any) -> str:
        if value not in words:
            raise ValueError(f"is one of {', '.join(words)}, not {value!r}")
        return str(value)

    return check


def _source(value: Any) -> str:
    """Return what a steward's source is called, which has no dot (kmodd-state(7))."""
    if not isinstance(value, str) or not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,31}", value):
        raise ValueError("is a name of at most 32 letters, digits, dashes and underscores")
    return value


def _role(value: Any) -> Role:
    return Role(_choice(Role.OBSERVER, Role.STEWARD, Role.LOADER, Role.ADMIN)(value))


def _lesser_role(value: Any) -> Role:
    return Role(_choice(Role.NONE, Role.OBSERVER)(value))


def _granted_role(value: Any) -> Role:
    return Role(_choice(*Role)(value))


def _users(value: Any) -> tuple[str | int, ...]:
    return tuple(map(_user, _list(value)))


def _globs(value: Any) -> tuple[str, ...]:
    return tuple(map(_string, _list(value)))


def _labels(value: Any) -> tuple[tuple[str, str], ...]:
    """Return names and values, in order of the names."""
    if not isinstance(value, dict) or not all(isinstance(each, str) for each in value.values()):
        raise ValueError("is a table of names and strings")
    return tuple(sorted(value.items()))


def _name(value: Any) -> str:
    """Return a name as FileDescriptorName= takes it (systemd.socket(5))."""
    if not isinstance(value, str) or not re.fullmatch(r"[!-9;-~]{1,255}", value):
        raise ValueError("is a name of at most 255 ASCII characters without blanks and colons")
    return value


def _user(value: Any) -> str | int:
    """Return the name or number of a user or group; whether there is one is seen later."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**32 - 1:
        return value
    if isinstance(value, str) and value:
        return value
    raise ValueError("is a name or a number")


def _mode(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= 0o777:
        raise ValueError(f"is permission bits such as 0o660, not {value!r}")
    return value


def _time(value: Any) -> float:
    """Return a length of time in seconds: a number of them, or with a unit."""
    if isinstance(value, str):
        found = re.fullmatch(r"([0-9]{1,9}) ?(s|min|h)", value)
        if found:
            value = int(found[1]) * {"s": 1, "min": 60, "h": 3600}[found[2]]
    try:
        return float(_positive(float)(value))
    except ValueError:
        raise ValueError('is a time in seconds, or with a unit ("10min"), above 0') from None


def _positive(kind: type) -> Check:
    def check(value: Any) -> int | float:
        number = isinstance(value, int if kind is int else int | float)
        if not number or isinstance(value, bool) or not 0 < value < 2**40:
            raise ValueError(f"is a positive {'whole ' if kind is int else ''}number")
        return kind(value)  # type: ignore[no-any-return]

    return check


def _whole(bounds: range) -> Check:
    def check(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or value not in bounds:
            raise ValueError(f"is a whole number from {bounds[0]} to {bounds[-1]}")
        return value

    return check


def _numbers(settings: Limits | Timing) -> Table:
    """Return the table of one of the dataclasses that hold nothing but numbers."""
    table: Table = {}
    for each in fields(settings):
        default = getattr(settings, each.name)
        meaning = f"{each.metadata['meaning']} (default: {default})"
        table[each.name] = Value(_positive(type(default)), meaning)
    return table


_LISTS_OF_ONE: Table = {
    "allow": Value(
        _patterns,
        "patterns of the modules a loader may load and unload, and a steward wish for",
    ),
    "deny": Value(_patterns, "patterns of modules that these may not have, not even for another"),
    "parameters": Value(_boolean, "whether these may give parameters (default: false)"),
    "source": Value(
        _source,
        "what a steward's source of wishes is called; it may apply those, too, whose names begin "
        f"with that and a dot (default: {SOURCE})",
    ),
}
"""What is said of one role at a socket, or in a grant."""

SETTINGS: Table = {
    "kernel": Value(
        _choice(*KERNELS),
        "the kernel that modules are loaded into: emulated, one of kmodd's own, which is the "
        "default; vm, the root's own in a virtual machine; linux, the one that this machine runs",
    ),
    "root": Value(_path, "a system root: module trees are in lib/modules below it (default: /)"),
    "release": Value(
        _string,
        "the kernel's release (default: the newest below the root, on linux the one that runs)",
    ),
    "kernel_command_line": Value(
        lambda value: check_command_line(_string(value)),
        "what an emulated kernel, or one in a virtual machine, is booted with, such as "
        "module_blacklist=NAME",
    ),
    "run_code": Value(
        _boolean,
        "whether the emulated kernel runs modules' own code: where it does not, each init counts "
        "as a success (default: true, where kmodd's extra 'emulator' is installed)",
    ),
    "kernel_image": Value(
        _path,
        "the image of the kernel in the virtual machine (default: boot/vmlinuz-RELEASE below the "
        "root, or vmlinuz beside the modules)",
    ),
    "vm_accel": Value(
        _choice("auto", "kvm", "tcg"),
        "who runs the virtual machine's code: kvm, the processor; tcg, QEMU, which emulates one; "
        "auto, the processor where a guest answers within 3 s (default: auto)",
    ),
    "vm_memory": Value(
        _whole(VM_MEMORY), f"MiB of the virtual machine's memory (default: {Settings().vm_memory})"
    ),
    "vm_processors": Value(
        _whole(VM_PROCESSORS),
        "how many processors the virtual machine has (default: as many as kmodd may use, 8 at "
        "most)",
    ),
    "state": Value(_path, "the directory where what was read of trees and kernels' images is kept"),
    "runtime": Value(
        _path, "the directory where what a reboot may take is kept: which modules were asked for"
    ),
    "publish": Value(_boolean, "whether databases are written (default: true)"),
    "watch": Value(_boolean, "whether databases follow their trees by themselves (default: true)"),
    "modprobe_config": Value(
        _paths, "directories and files that are read in place of the root's modprobe.d"
    ),
    "run_commands": Value(
        _boolean,
        "whether install and remove commands of modprobe.d are run (default: false; on linux they "
        "always are)",
    ),
    "kmod_exact": Value(
        _boolean, "do as kmod does, without what is better; then nothing is denied (default: false)"
    ),
    "load_at_start": Value(
        _boolean, "whether what modules-load.d names is loaded at start (default: false)"
    ),
    "hotplug": Value(
        _boolean,
        "whether what a device wants is loaded when it is plugged in, and at start what those want "
        "that are there, by udev's rule for drivers; on linux alone, see kmodd-service(7) "
        "(default: false)",
    ),
    "publish_deny": Value(
        _boolean,
        "whether what is denied is also named in etc/modprobe.d/kmodd-deny.conf below the root, "
        "which keeps libkmod from loading it: udev, systemd-modules-load and modprobe, and in the "
        "initial RAM disk, if that is made anew (default: false)",
    ),
    "seal_after": Value(
        _time,
        "how long after kmodd's start the kernel is sealed: it loads and unloads no module any "
        'more until the next boot; seconds, or "10min", "2h" (default: never)',
    ),
    "audit_file": Value(_path, "a file that gets a line of JSON for each operation"),
    "metrics_file": Value(
        _metrics_path,
        "a file *.prom that is written with what 'kmodctl metrics' shows, for the textfile "
        "collector of Prometheus's node_exporter: when something has changed, every 15 seconds at "
        "most, and once a minute; it goes when kmodd stops",
    ),
    "front": Value(
        _path,
        "the socket of kmodd-public.service, which reads what others than admins send (default: "
        "none, and kmodd starts a process for that itself)",
    ),
    "desired_state": Value(
        _path,
        "the directory whose files *.toml say what the machine is to have, see kmodd-state(7) "
        "(default: state.d beside this file)",
    ),
    "labels": Value(
        _labels, "names and values of the machine's own, by which such files may choose"
    ),
    "log_level": Value(_choice(*LOG_LEVELS), f"{', '.join(LOG_LEVELS)} (default: info)"),
    "deny": [
        {
            "modules": Value(
                _patterns,
                "patterns of modules that are never loaded, nor what needs them; a module goes by "
                "the name of its file and by the one in it",
            ),
            "build_id": Value(
                _build_id,
                "the build of a module that is never loaded, whatever it is called, in hexadecimal "
                "digits as 'modinfo -F build-id' or 'readelf -n' shows it",
                instead="modules",
            ),
            "reason": Value(_string, "what callers are told"),
        }
    ],
    "socket": [
        {
            "path": Value(_path, "where to listen; each socket has a directory of its own"),
            "role": Value(
                _role,
                "observer, steward, loader or admin; with grants the most that one of them gives "
                "there, where a loader is more than a steward (default: admin)",
            ),
            "mode": Value(_mode, "permission bits; who may write may connect (default: 0o600)"),
            "owner": Value(_user, "name or number of its user (default: kmodd's own)"),
            "group": Value(_user, "name or number of its group (default: kmodd's own)"),
            **_LISTS_OF_ONE,
            "grants": Value(
                _boolean,
                "whether each caller has the role that the first grant gives him which fits, at "
                "most the socket's; root and kmodd's own user have the socket's, but not where "
                "they are in a container or a pid namespace of their own, nor where the process "
                "has ended by then (default: false)",
            ),
            "default": Value(
                _lesser_role,
                "what a caller may do whom no grant fits: none or observer (default: none)",
            ),
            "name": Value(
                _name,
                "what the service manager calls the socket, if it is one that it has made "
                "(FileDescriptorName= in systemd.socket(5)); otherwise it is known by its path; it "
                "has the manager's mode, and who may not connect by this one is not served",
            ),
        }
    ],
    "grant": [
        {
            "role": Value(
                _granted_role,
                "what those may do who are meant: none, observer, steward, loader or admin",
            ),
            "users": Value(_users, "names or numbers of users, one of which the caller is"),
            "groups": Value(_users, "names or numbers of groups, one of which the caller is in"),
            "units": Value(
                _globs,
                "patterns of systemd's units, one of which the caller's process is in; that is the "
                "outermost, such as a service, or the session or the manager of a user",
            ),
            "containers": Value(
                _globs,
                "patterns of the containers, one of which the caller's process is in, as kmodctl "
                "whoami has them there: docker's and podman's by number, machines by name",
            ),
            **_LISTS_OF_ONE,
        }
    ],
    "limits": _numbers(Limits()),
    "timing": _numbers(Timing()),
}
"""Every setting, and what its value must be. Of a list of tables the first setting is needed."""
