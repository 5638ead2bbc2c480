# SPDX-License-Identifier: Apache-2.0
"""CheckModule and ``kmodctl check``: what modules make of each call that fails."""

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import grpc
import jsonschema
import pytest

from kmodctl import CallError, Client
from kmodd.v1 import emulation_service_pb2 as pb
from kmodd.v1 import emulation_service_pb2_grpc
from tests.support.daemon import Daemon, running_daemon
from tests.support.modules import SOURCES, module_tree
from tests.support.require import require_emulator

require_emulator()

SCHEMA = Path(__file__).parents[2] / "kmodctl/share/schemas/check.json"


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    tree = module_tree(tmp_path_factory.mktemp("root"))
    with running_daemon(tree.root) as started:
        yield started


@pytest.fixture
def client(daemon: Daemon) -> Iterator[Client]:
    with daemon.client() as open_client:
        yield open_client


def file(name: str) -> str:
    return str(SOURCES / f"{name}.ko")


def told(report: pb.CheckReport) -> list[tuple[str, str, str, str]]:
    """Return of each finding its kind, where it is, what failed before, and what init returned."""
    return [
        (
            pb.CheckFindingKind.Name(each.kind).removeprefix("CHECK_FINDING_KIND_").lower(),
            each.place.function,
            " ".join(f"{call.function} {call.failure}" for call in each.failed),
            str(each.result) if each.HasField("result") else "",
        )
        for each in report.findings
    ]


def test_what_init_and_exit_leave_behind_is_found(client: Client) -> None:
    seen = list[tuple[int, int]]()
    report = client.check_module(file("leaky"), progress=lambda *far: seen.append(far))
    assert told(report) == [
        ("leak", "leaky_init", "", "0"),
        ("leak", "leaky_init", "alloc_chrdev_region -EBUSY", "-16"),
    ]
    assert (report.module, report.runs, report.calls_failed) == ("leaky", 3, 2)
    assert "reverse order" in report.findings[1].rule
    assert seen[0] == (0, 1)
    assert seen[-1] == (3, 3)


@pytest.mark.parametrize(
    ("name", "parameters", "calls"),
    [("hello", "", 0), ("halfway", "answers=1", 3), ("shelf", "", 9), ("chores", "", 1)],
)
def test_nothing_is_found_where_all_is_given_back(
    client: Client, name: str, parameters: str, calls: int
) -> None:
    report = client.check_module(file(name), parameters)
    assert told(report) == []
    assert report.calls_failed == calls


def test_a_driver_is_tried_with_the_devices_that_it_names(client: Client) -> None:
    report = client.check_module("gadget")
    assert told(report) == []
    assert list(report.devices) == ["platform:kmodd-gadget"]
    assert report.calls_failed == 2  # that of its init, and that of its probe


def test_crashes_and_what_never_ends_are_told_with_the_log(client: Client) -> None:
    crashed = client.check_module(file("wild"))
    assert told(crashed) == [("oops", "wild_write", "", "")]
    assert any("wild_init" in line for line in crashed.findings[0].log_lines)
    assert told(client.check_module(file("endless"))) == [("stuck", "endless_init", "", "")]


def test_what_a_module_needs_is_loaded_before_it_and_nothing_stays(client: Client) -> None:
    before = [record.text for record in client.read_log()]
    assert told(client.check_module("world")) == []
    assert client.list_modules() == []
    assert [record.text for record in client.read_log()] == before


def test_a_check_has_not_more_runs_than_are_asked_for(client: Client) -> None:
    report = client.check_module(file("shelf"), runs_max=4)
    assert (report.runs, report.runs_left_out) == (4, 6)


def test_pairs_fail_two_calls_at_a_time(client: Client) -> None:
    report = client.check_module(file("shelf"), pairs=True)
    assert report.runs > 10
    assert told(report) == []


@pytest.mark.parametrize(
    ("module", "reason"),
    [("nosuch", "MODULE_NOT_FOUND"), ("", "INVALID_REQUEST"), ("a b", "MODULE_NOT_FOUND")],
)
def test_what_is_no_module_is_refused(client: Client, module: str, reason: str) -> None:
    with pytest.raises(CallError) as refused:
        client.check_module(module)
    assert refused.value.reason == reason


def test_a_file_that_is_no_module_is_refused_and_the_daemon_goes_on(
    client: Client, tmp_path: Path
) -> None:
    for content in (
        b"",
        b"no module",
        b"\x7fELF" + bytes(500),
        Path(file("leaky")).read_bytes()[:-9],
    ):
        broken = tmp_path / "broken.ko"
        broken.write_bytes(content)
        with pytest.raises(CallError):
            client.check_module(broken)
    with pytest.raises(CallError) as refused:
        client.check_module(file("greet"), "times=many")
    assert refused.value.reason == "INVALID_PARAMETER"
    with pytest.raises(CallError) as refused:
        client.check_module(file("leaky"), runs_max=-1)
    assert refused.value.reason == "INVALID_REQUEST"
    assert told(client.check_module(file("hello"))) == []


def test_a_client_that_goes_away_ends_its_check(daemon: Daemon) -> None:
    begun = threading.Event()

    def requests() -> Iterator[pb.CheckModuleRequest]:
        yield pb.CheckModuleRequest(header=pb.CheckModuleHeader(file_name="endless.ko"))
        yield pb.CheckModuleRequest(chunk=Path(file("endless")).read_bytes())
        begun.set()

    with grpc.insecure_channel(f"unix:{daemon.socket}") as channel:
        stub = emulation_service_pb2_grpc.EmulationServiceStub(channel)
        call = stub.CheckModule(requests())
        assert next(call).HasField("progress")
        assert begun.wait(60)
        call.cancel()
    with daemon.client() as client:
        assert told(client.check_module(file("hello"))) == []


def test_the_command_tells_a_beginner_and_a_program(daemon: Daemon, tmp_path: Path) -> None:
    xml = tmp_path / "leaky.xml"
    done = daemon.kmodctl("check", file("leaky"), "--junit", str(xml))
    assert done.returncode == 1
    assert "never given back: 100 bytes of memory, taken in leaky_init+0x1b" in done.stdout
    assert "when alloc_chrdev_region in leaky_init+0x42 returns -EBUSY" in done.stdout
    assert "in init; init returned -EBUSY" in done.stdout
    assert done.stdout.splitlines()[-1] == "leaky: 2 findings in 3 runs, 2 calls made to fail"
    suite = ElementTree.parse(xml).getroot()
    failed = [case.get("name") for case in suite if case.find("failure") is not None]
    assert failed == ["nothing left behind"]
    assert (suite.get("failures"), suite.get("tests")) == ("1", str(len(suite)))
    shown = json.loads(daemon.kmodctl("--json", "check", file("leaky")).stdout)
    jsonschema.validate(shown, json.loads(SCHEMA.read_text()))
    assert [each["phase"] for each in shown["findings"]] == ["CHECK_PHASE_EXIT", "CHECK_PHASE_INIT"]
    fine = daemon.kmodctl("check", "shelf")
    assert (fine.returncode, fine.stdout) == (
        0,
        "shelf: nothing found in 10 runs, 9 calls made to fail\n",
    )


def test_the_command_says_what_it_cannot_check(daemon: Daemon, tmp_path: Path) -> None:
    missing = daemon.kmodctl("check", str(tmp_path / "nosuch.ko"))
    assert missing.returncode == 1
    assert "nosuch.ko: No such file or directory" in missing.stderr
    unwritable = daemon.kmodctl("check", file("hello"), "--junit", str(tmp_path / "no/where.xml"))
    assert unwritable.returncode == 1
    assert "no/where.xml" in unwritable.stderr
    assert daemon.kmodctl("check").returncode == 1
