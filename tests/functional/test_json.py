# SPDX-License-Identifier: Apache-2.0
"""What kmodctl prints with --json, by real calls, against the schemas that it promises."""

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

import kmodctl
from kmodctl.commands import COMMANDS
from kmodctl.share.json_schemas import FORMS
from tests.support.daemon import Daemon, running_daemon
from tests.support.daemon import kmodctl as run_kmodctl
from tests.support.modules import SOURCES
from tests.support.tree import ModuleTree

SCHEMAS = Path(kmodctl.__file__).parent / "share" / "schemas"

LINES = ("cat", "dev", "dmesg", "events")
"""The commands of which each line is a document."""

WITHOUT = {"help", "open", "top"}
"""What is for people alone, or prints nothing."""

ANSWERS = ("apply", "coverage", "device", "diff", "list", "modprobe", "reload", "seal", "search")
"""The commands whose status answers a question, or that tell of failures within an answer."""

NAMES = ("greet", "world", "facade", "hello", "halfway", "leaky", "nosuch", "a b", "kmodd-test:x")

CALLS = [
    *(("modinfo", name) for name in NAMES),
    *(("tree", name) for name in NAMES),
    *(("modprobe", "-D", name) for name in NAMES),
    *(("modprobe", "-R", name) for name in NAMES),
    *(("modprobe", name) for name in NAMES),
    *(("status", name) for name in NAMES),
    *(("param", name) for name in NAMES),
    ("lsmod",),
    ("outdated",),
    ("reload", "-n", "greet", "nosuch"),
    ("reload", "greet"),
    ("modprobe", "-a", "greet", "nosuch", "world"),
    ("modprobe", "-R", "-a", "greet", "nosuch"),
    ("modprobe", "-c"),
    ("modprobe", "--show-exports", "greet"),
    ("modprobe", "--show-modversions", str(SOURCES / "greet.ko")),
    ("modinfo", "greet", "nosuch", str(SOURCES / "world.ko")),
    ("param", "hello", "nosuch"),
    ("status",),
    ("whoami",),
    ("metrics",),
    ("operations",),
    ("events",),
    ("dmesg",),
    ("hold", "--list"),
    ("hold", "--end", "77"),
    ("state",),
    ("diff", "/nosuch.toml"),
    ("apply", "/nosuch.toml"),
    ("list",),
    ("list", "gr*"),
    ("list", "nosuch"),
    ("search", "kmodd"),
    ("search", ""),
    ("static-nodes",),
    ("coverage",),
    ("seal", "--check"),
    ("device", "list"),
    ("device", "add", "platform:nobodys"),
    ("device", "add", "platform:kmodd-gadget"),
    ("device", "list"),
    ("device", "remove", "nosuch"),
    ("device", "interrupt", "5"),
    ("ls", "/"),
    ("ls", "/sys/module"),
    ("ls", "/nosuch"),
    ("modprobe", "archive"),
    ("cat", "/proc/archive/note", "/nosuch"),
    ("write", "/proc/archive/note", "a letter"),
    ("write", "/proc/archive/plain", "a letter"),
    ("ioctl", "/proc/archive/note", "5"),
    ("rmmod", "archive"),
    ("depmod",),
    ("depmod", "9.9.9"),
    ("rmmod", "nosuch", "world"),
    *(("modprobe", "-r", name) for name in NAMES),
    *(("rmmod", name) for name in NAMES),
    ("insmod", str(SOURCES / "greet.ko")),
    ("insmod", str(SOURCES / "greet.ko")),
    ("insmod", str(SOURCES / "world.ko"), "times=x"),
    ("insmod", "/nosuch.ko"),
    ("insmod", "/etc/passwd"),
    ("lsmod",),
    ("events",),
    ("completion", "bash"),
]


@cache
def validator(command: str) -> Draft202012Validator:
    schema = json.loads((SCHEMAS / f"{command}.json").read_text())
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


def documents(command: str, printed: str) -> Iterator[Any]:
    texts = printed.splitlines() if command in LINES else [printed]
    return (json.loads(text) for text in texts if text)


def failures(document: Any) -> list[Any]:
    """Return the failures that are told at the top of a document, or of what it lists."""
    listed = document if isinstance(document, list) else [document]
    return [each["failure"] for each in listed if each.get("failure")]


def test_every_command_has_a_schema() -> None:
    assert {*FORMS} == {*COMMANDS} - WITHOUT
    assert {path.stem for path in SCHEMAS.iterdir()} == {*FORMS}


def test_what_commands_print_fits_their_schemas(modules_root: ModuleTree) -> None:
    assert len(CALLS) >= 100
    printed = 0
    with running_daemon(modules_root.root) as daemon:
        for command, *words in CALLS:
            ran = daemon.kmodctl(command, "--json", *words)
            shown = list(documents(command, ran.stdout))
            for document in shown:
                problems = list(validator(command).iter_errors(document))
                assert not problems, (command, words, problems[0].message)
                for failure in failures(document):
                    assert {"reason", "errno", "message"} <= failure.keys()
                    assert failure["reason"]
            if ran.returncode and command not in ANSWERS:
                assert any(map(failures, shown)), (command, words, ran.stderr)
            printed += len(shown)
    assert printed > len(CALLS)


def test_numbers_are_numbers_and_addresses_texts(daemon: Daemon) -> None:
    daemon.kmodctl("modprobe", "greet")
    (module,) = json.loads(daemon.kmodctl("lsmod", "--json").stdout)
    assert module["size_bytes"] == 16384
    assert module["reference_count"] == 0
    assert int(module["address"], 16) > 2**53


@pytest.mark.parametrize(
    ("words", "reason", "number"),
    [
        (("tree", "nosuch"), "MODULE_NOT_FOUND", 2),
        (("status", "nosuch"), "MODULE_NOT_LOADED", 2),
        (("insmod", "/nosuch.ko"), "FILE_NOT_READ", 2),
        (("insmod", str(SOURCES / "world.ko")), "UNKNOWN_SYMBOL", 2),
        (("param", "nosuch"), "MODULE_NOT_LOADED", 2),
    ],
)
def test_a_failure_has_one_form_in_all_commands(
    words: tuple[str, ...], reason: str, number: int, daemon: Daemon
) -> None:
    ran = daemon.kmodctl("--json", *words)
    failure = json.loads(ran.stdout)["failure"]
    assert (failure["reason"], failure["errno"]) == (reason, number)
    assert failure["message"]
    assert ran.stderr
    assert ran.returncode == 1


def test_without_a_daemon_that_is_told_in_json_too() -> None:
    ran = run_kmodctl("--json", "status", environment={"KMODD_SOCKET": "/nowhere/kmodd.sock"})
    failure = json.loads(ran.stdout)["failure"]
    assert (failure["reason"], failure["errno"]) == ("NO_DAEMON", 0)
    assert failure["message"].startswith("no daemon answers on /nowhere/kmodd.sock")
