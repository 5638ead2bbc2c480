# SPDX-License-Identifier: Apache-2.0
"""Finding and reading configuration files: which directory wins, and what is never opened."""

from __future__ import annotations

import errno
import os
import stat

from kmodd.records import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence
    from typing import TypeAlias

    AnyPath: TypeAlias = str | os.PathLike[str]

MAX_FILE = 1 << 20
"""Bytes of one configuration file; Debian's largest has 1 KiB."""

MAX_FILES = 1024
"""Files of one configuration; Debian installs two."""

Objection: TypeAlias = "Callable[[int, str], str]"
"""Tells why what is open at a descriptor, and was reached by a path, is not to be read, or ""."""

_MAX_LINKS = 40
_DIRECTORIES = ("etc", "run", "usr/local/lib", "usr/lib", "lib")
_NULL_DEVICE = os.makedev(1, 3)


@record
class ConfigFile:
    """A configuration file: the path that names it to people, and the one to open."""

    shown: str
    real: str

    @property
    def sort_key(self) -> bytes:
        """The bytes of the base name, which decide the order of reading (strcmp(3))."""
        return os.fsencode(os.path.basename(self.shown))


class Gate:
    """Lets through what there is no objection to, and keeps a line for everything else.

    It is for one reading; never shared.
    """

    def __init__(self, objection: Objection | None = None) -> None:
        self._objection = objection
        self._unread: dict[tuple[int, int], str] = {}

    def admits(self, fd: int, path: str) -> bool:
        """Tell whether what is open at ``fd`` and was reached by ``path`` may be read."""
        complaint = self._objection(fd, path) if self._objection else ""
        if complaint:
            status = os.fstat(fd)  # where /lib is a link, one directory comes by two paths
            line = f"{path} is not read: {complaint}"
            self._unread.setdefault((status.st_dev, status.st_ino), line)
        return not complaint

    @property
    def unread(self) -> tuple[str, ...]:
        """What was not let through and why, a line each."""
        return tuple(self._unread.values())


def config_directories(root: AnyPath, kind: str = "modprobe.d") -> tuple[str, ...]:
    """Return the directories of ``kind`` under ``root``, the one that wins first (modprobe.d(5)).

    They need not exist. Where /lib is a link to usr/lib the last two are the same directory, which
    does no harm: of files with one name the first counts.
    """
    return tuple(os.path.join(root, directory, kind) for directory in _DIRECTORIES)


def resolve_in_root(root: AnyPath, inside: str) -> str:
    """Return what the path ``inside`` names, with every symbolic link followed below ``root``.

    As after chroot(2): an absolute link starts at ``root``, and ``..`` does not leave it. So the
    configuration of another system's root never comes from this one. The path given back may not
    exist. Raises OSError (ELOOP) after 40 links, as many as the kernel follows.
    """
    pending = inside.split("/")[::-1]
    done: list[str] = []
    links = 0
    while pending:
        part = pending.pop()
        if part == "..":
            del done[-1:]
        elif part not in ("", "."):
            target = _read_link(os.path.join(root, *done, part))
            if target is None:
                done.append(part)
                continue
            links += 1
            if links > _MAX_LINKS:
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), inside)
            if target.startswith("/"):
                done.clear()
            pending += target.split("/")[::-1]
    return os.path.join(root, *done)


def files_under(
    root: AnyPath, problems: list[str], gate: Gate, kind: str = "modprobe.d"
) -> list[ConfigFile]:
    """Return the configuration files of ``kind`` under ``root`` in the order of reading.

    Links are followed below ``root`` alone. A directory that ``gate`` does not admit has none.
    """
    found: dict[str, ConfigFile] = {}
    for directory in config_directories(root, kind):
        _add_directory(found, directory, problems, gate, root=root)
    return _in_order(found, problems)


def files_at(paths: Iterable[AnyPath], problems: list[str], gate: Gate) -> list[ConfigFile]:
    """Return the files that ``paths`` (directories or files, ``modprobe -C``) stand for.

    A file that is named itself needs no ``.conf`` at its end. Links go where they go. A directory
    that ``gate`` does not admit has no files.
    """
    found: dict[str, ConfigFile] = {}
    for named in paths:
        path = os.fspath(named)
        if os.path.isdir(path):
            _add_directory(found, path, problems, gate, root=None)
        else:
            found.setdefault(os.path.basename(path), ConfigFile(path, path))
    return _in_order(found, problems)


def read_text(file: ConfigFile, problems: list[str], gate: Gate) -> str | None:
    """Return the file's text, or None where there is nothing to read.

    Only regular files are opened, so no FIFO blocks and no device stirs. A link to /dev/null or
    to nothing silently masks files of its name in other directories, and so does a file that
    ``gate`` does not admit. Bytes that are not UTF-8 survive as surrogates.
    """
    try:
        status = os.stat(file.real)
        if stat.S_ISREG(status.st_mode):
            return _read_regular(file, problems, gate)
        if not (stat.S_ISCHR(status.st_mode) and status.st_rdev == _NULL_DEVICE):
            problems.append(f"{file.shown}: not a regular file, ignored")
    except FileNotFoundError:
        return None
    except OSError as error:
        problems.append(f"{file.shown}: {error.strerror}")
    return None


def _read_regular(file: ConfigFile, problems: list[str], gate: Gate) -> str | None:
    """Read a file that was a regular one just now; what has taken its place does not block."""
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK
    with open(os.open(file.real, flags), "rb") as stream:
        if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
            problems.append(f"{file.shown}: not a regular file, ignored")
            return None
        if not gate.admits(stream.fileno(), file.shown):
            return None
        content = stream.read(MAX_FILE + 1)
    if len(content) > MAX_FILE:
        problems.append(f"{file.shown}: more than {MAX_FILE} bytes, ignored")
        return None
    return content.decode("utf-8", "surrogateescape")


def _read_link(path: str) -> str | None:
    try:
        return os.readlink(path)
    except OSError:
        return None


def _add_directory(
    found: dict[str, ConfigFile],
    directory: str,
    problems: list[str],
    gate: Gate,
    *,
    root: AnyPath | None,
) -> None:
    """Add the files of ``directory`` whose names are new; without ``root`` links go anywhere."""
    try:
        names = _new_names(_real(directory, root), directory, found, gate)
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        problems.append(f"{directory}: {error.strerror}")
        return
    for name in names:
        file = os.path.join(directory, name)
        try:
            real = _real(file, root)
        except OSError as error:
            problems.append(f"{file}: {error.strerror}")
            continue
        if os.path.isdir(real):
            problems.append(f"Directories inside directories are not supported: {file}")
        else:
            found[name] = ConfigFile(file, real)


def _new_names(real: str, directory: str, found: Collection[str], gate: Gate) -> Sequence[str]:
    """Return the names in ``directory``, which is opened as ``real``, that a file is to be read of.

    The gate is asked only where there are any. Raises OSError.
    """
    fd = os.open(real, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        names = [
            name
            for name in sorted(os.listdir(fd))
            if name.endswith(".conf") and not name.startswith(".") and name not in found
        ]
        return names if names and gate.admits(fd, directory) else ()
    finally:
        os.close(fd)


def _real(path: str, root: AnyPath | None) -> str:
    """Return the path to open for ``path``, which lies under ``root`` if there is one."""
    return path if root is None else resolve_in_root(root, path.removeprefix(os.fspath(root)))


def _in_order(found: dict[str, ConfigFile], problems: list[str]) -> list[ConfigFile]:
    files = sorted(found.values(), key=lambda file: file.sort_key)
    if len(files) > MAX_FILES:
        problems.append(f"{files[MAX_FILES].shown}: more than {MAX_FILES} files, the rest ignored")
    return files[:MAX_FILES]
