# SPDX-License-Identifier: Apache-2.0
"""A connection to etcd, version 3.4 or newer, by one of its members at a time.

Its API is https://etcd.io/docs/v3.6/learning/api/; the part of it that is asked for is described in
etcd_rpc.proto.
"""

import random
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Any

import grpc
import grpc.aio

from kmodctl.fleet import etcd_rpc_pb2 as pb
from kmodctl.fleet import etcd_rpc_pb2_grpc as rpc
from kmodctl.fleet.etcd_failures import StoreRefusedError, TooLargeError, failure, has_begun
from kmodctl.fleet.etcd_watch import HAS_LEADER, Watching, end_of, entry_of
from kmodctl.fleet.links import Link, Tls
from kmodctl.fleet.store import (
    Changed,
    CompactedError,
    Delete,
    KeyChange,
    LeaseGoneError,
    Listing,
    Put,
    StoredEntry,
    StoreError,
    Transacted,
)

PAGE = 500
"""Keys that are asked for at a time."""

TIMEOUT = 10.0
"""Seconds that a member has for an answer, and for a connection to come about."""

Method = Callable[..., Any]
Choice = Callable[[grpc.aio.Channel], Method]


@dataclass(frozen=True, slots=True)
class EtcdMember:
    """How a member is: its version, the bytes of its database, and what is wrong with it."""

    endpoint: str
    version: str
    size_bytes: int
    problems: tuple[str, ...]


class Etcd:
    """A ``Store``: the cluster that has the members ``endpoints``; belongs to the running loop.

    The members are tried in an order of chance, so that clients spread over them, from the one on
    that answered last. What only asks is asked of the next one where a member fails. What changes
    something is not, once a member may have begun it: then whether it was done is not known.
    """

    def __init__(
        self, endpoints: Sequence[str], tls: Tls | None = None, *, timeout: float = TIMEOUT
    ) -> None:
        """``timeout`` bounds each try of a call, in seconds. Raises StoreError for wrong words."""
        if not endpoints:
            raise StoreError("no endpoint of etcd is given")
        self._links = [Link(each, tls, timeout) for each in endpoints]
        random.shuffle(self._links)
        self._timeout = timeout

    async def get(self, key: str) -> StoredEntry | None:
        """Return a key's entry, None where there is none."""
        answer = await self._ask(_range, pb.RangeRequest(key=_bytes(key)))
        return next(map(entry_of, answer.kvs), None)

    async def list(self, *prefixes: str) -> Listing:
        """Return all whose keys begin with one of ``prefixes``, of one revision."""
        while True:
            try:
                return await self._list(prefixes)
            except CompactedError:  # between two pages
                continue

    async def transact(
        self, compares: Sequence[Changed], operations: Sequence[Put | Delete]
    ) -> Transacted:
        """Do all ``operations`` where all ``compares`` hold, else nothing."""
        request = pb.TxnRequest(
            compare=[
                pb.Compare(key=_bytes(each.key), target=pb.Compare.MOD, mod_revision=each.revision)
                for each in compares
            ],
            success=[_operation(each) for each in operations],
        )
        answer = await self._ask(_txn, request, repeats=False)
        return Transacted(answer.succeeded, answer.header.revision)

    @property
    def endpoint(self) -> str:
        """The member that is asked first: which answered last, or else did not fail last."""
        return self._links[0].endpoint

    async def watch(
        self, prefixes: Sequence[str], after: int
    ) -> AsyncIterator[tuple[KeyChange, ...]]:
        """Yield what changes of keys that begin with one of ``prefixes``, after that revision."""
        watching = Watching(prefixes, after)
        failures: list[str] = []
        while True:
            link, channel = await self._link()
            try:
                with link.used(channel) as used:
                    async for changes in watching.changes(rpc.WatchStub(used).Watch):
                        failures.clear()
                        yield changes
                why = StoreError(f"{link.endpoint}: it has ended the watch")
            except grpc.aio.AioRpcError as error:
                why = failure(link.endpoint, error, self._timeout)
            except StoreError as error:
                if isinstance(error, CompactedError):
                    raise
                why = type(error)(f"{link.endpoint}: {error}")
            link.leave(channel)
            failures.append(str(why))
            if isinstance(why, StoreRefusedError) or len(failures) > len(self._links):
                raise StoreError("; ".join(dict.fromkeys(failures)))
            self._turn(link)

    async def grant(self, seconds: int) -> int:
        """Return a new lease that lives for so long after each ``keep_alive``."""
        answer = await self._ask(_grant, pb.LeaseGrantRequest(TTL=seconds))
        if answer.error or not answer.ID:
            raise StoreError(f"no lease: {answer.error or 'it has no number'}")
        return int(answer.ID)

    async def keep_alive(self, lease: int) -> None:
        """Have a lease live on. Raises LeaseGoneError where it is gone."""
        request = pb.LeaseKeepAliveRequest(ID=lease)
        answer = await self._ask(_keep_alive, request)
        if answer.TTL <= 0:
            raise LeaseGoneError(f"lease {lease:x} has run out")

    async def revoke(self, lease: int) -> None:
        """Give up a lease, and with it its keys; one that is gone is no error."""
        try:
            await self._ask(_revoke, pb.LeaseRevokeRequest(ID=lease))
        except LeaseGoneError:
            return

    async def member(self) -> EtcdMember:
        """Return how the member is that is asked first. Raises StoreError."""
        answer = await self._ask(_status, pb.StatusRequest())
        problems = [*answer.errors, *([] if answer.leader else ["it knows no leader"])]
        return EtcdMember(self.endpoint, answer.version, answer.dbSize, tuple(problems))

    async def close(self) -> None:
        """End the connections and all that is under way."""
        for link in self._links:
            await link.close()

    async def _list(self, prefixes: Sequence[str]) -> Listing:
        """List, or raise CompactedError where that takes longer than the revision is kept."""
        entries: list[StoredEntry] = []
        revision = 0
        for prefix in prefixes:
            key, end, limit = _bytes(prefix), end_of(prefix), PAGE
            while True:
                request = pb.RangeRequest(key=key, range_end=end, limit=limit, revision=revision)
                try:
                    answer = await self._ask(_range, request)
                except TooLargeError:
                    if limit == 1:
                        raise
                    limit = max(limit // 8, 1)
                    continue
                revision = revision or answer.header.revision
                entries.extend(map(entry_of, answer.kvs))
                if not answer.more or not answer.kvs:
                    break
                key = answer.kvs[-1].key + b"\0"
        return Listing(tuple(entries), revision)

    async def _ask(self, method: Choice, request: object, *, repeats: bool = True) -> Any:
        """Return the answer of the first member that gives one; raises StoreError."""
        failures: list[str] = []
        for _ in self._links:
            link, channel = await self._link()
            try:
                with link.used(channel) as used:
                    answer = await method(used)(request, timeout=self._timeout)
                if answer is not None:
                    return answer
                raise StoreError(f"{link.endpoint}: an answer cannot be read")
            except grpc.aio.AioRpcError as error:
                why = failure(link.endpoint, error, self._timeout)
                if type(why) is not StoreError:
                    raise why from None
                if error.code() is not grpc.StatusCode.DEADLINE_EXCEEDED:
                    link.leave(channel)  # one that hangs is found out by pings
                self._turn(link)
                failures.append(str(why))
                if not repeats and has_begun(error):
                    raise StoreError(f"{why}; whether it was done is not known") from None
        raise StoreError("; ".join(failures))

    async def _link(self) -> "tuple[Link, Any]":
        """Return the first member to which there is a connection; raises StoreError."""
        failures = []
        for link in tuple(self._links):
            try:
                return link, await link.connected()
            except StoreError as error:
                failures.append(str(error))
                self._turn(link)
        raise StoreError("; ".join(failures))

    def _turn(self, failed: Link) -> None:
        """Try a member that has failed after all others."""
        self._links.remove(failed)
        self._links.append(failed)


def _range(channel: grpc.aio.Channel) -> Method:
    return rpc.KVStub(channel).Range  # type: ignore[no-any-return]


def _txn(channel: grpc.aio.Channel) -> Method:
    return rpc.KVStub(channel).Txn  # type: ignore[no-any-return]


def _grant(channel: grpc.aio.Channel) -> Method:
    return rpc.LeaseStub(channel).LeaseGrant  # type: ignore[no-any-return]


def _revoke(channel: grpc.aio.Channel) -> Method:
    return rpc.LeaseStub(channel).LeaseRevoke  # type: ignore[no-any-return]


def _status(channel: grpc.aio.Channel) -> Method:
    return rpc.MaintenanceStub(channel).Status  # type: ignore[no-any-return]


def _keep_alive(channel: grpc.aio.Channel) -> Method:
    """Return what asks once by the stream that etcd has for it."""

    async def once(request: pb.LeaseKeepAliveRequest, timeout: float) -> Any:
        call = rpc.LeaseStub(channel).LeaseKeepAlive(
            iter([request]), timeout=timeout, metadata=HAS_LEADER
        )
        try:
            async for answer in call:
                return answer
        finally:
            call.cancel()
        return pb.LeaseKeepAliveResponse()

    return once


def _operation(operation: Put | Delete) -> pb.RequestOp:
    key = _bytes(operation.key)
    if isinstance(operation, Delete):
        return pb.RequestOp(request_delete_range=pb.DeleteRangeRequest(key=key))
    put = pb.PutRequest(key=key, value=operation.value, lease=operation.lease)
    return pb.RequestOp(request_put=put)


def _bytes(key: str) -> bytes:
    return key.encode("utf-8", "surrogateescape")
