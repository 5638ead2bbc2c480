# SPDX-License-Identifier: Apache-2.0
"""kmodctl's connection to etcd, with Debian's etcd and with what is none."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc.aio
import pytest

from kmodctl.fleet import etcd_rpc_pb2 as pb
from kmodctl.fleet.etcd import PAGE, Etcd
from kmodctl.fleet.etcd_failures import StoreRefusedError
from kmodctl.fleet.links import LARGEST, Tls
from kmodctl.fleet.store import (
    Changed,
    CompactedError,
    Delete,
    KeyChange,
    LeaseGoneError,
    Put,
    Store,
    StoreError,
)
from tests.support.certificates import make_authority, make_certificate
from tests.support.daemon import START
from tests.support.etcd import EtcdCluster, compact, running_etcd, tls_of
from tests.support.tcp_proxy import tcp_proxy

SHORT = 0.3
"""Seconds that an answer may take which never comes."""


@pytest.fixture(scope="module", name="cluster")
def three_members(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EtcdCluster]:
    with running_etcd(tmp_path_factory.mktemp("etcd"), members=3) as cluster:
        yield cluster


def run(what: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(what, START))


@asynccontextmanager
async def connected(
    cluster: EtcdCluster, *endpoints: str, timeout: float = 5.0
) -> AsyncIterator[Etcd]:
    etcd = Etcd(endpoints or cluster.endpoints, tls_of(cluster.operator), timeout=timeout)
    try:
        yield etcd
    finally:
        await etcd.close()


def test_keys_are_written_where_the_compares_hold(cluster: EtcdCluster) -> None:
    async def script() -> None:
        async with connected(cluster) as etcd:
            store: Store = etcd
            assert await store.get("/k/one") is None
            made = await store.transact([Changed("/k/one", 0)], [Put("/k/one", b"1")])
            again = await store.transact([Changed("/k/one", 0)], [Put("/k/one", b"2")])
            assert (made.succeeded, again.succeeded) == (True, False)
            entry = await store.get("/k/one")
            assert entry is not None
            assert (entry.value, entry.created, entry.changed) == (b"1", *[made.revision] * 2)
            both: list[Put | Delete] = [Put("/k/two", b"\0\xff"), Delete("/k/one")]
            both.append(Delete("/k/none"))
            done = await store.transact([Changed("/k/one", made.revision)], both)
            assert done.succeeded
            listing = await store.list("/k/")
            assert [(each.key, each.value) for each in listing.entries] == [("/k/two", b"\0\xff")]
            assert listing.revision >= done.revision

    run(script())


def test_a_listing_has_all_however_many_and_large_they_are(cluster: EtcdCluster) -> None:
    count, large = 2 * PAGE + 1, (LARGEST >> 20) + 2

    async def script() -> None:
        async with connected(cluster) as etcd:
            names = [f"/many/{at:05}" for at in range(count)]
            for at in range(0, count, 100):
                await etcd.transact([], [Put(name, b"x") for name in names[at : at + 100]])
            for at in range(large):
                await etcd.transact([], [Put(f"/large/{at:02}", bytes(1 << 20))])
            listing = await etcd.list("/many/", "/large/")
            wanted = [*names, *(f"/large/{at:02}" for at in range(large))]
            assert [each.key for each in listing.entries] == wanted
            await etcd.transact([], [Delete(f"/large/{at:02}") for at in range(large)])

    run(script())


def test_a_key_goes_with_its_lease(cluster: EtcdCluster) -> None:
    async def script() -> None:
        async with connected(cluster) as etcd:
            lease = await etcd.grant(60)
            await etcd.transact([], [Put("/leased", b"", lease)])
            await etcd.keep_alive(lease)
            entry = await etcd.get("/leased")
            assert entry is not None
            assert entry.lease == lease
            await etcd.revoke(lease)
            await etcd.revoke(lease)
            assert await etcd.get("/leased") is None
            with pytest.raises(LeaseGoneError):
                await etcd.keep_alive(lease)
            with pytest.raises(LeaseGoneError):
                await etcd.transact([], [Put("/leased", b"", lease)])

    run(script())


async def taken(
    changes: AsyncIterator[tuple[KeyChange, ...]], last: str
) -> list[tuple[KeyChange, ...]]:
    """Return what is told up to the change of a key."""
    found: list[tuple[KeyChange, ...]] = []
    async for each in changes:
        found.append(each)
        if any(change.key == last for change in each):
            return found
    raise AssertionError("the watch has ended")


def test_a_watch_tells_each_revision_whole_and_goes_on_at_another_member(
    cluster: EtcdCluster,
) -> None:
    async def script() -> None:
        async with connected(cluster) as etcd, connected(cluster) as writer:
            before = (await etcd.list("/w/")).revision
            await writer.transact([], [Put("/w/missed", b""), Put("/v/missed", b"")])
            changes = etcd.watch(["/w/", "/v/"], before)
            (missed,) = await taken(changes, "/w/missed")
            assert {each.key for each in missed} == {"/w/missed", "/v/missed"}

            await writer.transact([], [Put("/w/a", b"1"), Put("/v/a", b"1"), Put("/u/a", b"1")])
            await writer.transact([], [Delete("/w/a"), Put("/v/last", b"")])
            first, second = await taken(changes, "/v/last")
            assert {each.key: each.entry and each.entry.value for each in first} == {
                "/w/a": b"1",
                "/v/a": b"1",
            }
            assert [each.key for each in second if each.entry is None] == ["/w/a"]
            assert len({each.revision for each in second}) == 1

            (member,) = (
                each
                for at, each in enumerate(cluster.members)
                if cluster.endpoints[at] == etcd.endpoint
            )
            member.kill()
            for at in range(5):
                await _written(writer, f"/w/{at}")
            told = [change.key for each in await taken(changes, "/w/4") for change in each]
            assert told == [f"/w/{at}" for at in range(5)]
            assert await etcd.get("/w/4") is not None
            member.start()
            await changes.aclose()  # type: ignore[attr-defined]

    run(script())
    cluster.wait()


async def _written(etcd: Etcd, key: str) -> None:
    """Write a key, while members may choose a leader."""
    while True:
        try:
            await etcd.transact([Changed(key, 0)], [Put(key, b"")])
        except StoreError:
            await asyncio.sleep(0.05)
        else:
            return


def test_a_watch_of_what_is_kept_no_more_says_from_where_it_is(cluster: EtcdCluster) -> None:
    async def script() -> None:
        async with connected(cluster) as etcd:
            await etcd.transact([], [Put("/c/a", b"")])
            now = (await etcd.transact([], [Put("/c/b", b"")])).revision
            await compact(cluster, now)
            with pytest.raises(CompactedError) as caught:
                await anext(etcd.watch(["/c/"], 0))
            assert caught.value.oldest == now
            # Nor does it wait for what a store that was restored will have in days.
            with pytest.raises(CompactedError):
                await anext(etcd.watch(["/c/"], now + 1_000_000))

    run(script())


def test_what_hangs_or_is_cut_off_ends_in_time_and_is_mended(cluster: EtcdCluster) -> None:
    async def script() -> None:
        with tcp_proxy(cluster.members[0].port) as proxy:
            through = f"https://127.0.0.1:{proxy.port}"
            async with connected(cluster, through, timeout=SHORT) as etcd:
                before = (await etcd.list("/h/")).revision
                proxy.hang()
                with pytest.raises(StoreError, match="whether it was done is not known") as caught:
                    await etcd.transact([], [Put("/h/a", b"")])
                assert through in str(caught.value)
                with pytest.raises(StoreError, match=f"{through}: no answer within 0.3 s"):
                    await etcd.get("/h/a")
                proxy.cut()
                with pytest.raises(StoreError, match=through):
                    await etcd.grant(60)
                proxy.mend()
                changes = etcd.watch(["/h/"], before)
                async with connected(cluster) as writer:
                    await writer.transact([], [Put("/h/b", b"")])
                await taken(changes, "/h/b")
                proxy.cut()
                with pytest.raises(StoreError, match=through):
                    await anext(changes)
                proxy.mend()
                assert await etcd.get("/h/b") is not None

    run(script())


def test_calls_beside_each_other_fail_as_one_does_and_go_on_together(cluster: EtcdCluster) -> None:
    async def ask(etcd: Etcd, ends: asyncio.Event) -> int:
        answers = 0
        while not ends.is_set():
            try:
                await etcd.list("/c/")
                answers += 1
            except StoreError:
                await asyncio.sleep(0)
        return answers

    async def script() -> None:
        with tcp_proxy(cluster.members[0].port) as proxy:
            async with connected(cluster, f"https://127.0.0.1:{proxy.port}") as etcd:
                ends = asyncio.Event()
                tasks = [asyncio.ensure_future(ask(etcd, ends)) for _ in range(8)]
                for _ in range(20):
                    proxy.cut()
                    await asyncio.sleep(0.01)
                    proxy.mend()
                    await asyncio.sleep(0.05)
                ends.set()
                assert all(await asyncio.gather(*tasks))

    run(script())


def test_who_is_not_trusted_is_told_from_where_nobody_is(
    cluster: EtcdCluster, tmp_path: Path
) -> None:
    endpoint = cluster.endpoints[0]
    ours = cluster.operator
    assert ours is not None
    authority = make_authority(tmp_path, "somebody else")
    other = make_certificate(authority, "other")
    (tmp_path / "garbage").write_text("garbage")
    garbage = str(tmp_path / "garbage")
    good = tls_of(ours)
    cases = {
        "certificate is not what it should be: .*issuer": Tls(
            str(other.authority), good.certificate, good.key
        ),
        "TLS fails: .*certificate": Tls(good.authority, str(other.certificate), str(other.key)),
        "key values mismatch": Tls(good.authority, good.certificate, str(other.key)),
        "garbage has no certificates": Tls(garbage, good.certificate, good.key),
        "are no certificate and its key": Tls(good.authority, garbage, good.key),
        "nowhere has no certificates: No such file": Tls("nowhere", good.certificate, good.key),
    }

    async def script() -> None:
        for words, tls in cases.items():
            etcd = Etcd([endpoint], tls)
            with pytest.raises(StoreError, match=f"^{endpoint}: .*{words}"):
                await etcd.get("/k")
            await etcd.close()
        elsewhere = f"https://127.0.0.1:{cluster.members[0].peer_port}"
        etcd = Etcd(["https://localhost:1", elsewhere], good)
        with pytest.raises(StoreError, match=f"{elsewhere}: TLS fails") as caught:
            await etcd.get("/k")
        assert "https://localhost:1: Connect" in str(caught.value)
        await etcd.close()

    run(script())


def test_a_certificate_is_for_the_host_that_was_asked(tmp_path: Path) -> None:
    authority = make_authority(tmp_path)
    far = make_certificate(authority, "far", "DNS:far.example")

    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(far.certificate, far.key)

    async def script() -> None:
        async with serving(None, context) as port:
            endpoint = f"https://127.0.0.1:{port}"
            etcd = Etcd([endpoint], tls_of(far), timeout=SHORT)
            with pytest.raises(StoreError, match=rf"{endpoint}: its certificate .*127\.0\.0\.1"):
                await etcd.get("/k")
            await etcd.close()

    run(script())


@asynccontextmanager
async def serving(says: bytes | None, context: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """Serve on loopback while the block runs, and give the port.

    Who connects is told what it ``says``, and that is all; with None the connection stays.
    """
    writers = []

    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        if says is not None:
            writer.write(says)
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    async with server:
        yield server.sockets[0].getsockname()[1]
    for writer in writers:
        writer.transport.abort()
    await asyncio.sleep(0)


@pytest.mark.parametrize(
    ("says", "words"),
    [
        (b"", "ends each connection at once"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "speaks no HTTP/2"),
        (None, "no answer within 0.3 s"),
    ],
)
def test_what_is_no_etcd_is_named(says: bytes | None, words: str) -> None:
    async def script() -> None:
        async with serving(says) as port:
            endpoint = f"http://127.0.0.1:{port}"
            etcd = Etcd([endpoint], timeout=SHORT)
            with pytest.raises(StoreError, match=f"^{endpoint}: .*{words}"):
                await etcd.get("/k")
            await etcd.close()

    run(script())


def test_answers_that_make_no_sense_are_named() -> None:
    garbage = {
        "/etcdserverpb.KV/Range": b"\xff\xff\xff",
        "/etcdserverpb.Lease/LeaseGrant": pb.LeaseGrantResponse(
            error="none left"
        ).SerializeToString(),
    }

    class Handler(grpc.GenericRpcHandler):  # type: ignore[misc]
        def service(self, details: Any) -> Any:
            answer = garbage.get(details.method)
            if answer is None:
                return None

            async def serve(_request: bytes, _context: object) -> bytes:
                return answer

            return grpc.unary_unary_rpc_method_handler(serve)

    async def script() -> None:
        server = grpc.aio.server()
        server.add_generic_rpc_handlers([Handler()])
        endpoint = f"http://127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
        await server.start()
        etcd = Etcd([endpoint])
        with pytest.raises(StoreError, match=f"^{endpoint}: an answer cannot be read"):
            await etcd.get("/k")
        with pytest.raises(StoreError, match="none left"):
            await etcd.grant(5)
        with pytest.raises(StoreError, match=f"^{endpoint}: it is no etcd"):
            await etcd.transact([], [])
        with pytest.raises(StoreError, match=f"{endpoint}: it is no etcd"):
            await anext(etcd.watch(["/k"], 0))
        await etcd.close()
        await server.stop(None)
        await server.wait_for_termination()

    run(script())


@pytest.mark.parametrize(
    ("endpoints", "words"),
    [
        ([], "no endpoint"),
        (["127.0.0.1:2379"], "is no endpoint"),
        (["https://127.0.0.1"], "is no endpoint"),
        (["https://host:99999"], "is no endpoint"),
        (["https://[:1"], "is no endpoint"),
        (["http://127.0.0.1:1/v3"], "is no endpoint"),
        (["http://10.0.0.1:2379"], "without TLS only etcd on this machine"),
        (["https://10.0.0.1:2379"], "TLS needs"),
    ],
)
def test_an_endpoint_is_a_url_with_tls_or_on_this_machine(endpoints: list[str], words: str) -> None:
    with pytest.raises(StoreError, match=words):
        Etcd(endpoints)


def test_a_request_that_etcd_refuses_is_asked_of_no_other_member(cluster: EtcdCluster) -> None:
    async def script() -> None:
        async with connected(cluster) as etcd:
            with pytest.raises(StoreRefusedError, match=r"127\.0\.0\.1"):
                await etcd.transact([], [Put("/k", bytes(2 << 20))])
            with pytest.raises(StoreRefusedError, match="duplicate key"):
                await etcd.transact([], [Put("/k", b""), Put("/k", b"")])

    run(script())


def test_a_member_that_is_full_says_so_and_still_tells_what_it_has(tmp_path: Path) -> None:
    with running_etcd(tmp_path, "--quota-backend-bytes=2000000") as cluster:

        async def fill(etcd: Etcd) -> None:
            while True:
                await etcd.transact([], [Put("/full", bytes(500_000))])

        async def script() -> None:
            async with connected(cluster) as etcd:
                member = await etcd.member()
                assert (member.endpoint, member.problems) == (cluster.endpoints[0], ())
                with pytest.raises(StoreRefusedError, match="database space exceeded"):
                    await fill(etcd)
                assert await etcd.get("/full") is not None
                assert any("NOSPACE" in each for each in (await etcd.member()).problems)

        run(script())
