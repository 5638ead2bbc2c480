# SPDX-License-Identifier: Apache-2.0
"""Modules that the code of others asks for (request_module), with a real daemon."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from kmodctl import CallError, Client
from kmodd.v1 import module_service_pb2 as pb
from tests.support.daemon import Daemon, running_daemon
from tests.support.elf_writer import Import, ModuleSpec, write_module
from tests.support.require import require_emulator
from tests.support.tree import ModuleTree

require_emulator()

SETTINGS = """
[[socket]]
path = "@/loader/s"
role = "loader"
allow = ["asker"]
deny = ["facade"]
parameters = true

[[socket]]
path = "@/admin/s"
role = "admin"
"""


@pytest.fixture
def client(daemon: Daemon) -> Iterator[Client]:
    with daemon.client() as open_client:
        yield open_client


def said(client: Client, module: str = "asker") -> list[str]:
    """Return what a module has printed."""
    lines = [record.text for record in client.read_log()]
    return [line for line in lines if line.startswith(f"{module}: ") and "taint" not in line]


def loaded(client: Client) -> set[str]:
    return {module.name for module in client.list_modules()}


def test_code_waits_for_the_module_that_it_asks_for_and_is_told_of_it(client: Client) -> None:
    client.load("asker", parameters="names=nosuch,world,gplsym,world")
    assert said(client) == [
        "asker: nosuch: 256",
        "asker: world: 0",
        "asker: gplsym: 0",
        "asker: world: 0",
        "asker: the answer is 42",
    ]
    assert loaded(client) == {"asker", "world", "greet", "gplsym"}
    origins = {module.name: module.origin for module in client.list_modules()}
    assert origins["asker"] == pb.ORIGIN_ASKED
    assert origins["world"] == pb.ORIGIN_DEPENDENCY


def test_what_code_does_not_wait_for_is_there_when_the_operation_is_over(client: Client) -> None:
    client.load("asker", parameters="names=gplsym,asker,nosuch waits=0")
    assert said(client) == ["asker: gplsym: 0", "asker: asker: 0", "asker: nosuch: 0"]
    assert loaded(client) == {"asker", "gplsym"}


def test_a_module_that_asks_for_itself_is_told_so(client: Client) -> None:
    client.load("asker", parameters="names=asker")
    client.unload("asker")
    assert said(client) == ["asker: asker: 256", "asker: gone"]
    client.load("asker", parameters="names=asker,gplsym late=1")
    assert client.remove("asker") == ()
    assert said(client)[2:] == [
        "asker: asker: 256",
        "asker: gplsym: 0",
        "asker: the answer is 42",
        "asker: gone",
    ]
    why = "request_module: modprobe asker: module asker waits for the module that asks for it"
    assert [record.text for record in client.read_log()].count(why) == 2


def test_the_configuration_has_its_say_as_with_modprobe(modules_root: ModuleTree) -> None:
    modprobe_d = modules_root.root / "etc/modprobe.d"
    modprobe_d.mkdir(parents=True)
    modprobe_d.joinpath("asked.conf").write_text(
        "blacklist facade\nblacklist gplsym\nalias other greet\noptions greet whom=asker\n"
        "install hello /bin/true\n"
    )
    with running_daemon(modules_root.root) as daemon, daemon.client() as client:
        client.load("asker", parameters="names=front-door,gplsym,other,hello")
        assert said(client) == [
            "asker: front-door: 0",
            "asker: gplsym: 0",
            "asker: other: 0",
            "asker: hello: 256",
            "asker: the answer is 42",
        ]
        assert said(client, "greet") == ["greet: hello, asker"]
        assert loaded(client) == {"asker", "gplsym", "greet"}
        (last,) = [line.text for line in client.read_log() if "modprobe hello" in line.text]
        assert last.endswith("the install command of hello is not run on this kernel")


def test_who_may_load_a_module_may_load_what_it_asks_for(modules_root: ModuleTree) -> None:
    with (
        running_daemon(modules_root.root, place="loader/s", settings=SETTINGS) as daemon,
        daemon.client() as client,
    ):
        with pytest.raises(CallError) as refused:
            client.load("gplsym")
        assert refused.value.reason == "ACCESS_DENIED"
        client.load("asker", parameters="names=gplsym,facade")
        assert said(client)[:2] == ["asker: gplsym: 0", "asker: facade: 256"]
        assert loaded(client) == {"asker", "gplsym"}


def test_a_file_that_is_sent_may_ask_too_and_watchers_hear_of_it(
    client: Client, modules_root: ModuleTree
) -> None:
    file = Path(modules_root.directory, "extra/asker.ko")
    before = client.status()
    client.insert(file, "names=gplsym")
    last = client.status().newest_revision
    events = client.watch_modules(before.epoch, before.newest_revision)
    told = [next(events) for _ in range(last - before.newest_revision)]
    asked = [each.operation for each in told if each.HasField("operation")]
    assert [(each.action, each.what) for each in asked] == [
        (pb.OPERATION_ACTION_REQUEST, "gplsym"),
        (pb.OPERATION_ACTION_INSERT, "asker"),
    ]
    assert loaded(client) == {"asker", "gplsym"}


ASK_WITHOUT_WAITING = bytes.fromhex(
    "53 bbd0070000 31ff 488d350f000000 31c0 e800000000 ffcb 75ec 31c0 5b c3 7800"
)
"""x86 code: push %rbx; mov $2000, %ebx; 1: xor %edi, %edi; lea text(%rip), %rsi; xor %eax, %eax;
call __request_module; dec %ebx; jnz 1b; xor %eax, %eax; pop %rbx; ret; text: "x"
"""


def test_code_that_asks_without_end_is_not_listened_to_and_the_kernel_lives(
    client: Client, tmp_path: Path
) -> None:
    spec = ModuleSpec(
        name="eager",
        init=ASK_WITHOUT_WAITING,
        imports=(Import("__request_module"),),
        init_calls=((18, "__request_module"),),
    )
    (tmp_path / "eager.ko").write_bytes(write_module(spec))
    before = client.status()
    client.insert(tmp_path / "eager.ko")
    lines = [each.text for each in client.read_log() if "more than 1000" in each.text]
    assert lines == ["request_module: modprobe x: more than 1000 modules are asked for in one call"]
    assert client.status().boot_id == before.boot_id
    assert "eager" in loaded(client)
