# SPDX-License-Identifier: Apache-2.0
"""What is answered here, with the caller's own rights, from the files of a tree.

Options that name another root or another configuration are not for a daemon that may be root:
it would read what its callers cannot.
"""

import os

from kmodctl.errors import CallError, KmodctlError, NoDaemonError
from kmodd.messages.channel import Channel

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any

    from kmodctl.api import Api
    from kmodd.errors import KmoddError
    from kmodd.messages.channel import Response
    from kmodd.messages.codec import Message
    from kmodd.messages.database_service import ModuleInfo

CONFIG_DIRECTORIES = tuple(
    f"{directory}/modprobe.d"
    for directory in ("/etc", "/run", "/usr/local/lib", "/usr/lib", "/lib")
)
"""Where modprobe's configuration is, whatever the root (modprobe.d(5))."""

COMMAND_LINE = "/proc/cmdline"


class Place:
    """Where to look.

    ``root`` is the system root with the module trees. ``release`` is "" for the running kernel's
    where the root has it, else for the newest there. ``config`` are directories and files, () for
    those of this system. Where modules are for the ``running`` kernel, its command line counts.
    ``exact`` has everything done as kmod does it.
    """

    def __init__(
        self,
        root: str = "/",
        release: str = "",
        config: tuple[str, ...] = (),
        *,
        running: bool = True,
        exact: bool = False,
    ) -> None:
        self.root = root or "/"
        self.release = release
        self.config = config
        self.running = running
        self.exact = exact


def place_beside(
    daemon: "Api",
    root: str | None,
    release: str = "",
    config: tuple[str, ...] = (),
) -> Place:
    """Return where to look beside ``daemon``.

    Without a ``root`` it is that one's; without a ``release`` that of its kernel, where the root
    has it. It does as that one does. Where no daemon answers, the place is as it is named.
    """
    from kmodd.messages.daemon_service import KERNEL_KIND_LINUX

    try:
        status = daemon.status()
    except NoDaemonError:
        return Place(root or "/", release, config)
    if root is None:
        root, release = status.root, release or status.release
    else:
        release = release or _release_of(status.release, root)
    running = status.kernel == KERNEL_KIND_LINUX
    return Place(root, release, config, running=running, exact=status.kmod_exact)


class LocalChannel(Channel):
    """Answers calls that only ask, from the files at a place."""

    def __init__(self, place: Place) -> None:
        from kmodd.oneshot.answers import Answers

        release = place.release or _release_of(os.uname().release, place.root)
        if not release:
            from kmodd.database.releases import newest_release
            from kmodd.places import modules_directory

            release = newest_release(modules_directory(place.root)) or os.uname().release
        self._answers = Answers(
            place.root,
            release,
            place.config or CONFIG_DIRECTORIES,
            command_line=_command_line() if place.running else "",
            exact=place.exact,
        )

    def call(
        self,
        method: str,
        request: "Message",
        response: "type[Response]",  # noqa: ARG002  # what comes is of that class
    ) -> "Response":
        """Answer a call; raises CallError."""
        answer: Response = self._answer(method, request)
        return answer

    def stream(
        self,
        method: str,
        request: "Message",
        response: "type[Response]",  # noqa: ARG002
    ) -> "Iterator[Response]":
        """Yield the answers to a call; raises CallError."""
        from kmodd.errors import KmoddError

        try:
            yield from self._answer(method, request)
        except KmoddError as error:  # of an index that is read as it is shown
            raise _call_error(error) from None

    def upload(
        self,
        method: str,
        requests: "Iterable[Message]",
        response: "type[Response]",  # noqa: ARG002
    ) -> "Response":
        """Answer a call with a stream of requests; raises CallError."""
        answer: Response = self._answer(method, [*requests])
        return answer

    def _answer(self, method: str, request: object) -> "Any":
        from kmodd.errors import KmoddError

        name = method.rpartition("/")[2]
        words = "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name)
        answer = getattr(self._answers, words[1:], None)
        if answer is None:
            raise CallError("UNIMPLEMENTED", f"{method} needs a daemon")
        try:
            return answer(request)
        except KmoddError as error:
            raise _call_error(error) from None


def inspect(path: str, *, symbols: bool = True) -> "ModuleInfo":
    """Return what the module file ``path`` says of itself, with ``symbols`` these included.

    Raises OSError where the file cannot be read, and KmodctlError.
    """
    from kmodd.errors import KmoddError
    from kmodd.messages import database_service
    from kmodd.queries.messages import info_message
    from kmodd.queries.modinfo import info_of_file

    try:
        info = info_of_file(path, symbols=symbols)
    except KmoddError as error:
        raise KmodctlError(error.message) from None
    message: ModuleInfo = info_message(info, database_service)
    return message


def _call_error(error: "KmoddError") -> CallError:
    """Return the CallError for what a daemon would have ended the call with."""
    return CallError(
        reason=error.reason.name,
        message=error.message,
        errno=error.errno,
        module=error.module,
        symbol=error.symbol,
        detail=error.detail,
        log_lines=tuple(error.log),
    )


def _command_line() -> str:
    try:
        with open(COMMAND_LINE, encoding="utf-8", errors="surrogateescape") as file:
            return file.read()
    except OSError:
        return ""


def _release_of(release: str, root: str) -> str:
    """Return a kernel's ``release`` if ``root`` has its tree, or no tree at all, else ""."""
    from kmodd.places import modules_directory

    try:
        names = os.listdir(modules_directory(root or "/"))
    except OSError:
        return release
    return release if release in names or not names else ""
