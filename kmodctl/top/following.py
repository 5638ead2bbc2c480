# SPDX-License-Identifier: Apache-2.0
"""A daemon that is followed: its modules, events and log, over its ends and those of its calls."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Protocol, TypeVar

from kmodctl.aio import Client
from kmodctl.commands.events import BEGIN_ANEW
from kmodctl.errors import CallError, KmodctlError
from kmodctl.lasting_hold import PAUSE, is_of_the_daemon
from kmodd.messages.codec import Message
from kmodd.messages.daemon_service import GetStatusResponse, WhoAmIResponse
from kmodd.messages.kernel_log_service import LogRecord
from kmodd.messages.module_service import Hold, Module, WatchModulesResponse

MODULES = "/kmodd.v1.ModuleService/"
LIST, WATCH, HOLDS = MODULES + "ListModules", MODULES + "WatchModules", MODULES + "ListHolds"
STATUS, LOG = "/kmodd.v1.DaemonService/GetStatus", "/kmodd.v1.KernelLogService/ReadLog"

LISTINGS_PAUSE = 0.2
"""Seconds between two listings, however much happens."""

REFUSAL_PAUSE = 5.0
"""Seconds until what was refused is asked for again."""

Kind = TypeVar("Kind", bound=Message)


def plain(kind: type[Kind], message: Any) -> Kind:
    """Return a message of protobuf's as the commands have it, with None for what is absent."""
    return kind.decode(message.SerializeToString())


class Follower(Protocol):
    """What is told of a daemon, in the loop's thread."""

    def arrived(self, who: WhoAmIResponse, status: GetStatusResponse) -> None:
        """There is a daemon, the first or one more; who one is there, and what it is."""

    def gone(self, why: str) -> None:
        """There is none any more."""

    def listed(self, modules: list[Module], holds: list[Hold]) -> None:
        """These are the loaded modules, the newest first; holds are told to administrators."""

    def happened(self, event: WatchModulesResponse) -> None:
        """This was done, or has changed."""

    def logged(self, record: LogRecord) -> None:
        """The kernel has logged this."""

    def failed(self, line: str) -> None:
        """Something is not told, for now."""


class Following:
    """Tells a follower of the daemon on a socket, for as long as ``follow`` runs.

    ``client`` asks that daemon; None where there is none. All of it belongs to one loop.
    """

    def __init__(self, path: str, told: Follower) -> None:
        self.client: Client | None = None
        self._path = path
        self._told = told
        self._status = GetStatusResponse()
        self._stale = asyncio.Event()
        self._epoch, self._revision = "", 0
        self._boot, self._sequence = "", 0
        self._is_missed = False

    def look(self) -> None:
        """Have the modules listed anew."""
        self._stale.set()

    async def follow(self) -> None:
        """Follow the daemon, wait for another one when it is gone, and so on."""
        while True:
            try:
                async with Client(self._path) as client:
                    await self._follow_one(client)
            except* KmodctlError as errors:
                self._tell_gone(errors.exceptions[0])
            await asyncio.sleep(PAUSE)

    def _tell_gone(self, why: BaseException) -> None:
        """Tell once that there is no daemon, however often one is looked for."""
        if not self._is_missed:
            self._is_missed = True
            self._told.gone(str(why))

    async def _follow_one(self, client: Client) -> None:
        """Tell all that the caller may know, until the daemon is gone; raises why it is."""
        who = plain(WhoAmIResponse, await client.who_am_i())
        may = who.methods.__contains__
        if may(STATUS):
            self._status = plain(GetStatusResponse, await client.status())
        self.client, self._is_missed = client, False
        self._told.arrived(who, self._status)
        self._stale.set()
        try:
            async with asyncio.TaskGroup() as tasks:
                for follow, is_told in (
                    (lambda: self._list(client, holds=may(HOLDS)), may(LIST)),
                    (lambda: self._watch(client), may(WATCH) and may(STATUS)),
                    (lambda: self._read_log(client), may(LOG)),
                ):
                    if is_told:
                        tasks.create_task(self._kept_up(follow))
        finally:
            self.client = None

    async def _kept_up(self, follow: Callable[[], Awaitable[None]]) -> None:
        """Follow one thing, and begin anew where that breaks off while the daemon lives."""
        while True:
            pause = PAUSE
            try:
                await follow()
            except CallError as error:
                if is_of_the_daemon(error):
                    raise
                if error.reason in BEGIN_ANEW:
                    self._told.failed(f"WARNING: events are missing here: {error.message}")
                else:
                    self._told.failed(f"ERROR: {error.message}")
                    pause = REFUSAL_PAUSE
            await asyncio.sleep(pause)

    async def _list(self, client: Client, *, holds: bool) -> None:
        while True:
            await self._stale.wait()
            self._stale.clear()
            modules = [plain(Module, each) for each in await client.list_modules()]
            held = [plain(Hold, each) for each in await client.list_holds()] if holds else []
            self._told.listed(modules, held)
            await asyncio.sleep(LISTINGS_PAUSE)

    async def _watch(self, client: Client) -> None:
        """Tell what is kept of what has happened and was not told yet, and what happens."""
        status = await client.status()
        revision = status.oldest_revision
        if status.epoch == self._epoch:
            revision = max(revision, self._revision)
        self._stale.set()
        async for event in client.watch_modules(status.epoch, revision):
            self._epoch, self._revision = event.epoch, event.revision
            self._stale.set()
            self._told.happened(plain(WatchModulesResponse, event))

    async def _read_log(self, client: Client) -> None:
        """Tell the records that the kernel still has and that were not told yet, and new ones."""
        if self._status.boot_id != self._boot:
            self._boot, self._sequence = self._status.boot_id, -1
        after = self._sequence if self._sequence >= 0 else None
        async for record in client.read_log(follow=True, after=after):
            self._sequence = record.sequence
            self._told.logged(plain(LogRecord, record))


def refusal(error: Exception) -> str:
    """Return a failure as kmodctl words it; grpc's UsageError is that of a closed client."""
    match error:
        case CallError():
            return f"ERROR: {error.message}"
        case KmodctlError():
            return f"ERROR: {error}"
        case UnicodeEncodeError():
            return f"ERROR: not UTF-8: {error.object!r}"
        case _:
            return "ERROR: the daemon has gone meanwhile"
