# SPDX-License-Identifier: Apache-2.0
"""The audit trail: what is said of an operation, in the log and in the file."""

import json
import logging
from pathlib import Path
from typing import Any, get_args

import pytest

from kmodd.access.caller import Caller, Role
from kmodd.access.peer import Peer
from kmodd.errors import AccessError, KmoddError, Reason, StateError
from kmodd.kernel.base import InsertFlags
from kmodd.log_kinds import LogKind
from kmodd.namespace import AuditTrail, Namespace, RequestContext
from kmodd.namespace.audit import LINES, Action, Finished
from kmodd.namespace.reload_report import ReloadRequest
from kmodd.plan import DenyList, LoadRequest, UnloadRequest
from kmodd.service.convert import action_name
from kmodd.v1 import module_service_pb2
from tests.support.modules import SOURCES, module_tree
from tests.support.namespaces import namespace_on

CALL = RequestContext(caller=Caller("/run/x/kmodd.sock", Role.ADMIN))


@pytest.fixture
def trail(tmp_path: Path) -> Path:
    return tmp_path / "audit.json"


@pytest.fixture
def namespace(tmp_path: Path, trail: Path) -> Namespace:
    return namespace_on(module_tree(tmp_path / "root"), audit=AuditTrail(trail))[0]


def lines(trail: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in trail.read_text().splitlines()]


def test_each_mutation_leaves_one_line(namespace: Namespace, trail: Path) -> None:
    namespace.load(LoadRequest(name="world"), CALL)
    namespace.load(LoadRequest(name="world"), CALL)
    namespace.load(LoadRequest(name="world"), RequestContext(dry_run=True))
    namespace.load(LoadRequest(name="nosuch"), CALL)
    namespace.unload(UnloadRequest(name="world"))
    image = (SOURCES / "greet.ko").read_bytes()
    namespace.insert(image, "greet.ko", "", InsertFlags.NONE, CALL)
    namespace.remove("greet")
    with namespace.hold([LoadRequest(name="greet")], CALL, unload=True, note="me"):
        pass
    found = lines(trail)
    assert [(each["action"], each["what"], each["result"]) for each in found] == [
        ("load", "world", "done"),
        ("load", "world", "unchanged"),
        ("load", "nosuch", "MODULE_NOT_FOUND"),
        ("unload", "world", "done"),
        ("insert", "greet", "done"),
        ("remove", "greet", "done"),
        ("hold", "greet", "done"),
        ("release", "hold 1 of me", "done"),
    ]
    first, refused = found[0], found[2]
    assert (first["socket"], first["role"]) == ("/run/x/kmodd.sock", Role.ADMIN)
    assert (first["loaded"], first["unloaded"]) == ("greet world", "")
    assert isinstance(first["milliseconds"], float)
    assert str(first["time"]).endswith("+00:00")
    assert (refused["errno"], "nosuch" in str(refused["message"])) == (2, True)
    assert [each["operation"] for each in found] == sorted(each["operation"] for each in found)  # type: ignore[type-var]


def test_the_log_has_a_line_that_nobody_can_forge(
    namespace: Namespace, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "kmodd.audit")
    namespace.load(LoadRequest(name="greet"), CALL)
    namespace.load(LoadRequest(name="greet"), CALL)
    namespace.load(LoadRequest(name='x result=done\n action="y"'), CALL)
    done, forged = (record.getMessage() for record in caplog.records)
    assert done.startswith(
        "operation=1 action=load what=greet socket=/run/x/kmodd.sock role=admin result=done "
        "loaded=greet milliseconds="
    )
    assert "\n" not in forged
    assert r'what="x result=done\n action=\"y\"" socket=' in forged
    assert "result=MODULE_NOT_FOUND" in forged


def test_a_file_that_was_moved_away_is_made_anew(namespace: Namespace, trail: Path) -> None:
    namespace.load(LoadRequest(name="greet"))
    assert trail.stat().st_mode & 0o777 == 0o600
    trail.rename(trail.with_suffix(".1"))
    namespace.remove("greet")
    assert [each["action"] for each in lines(trail)] == ["remove"]
    assert [each["action"] for each in lines(trail.with_suffix(".1"))] == ["load"]


def test_a_file_that_cannot_be_written_is_told_of_once_and_stops_nobody(
    namespace: Namespace, trail: Path, caplog: pytest.LogCaptureFixture
) -> None:
    trail.symlink_to(trail.with_name("elsewhere"))
    namespace.load(LoadRequest(name="greet"))
    namespace.remove("greet")
    complaints = [each for each in caplog.records if each.levelno == logging.ERROR]
    assert len(complaints) == 1
    assert "cannot be written" in complaints[0].getMessage()
    trail.unlink()
    namespace.load(LoadRequest(name="greet"))
    assert len(lines(trail)) == 1


def test_what_is_kept_of_a_failure_is_small(tmp_path: Path) -> None:
    namespace = namespace_on(module_tree(tmp_path / "root"))[0]
    names = [LoadRequest(name=f"{number}{'x' * 100}") for number in range(100)]
    namespace.load_together(names)
    with pytest.raises(KmoddError):
        namespace.insert(b"\x7fELF" + bytes(1 << 20), "big.ko", "", InsertFlags.NONE)
    with namespace.watch(namespace.listing().epoch) as watch:
        kept = [event.finished for event in watch.take(0)]
    assert len(kept) == 2
    for finished in kept:
        assert finished is not None
        assert finished.error is not None
        assert finished.error.__traceback__ is None
        assert finished.error.__cause__ is None
        assert len(finished.what) <= 1024
        assert len(finished.error.message) <= 512
        assert finished.error.log == ()


def test_a_request_of_many_names_leaves_one_line_with_a_count(
    namespace: Namespace, trail: Path
) -> None:
    outcomes = namespace.load_each(
        [LoadRequest(name=name) for name in ("nosuch", "world", "gone", "hello")], CALL
    )
    assert [each.error is None for each in outcomes] == [False, True, False, True]
    namespace.unload_each([UnloadRequest(name=name) for name in ("hello", "nosuch")], CALL)
    loaded, unloaded = lines(trail)
    assert (loaded["what"], loaded["loaded"]) == ("nosuch world gone hello", "greet world hello")
    assert (loaded["names"], loaded["failed"]) == (4, 2)
    assert loaded["result"] == "MODULE_NOT_FOUND"
    assert "nosuch" in str(loaded["message"])
    assert (unloaded["names"], unloaded["failed"], unloaded["unloaded"]) == (2, 1, "hello")


def test_a_denial_among_other_failures_is_what_the_line_says(
    namespace: Namespace, trail: Path
) -> None:
    call = RequestContext(caller=Caller("/run/x/kmodd.sock", Role.LOADER, allow=("hello",)))
    namespace.load_each([LoadRequest(name=name) for name in ("nosuch", "greet", "hello")], call)
    (line,) = lines(trail)
    assert (line["result"], line["failed"], line["loaded"]) == ("ACCESS_DENIED", 2, "hello")


def test_a_name_makes_no_line_and_no_field_of_the_trail(
    namespace: Namespace, trail: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "kmodd.audit")
    name = "x\n operation=7 result=done\x7f\x1b\u202e"
    namespace.load(LoadRequest(name=name))
    (line,) = lines(trail)
    assert line["what"] == name
    assert trail.read_text().removesuffix("\n").isprintable()
    (message,) = (each.getMessage() for each in caplog.records if each.name == "kmodd.audit")
    assert message.isprintable()
    assert r'what="x\n operation=7 result=done\u007f\u001b\u202e" ' in message


def finished(number: int, **facts: Any) -> Finished:
    caller = Caller(facts.pop("socket", "/l"), Role.LOADER)
    return Finished(
        number=number,
        action="load",
        caller=caller,
        began=0.0,
        seconds=0.0,
        **{"what": "x", **facts},
    )


def test_a_flood_of_denials_is_one_line_and_a_count(trail: Path) -> None:
    audit = AuditTrail(trail)
    denial = AccessError(Reason.ACCESS_DENIED, "no")
    for number in range(1000):
        audit.write(finished(number, acted=False, error=denial))
    audit.write(finished(1000, acted=False, error=denial, socket="/other"))
    audit.write(finished(1001, loaded=("m",)))
    assert [line["operation"] for line in lines(trail)] == [0, 1000, 1001]
    audit.close()
    (told,) = lines(trail)[3:]
    assert told["socket"] == "/l"
    assert (told["count"], told["results"]) == (999, "ACCESS_DENIED:999")


def test_what_changes_nothing_has_so_many_lines_a_socket_and_what_does_has_all(
    trail: Path,
) -> None:
    audit = AuditTrail(trail)
    failure = StateError(Reason.MODULE_NOT_FOUND, "no")
    for number in range(LINES + 7):
        audit.write(finished(number, what=f"x{number}", acted=False, error=failure))
        audit.write(finished(number, loaded=("m",)))
    assert len(lines(trail)) == 2 * LINES + 7
    audit.settle()
    assert lines(trail)[-1]["results"] == "MODULE_NOT_FOUND:7"
    audit.write(finished(1, acted=False, error=failure))
    assert lines(trail)[-1]["operation"] == 1
    audit.close()


def test_the_journal_is_told_of_every_module_and_of_the_caller(
    namespace: Namespace, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "kmodd.audit")
    peer = Peer(uid=1000, gids=frozenset({1000}), pid=7, unit="session-1.scope")
    call = RequestContext(caller=Caller("/run/x/kmodd.sock", Role.ADMIN, peer=peer))
    namespace.load(LoadRequest(name="pci:nobodys*"), call)
    namespace.load(LoadRequest(name="world"), call)
    namespace.set_parameter("greet", "times", "2", call)
    namespace.unload(UnloadRequest(name="world"), call)
    with namespace.hold([LoadRequest(name="greet")], call, unload=True, note="me"):
        pass
    assert [(kind(each), facts(each)["module"]) for each in caplog.records] == [
        (LogKind.OPERATION_FAILED, ()),
        (LogKind.MODULES_LOADED, ("greet", "world")),
        (LogKind.OPERATION_DONE, ("greet",)),
        (LogKind.MODULES_UNLOADED, ("world", "greet")),
        (LogKind.HOLD_BEGUN, ("greet",)),
        (LogKind.HOLD_ENDED, ("greet",)),
    ]
    about = facts(caplog.records[1])
    number = about.pop("operation")
    assert f"operation={number} " in caplog.records[1].getMessage()
    assert {name: value for name, value in about.items() if value} == {
        "action": "load",
        "module": ("greet", "world"),
        "result": "done",
        "socket": "/run/x/kmodd.sock",
        "role": "admin",
        "uid": 1000,
        "pid": 7,
        "unit": "session-1.scope",
    }


def test_a_load_that_is_refused_is_a_warning_and_one_of_nothing_is_not(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "kmodd.audit")
    deny = DenyList((("greet", "not here"),))
    namespace, _ = namespace_on(module_tree(tmp_path / "root"), deny=deny)
    loader = RequestContext(caller=Caller("/run/x/kmodd.sock", Role.LOADER, allow=("hello",)))
    namespace.load(LoadRequest(name="nosuch"), CALL)
    namespace.load(LoadRequest(name="world"), CALL)
    with pytest.raises(KmoddError, match="greet"):
        namespace.insert((SOURCES / "world.ko").read_bytes(), "world.ko", "", InsertFlags.NONE)
    namespace.load(LoadRequest(name="gplsym"), loader)
    namespace.load(LoadRequest(name="hello"), CALL)
    namespace.remove("hello")
    assert [
        (each.levelname, kind(each), facts(each)["result"], facts(each)["module"])
        for each in caplog.records
        if each.name == "kmodd.audit"
    ] == [
        ("INFO", LogKind.OPERATION_FAILED, "MODULE_NOT_FOUND", ("nosuch",)),
        ("WARNING", LogKind.LOAD_REFUSED, "MODULE_DENIED", ("greet", "world")),
        ("WARNING", LogKind.LOAD_REFUSED, "UNKNOWN_SYMBOL", ("world",)),
        ("WARNING", LogKind.LOAD_REFUSED, "ACCESS_DENIED", ("gplsym",)),
        ("INFO", LogKind.MODULES_LOADED, "done", ("hello",)),
        ("INFO", LogKind.MODULES_UNLOADED, "done", ("hello",)),
    ]


def test_a_reload_is_a_load_of_what_it_names_and_takes_along(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "kmodd.audit")
    tree = module_tree(tmp_path / "root")
    namespace, _ = namespace_on(tree)
    namespace.load(LoadRequest(name="world"), CALL)
    namespace.reload(ReloadRequest(names=("greet",)), CALL)
    namespace.reload(ReloadRequest(outdated=True), CALL)
    (file,) = tree.directory.rglob("world.ko")
    file.write_bytes(b"nothing")
    namespace.reload(ReloadRequest(names=("world",)), CALL)
    told = [
        (each.levelname, kind(each), facts(each)["result"], sorted(facts(each)["module"]))
        for each in caplog.records
        if each.name == "kmodd.audit"
    ]
    assert told[1:] == [
        ("INFO", LogKind.MODULES_LOADED, "done", ["greet", "world"]),
        ("WARNING", LogKind.LOAD_REFUSED, "INVALID_MODULE_FILE", ["world"]),
    ]


def kind(record: logging.LogRecord) -> object:
    return record.__dict__["kind"]


def facts(record: logging.LogRecord) -> dict[str, Any]:
    return dict(record.__dict__["facts"])


def test_the_api_has_a_value_for_each_action() -> None:
    values = set(module_service_pb2.OperationAction.keys()) - {"OPERATION_ACTION_UNSPECIFIED"}
    assert {action_name(action) for action in get_args(Action)} == values
