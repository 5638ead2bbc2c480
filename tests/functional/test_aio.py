# SPDX-License-Identifier: Apache-2.0
"""The client for asyncio: the methods of the other one, with its answers and its errors."""

import asyncio
import inspect
from pathlib import Path

import pytest

import kmodctl
from kmodctl import CallError, KmodctlError, NoDaemonError
from kmodctl.aio import AsyncHeldModules, Client
from tests.support.daemon import Daemon
from tests.support.modules import SOURCES

NOT_ITS_OWN = {"close"}
"""What both have of a connection."""


def methods(client: type) -> dict[str, inspect.Signature]:
    found = inspect.getmembers(client, inspect.isfunction)
    return {name: inspect.signature(each) for name, each in found if not name.startswith("_")}


def test_both_clients_have_the_same_methods_with_the_same_signatures() -> None:
    sync, awaited = methods(kmodctl.Client), methods(Client)
    assert len(sync) > 30
    assert sync.keys() == awaited.keys()
    for name, signature in sync.items():
        other = awaited[name]
        assert list(signature.parameters.values()) == list(other.parameters.values()), name
        expected = str(signature.return_annotation).replace("Iterator[", "AsyncIterator[")
        assert str(other.return_annotation) == expected.replace("Held", "AsyncHeld"), name
        told = inspect.getdoc(getattr(kmodctl.Client, name))
        assert name in NOT_ITS_OWN or inspect.getdoc(getattr(Client, name)) == told
    assert inspect.signature(kmodctl.Client) == inspect.signature(Client)


def test_its_calls_have_the_answers_of_the_other_client(daemon: Daemon, tmp_path: Path) -> None:
    async def ask() -> None:
        told: list[tuple[int, int]] = []
        async with Client(str(daemon.socket), timeout=60) as client:
            await asyncio.gather(*(client.load("world") for _ in range(20)))
            names = [module.name for module in await client.list_modules()]
            assert names == ["world", "greet"]
            tree = await client.rebuild_database(progress=lambda *each: told.append(each))
            assert tree.module_count > 10
            found = [module.name async for module in client.find_modules(pattern="gr*")]
            assert found == ["greet"]
            parts = [part async for part in client.configuration()]
            assert any(alias.alias == "front_door" for part in parts for alias in part.aliases)
            assert (await client.inspect(SOURCES / "greet.ko")).name == "greet"
            assert (await client.insert(SOURCES / "hello.ko")).name == "hello"
            await client.unload("world")
            assert [each.name for each in await client.list_modules()] == ["hello"]
            async for event in client.watch_modules():
                assert [each.name for each in event.snapshot.modules] == ["hello"]
                break
        with pytest.raises(OSError, match="nosuch"):
            async with Client(str(daemon.socket)) as client:
                await client.insert(tmp_path / "nosuch.ko")

    asyncio.run(ask())


def test_its_failures_are_those_of_the_other_client(daemon: Daemon) -> None:
    async def awaited() -> list[KmodctlError]:
        caught: list[KmodctlError] = []
        async with Client(str(daemon.socket), timeout=60) as client:
            for failing in (
                client.load("nosuch"),
                client.insert(SOURCES / "world.ko"),
                client.get_module("hello"),
                client.inspect(SOURCES / "hello.c"),
                client.end_hold(77),
                anext(client.find_modules(pattern="a[b")),
            ):
                try:
                    await failing
                except KmodctlError as error:
                    caught.append(error)
        return caught

    expected: list[KmodctlError] = []
    with daemon.client() as client:
        for call in (
            lambda: client.load("nosuch"),
            lambda: client.insert(SOURCES / "world.ko"),
            lambda: client.get_module("hello"),
            lambda: client.inspect(SOURCES / "hello.c"),
            lambda: client.end_hold(77),
            lambda: next(client.find_modules(pattern="a[b")),
        ):
            try:
                call()
            except KmodctlError as error:
                expected.append(error)
    assert len(expected) == 5  # what is no module is told in the answer
    assert [told(each) for each in asyncio.run(awaited())] == [told(each) for each in expected]
    with pytest.raises(NoDaemonError, match="/nowhere/s"):
        Client("/nowhere/s")


def told(error: KmodctlError) -> tuple[object, ...]:
    if not isinstance(error, CallError):
        return type(error), str(error)
    said = (error.reason, error.message, error.errno, error.module, error.symbol, error.detail)
    return type(error), *said


def test_its_holds_keep_modules_and_tell_when_they_are_lost(daemon: Daemon) -> None:
    async def hold() -> None:
        async with Client(str(daemon.socket), timeout=60) as client:
            async with client.hold("world", note="first") as held:
                assert list(held.answer.modules) == ["greet", "world"]
                assert [each.note for each in await client.list_holds()] == ["first"]
                with pytest.raises(CallError) as caught:
                    await client.unload("world")
                assert caught.value.reason == "MODULE_HELD"
            lost = await client.hold("world")
            assert isinstance(lost, AsyncHeldModules)
            await client.end_hold(lost.answer.hold)
            await asyncio.wait_for(lost.lost.wait(), 60)
            assert isinstance(lost.failure, CallError)
            assert not held.lost.is_set()
            with pytest.raises(CallError) as caught:
                await client.hold("nosuch")
            assert caught.value.reason == "MODULE_NOT_FOUND"
            while await client.list_holds():
                await asyncio.sleep(0.01)

    asyncio.run(hold())
