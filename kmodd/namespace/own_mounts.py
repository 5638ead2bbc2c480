# SPDX-License-Identifier: Apache-2.0
"""A program that becomes a command's shell, with mounts of its own that have kmod's tools covered.

    python -I -S own_mounts.py TOOLS REPORT COMMAND [NAMED...]

Wherever the machine has one of kmod's tools, the shell and all that it starts find TOOLS/kmod
there, and TOOLS' own at the paths NAMED where the machine has nothing. The mounts are seen by
nobody else, and end with the last of these processes. What is in the way of that is written to the
descriptor REPORT, and then no command is run.

It is started by its path and imports little: a command waits 12 ms for it.
"""

import ctypes
import os
import sys

TOOLS = ("modprobe", "insmod", "rmmod", "lsmod", "modinfo", "depmod")
"""kmod's tools."""

NAMES = (*TOOLS, "kmod")
"""The names that they have, and the program that they usually are."""

DIRECTORIES = ("/sbin", "/usr/sbin", "/bin", "/usr/bin", "/usr/local/sbin", "/usr/local/bin")
"""Where they usually are."""

SHELL = "/bin/sh"

_CLONE_NEWNS = 0x00020000
_CLONE_NEWUSER = 0x10000000
_MS_RDONLY = 1 << 0
_MS_BIND = 1 << 12
_MS_REC = 1 << 14
_MS_SLAVE = 1 << 19

_IGNORED_BY_PYTHON = (13, 25)
"""SIGPIPE and SIGXFSZ; importing ``signal`` for their names would take 4 ms."""

_libc = ctypes.CDLL(None, use_errno=True)


def main() -> None:
    """Become the shell; ends with status 1 where it cannot be one with mounts of its own."""
    tools, report, command, *named = sys.argv[1:]
    os.set_inheritable(int(report), False)
    try:
        enter_namespace()
        for directory in _directories_without(named):
            add_tools(tools, directory)
        for path in _paths_of_tools(tools):
            cover(path, f"{tools}/kmod")
        for number in _IGNORED_BY_PYTHON:
            _libc.signal(number, None)
        os.execv(SHELL, [SHELL, "-c", command])
    except OSError as error:
        os.write(int(report), os.fsencode(f"{error.filename}: {error.strerror}"))
        sys.exit(1)


def enter_namespace() -> None:
    """Have mounts of this process's own; a user without privileges has them as that same user.

    Mounts that others make and end go on to be seen, so that what a command leaves running keeps
    no file system busy. Raises OSError.
    """
    user, group = os.geteuid(), os.getegid()
    try:
        _unshare(_CLONE_NEWNS)
    except PermissionError:
        if user == 0:  # a root without CAP_SYS_ADMIN is confined on purpose
            raise
        _unshare(_CLONE_NEWUSER | _CLONE_NEWNS)
        _write("setgroups", "deny")
        _write("uid_map", f"{user} {user} 1")
        _write("gid_map", f"{group} {group} 1")
    _mount("none", "/", "", _MS_REC | _MS_SLAVE)


def cover(path: str, tool: str) -> None:
    """Have ``tool`` at ``path``, which may be a link: what it leads to stays as it is.

    That may be the program of many other tools as well (BusyBox). Raises OSError.
    """
    try:
        file = os.open(path, os.O_PATH | os.O_NOFOLLOW)
    except PermissionError:  # then a command does not get there either
        return
    try:
        _mount(tool, f"/proc/self/fd/{file}", "", _MS_BIND)
    finally:
        os.close(file)


def add_tools(tools: str, directory: str) -> None:
    """Have the files of ``tools`` in ``directory`` beside its own; raises OSError."""
    with open("/proc/filesystems") as known:
        # To mount one that is not there would have the kernel call modprobe.
        if "\toverlay\n" not in known.read():
            raise OSError(19, "there is nothing, and no overlay", directory)
    _mount("overlay", directory, "overlay", _MS_RDONLY, f"lowerdir={tools}:{directory}")


def _directories_without(named: list[str]) -> list[str]:
    """Return the directories of those of the paths ``named`` that there are not."""
    missing = (os.path.dirname(path) for path in named if not os.path.lexists(path))
    return list(dict.fromkeys(map(os.path.realpath, missing)))


def _paths_of_tools(own: str) -> list[str]:
    """Return where kmod's tools are, but for the directory ``own``; no file by two paths."""
    searched = os.environ.get("PATH", "").split(":")
    directories = dict.fromkeys(map(os.path.realpath, (*DIRECTORIES, *searched)))
    directories.pop(os.path.realpath(own), None)
    paths = [f"{directory}/{name}" for directory in directories for name in NAMES]
    found = dict.fromkeys(path for path in paths if os.path.lexists(path))
    # Elsewhere as well, as where each package has a directory of its own.
    programs = dict.fromkeys(map(os.path.realpath, found))
    found |= {path: None for path in programs if os.path.basename(path) == "kmod"}
    return list(found)


def _unshare(flags: int) -> None:
    if _libc.unshare(flags):
        raise _error("unshare")


def _mount(source: str, target: str, kind: str, flags: int, data: str = "") -> None:
    texts = (os.fsencode(text) for text in (source, target, kind))
    if _libc.mount(*texts, ctypes.c_ulong(flags), os.fsencode(data)):
        raise _error(target)


def _error(what: str) -> OSError:
    number = ctypes.get_errno()
    return OSError(number, os.strerror(number), what)


def _write(name: str, text: str) -> None:
    with open(f"/proc/self/{name}", "w") as file:
        file.write(text)


if __name__ == "__main__":
    main()
