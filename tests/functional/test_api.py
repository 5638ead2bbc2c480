# SPDX-License-Identifier: Apache-2.0
"""The API as a program sees it that knows nothing but the proto files."""

import errno
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
from google.protobuf import descriptor_pb2
from google.rpc import error_details_pb2, status_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from kmodctl.errors import CallError
from kmodd.v1 import (
    errors_pb2,
    kernel_log_service_pb2,
    kernel_log_service_pb2_grpc,
    module_service_pb2,
    module_service_pb2_grpc,
)
from tests.support.daemon import Daemon
from tests.support.modules import SOURCES

FOR_ADMINS = pytest.mark.parametrize("either", ["admin"], indirect=True)
"""What a loader may not do; all else is asked of both servers."""

IMAGE = (SOURCES / "greet.ko").read_bytes()


@pytest.fixture
def channel(either: Daemon) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(f"unix:{either.socket}") as open_channel:
        yield open_channel


@pytest.fixture
def stub(channel: grpc.Channel) -> module_service_pb2_grpc.ModuleServiceStub:
    return module_service_pb2_grpc.ModuleServiceStub(channel)


def details(error: grpc.RpcError) -> tuple[error_details_pb2.ErrorInfo, errors_pb2.FailureDetail]:
    (packed,) = (
        value for key, value in error.trailing_metadata() if key == "grpc-status-details-bin"
    )
    status = status_pb2.Status.FromString(packed)
    assert status.code == error.code().value[0]
    info, detail = error_details_pb2.ErrorInfo(), errors_pb2.FailureDetail()
    assert status.details[0].Unpack(info)
    assert status.details[1].Unpack(detail)
    return info, detail


def names(stub: module_service_pb2_grpc.ModuleServiceStub) -> list[str]:
    response = stub.ListModules(module_service_pb2.ListModulesRequest())
    return [module.name for module in response.modules]


def header(**fields: object) -> module_service_pb2.InsertModuleRequest:
    return module_service_pb2.InsertModuleRequest(
        header=module_service_pb2.InsertModuleHeader(**fields)  # type: ignore[arg-type]
    )


def chunk(data: bytes) -> module_service_pb2.InsertModuleRequest:
    return module_service_pb2.InsertModuleRequest(chunk=data)


def test_plain_stubs_list_load_and_unload(
    stub: module_service_pb2_grpc.ModuleServiceStub,
) -> None:
    before = stub.ListModules(module_service_pb2.ListModulesRequest())
    loaded = stub.LoadModules(module_service_pb2.LoadModulesRequest(names=["world"]))
    assert [step.module for step in loaded.results[0].steps] == ["greet", "world"]
    after = stub.ListModules(module_service_pb2.ListModulesRequest())
    assert [module.name for module in after.modules] == ["world", "greet"]
    greet = after.modules[1]
    assert (greet.reference_count, list(greet.holders)) == (1, ["world"])
    assert greet.init_state == module_service_pb2.INIT_STATE_RAN
    assert (after.epoch, after.revision > before.revision) == (before.epoch, True)
    stub.UnloadModules(module_service_pb2.UnloadModulesRequest(names=["world"]))
    assert names(stub) == []


@FOR_ADMINS
def test_a_load_is_planned_for_the_modules_of_another_kernel(either: Daemon) -> None:
    modules = [
        module_service_pb2.Module(name="greet"),
        module_service_pb2.Module(name="noexit", state=module_service_pb2.MODULE_STATE_COMING),
    ]
    elsewhere = module_service_pb2.LoadedModules(modules=modules)
    with either.client() as client:
        client.load("hello")
        results = client.load("world", "hello", "noexit", dry_run=True, assumed_loaded=elsewhere)
        steps = [(step.module, step.needless) for each in results for step in each.steps]
        assert steps == [("greet", True), ("world", False), ("hello", False), ("noexit", False)]
        assert [step.target for step in results[0].steps] == ["world", "world"]
        with pytest.raises(CallError, match="in the kernel already"):
            client.load("greet", dry_run=True, first_time=True, assumed_loaded=elsewhere)
        client.load("greet", assumed_loaded=elsewhere)
        assert [module.name for module in client.list_modules()] == ["greet", "hello"]


@FOR_ADMINS
def test_an_upload_in_chunks_becomes_a_module(
    stub: module_service_pb2_grpc.ModuleServiceStub,
) -> None:
    parts = [IMAGE[at : at + 1000] for at in range(0, len(IMAGE), 1000)]
    requests = [header(file_name="greet.ko", parameters="times=2"), *map(chunk, parts)]
    response = stub.InsertModule(iter(requests))
    assert (response.module.name, response.module.taints) == ("greet", "O")
    stub.RemoveModule(module_service_pb2.RemoveModuleRequest(name="greet"))
    with pytest.raises(grpc.RpcError) as failed:
        stub.GetModule(module_service_pb2.GetModuleRequest(name="greet"))
    assert details(failed.value)[0].reason == "MODULE_NOT_LOADED"


@FOR_ADMINS
def test_a_failure_carries_reason_errno_module_symbol_and_the_kernels_lines(
    stub: module_service_pb2_grpc.ModuleServiceStub,
) -> None:
    image = (SOURCES / "world.ko").read_bytes()
    with pytest.raises(grpc.RpcError) as failed:
        stub.InsertModule(iter([header(file_name="world.ko"), chunk(image)]))
    assert failed.value.code() is grpc.StatusCode.FAILED_PRECONDITION
    info, detail = details(failed.value)
    assert (info.reason, info.domain) == ("UNKNOWN_SYMBOL", "kmodd")
    assert info.metadata == {
        "errno": str(errno.ENOENT),
        "module": "world",
        "symbol": "greet_somebody",
    }
    assert "world: Unknown symbol greet_somebody (err -2)" in detail.log_lines


def test_a_failure_tells_the_steps_before_it(
    stub: module_service_pb2_grpc.ModuleServiceStub,
) -> None:
    with pytest.raises(grpc.RpcError) as failed:
        stub.LoadModules(module_service_pb2.LoadModulesRequest(names=["gpluser"], parameters="x=1"))
    _, detail = details(failed.value)
    assert [(step.module, step.done) for step in detail.steps] == [
        ("gplsym", True),
        ("gpluser", False),
    ]
    assert detail.target == "gpluser"


def test_of_several_names_each_has_its_result(
    stub: module_service_pb2_grpc.ModuleServiceStub,
) -> None:
    response = stub.LoadModules(
        module_service_pb2.LoadModulesRequest(names=["nosuch", "greet", ""])
    )
    reasons = [result.failure.reason for result in response.results]
    assert reasons == [
        errors_pb2.ERROR_REASON_MODULE_NOT_FOUND,
        errors_pb2.ERROR_REASON_UNSPECIFIED,
        errors_pb2.ERROR_REASON_INVALID_NAME,
    ]
    assert names(stub) == ["greet"]


@pytest.mark.parametrize(
    "request_",
    [
        module_service_pb2.LoadModulesRequest(),
        module_service_pb2.LoadModulesRequest(names=["a", "b"], parameters="x=1"),
        module_service_pb2.LoadModulesRequest(names=["x"] * 5000),
        module_service_pb2.LoadModulesRequest(names=["a\0b"]),
        module_service_pb2.LoadModulesRequest(names=["é" * 4000]),
    ],
    ids=["no name", "parameters for two", "too many names", "a NUL byte", "too long"],
)
def test_a_request_that_cannot_be_right_is_an_invalid_argument(
    stub: module_service_pb2_grpc.ModuleServiceStub,
    request_: module_service_pb2.LoadModulesRequest,
) -> None:
    with pytest.raises(grpc.RpcError) as failed:
        stub.LoadModules(request_)
    assert failed.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert names(stub) == []


@FOR_ADMINS
@pytest.mark.parametrize(
    ("requests", "reason"),
    [
        ([], "INVALID_REQUEST"),
        ([chunk(IMAGE)], "INVALID_REQUEST"),
        ([header(), header()], "INVALID_REQUEST"),
        ([header(), chunk(b"x" * (2 << 20))], "INVALID_REQUEST"),
        ([header()], "INVALID_MODULE_FILE"),
        ([header(), chunk(b"\x28\xb5\x2f\xfd no frame")], "INVALID_MODULE_FILE"),
        ([header(), *[chunk(bytes(1 << 20))] * 257], "IMAGE_TOO_LARGE"),
    ],
    ids=["nothing", "no header", "two headers", "a huge chunk", "empty", "bad zstd", "too large"],
)
def test_an_upload_that_is_wrong_is_refused_by_its_reason(
    stub: module_service_pb2_grpc.ModuleServiceStub,
    requests: list[module_service_pb2.InsertModuleRequest],
    reason: str,
) -> None:
    with pytest.raises(grpc.RpcError) as failed:
        stub.InsertModule(iter(requests))
    assert details(failed.value)[0].reason == reason
    assert names(stub) == []


@FOR_ADMINS
def test_a_client_that_vanishes_in_mid_upload_leaves_no_trace(either: Daemon) -> None:
    begun = threading.Event()
    more = threading.Event()

    def requests() -> Iterator[module_service_pb2.InsertModuleRequest]:
        yield header(file_name="greet.ko")
        yield chunk(IMAGE[:1000])
        begun.set()
        more.wait(60)

    vanishing = grpc.insecure_channel(f"unix:{either.socket}")
    upload = module_service_pb2_grpc.ModuleServiceStub(vanishing).InsertModule.future(requests())
    assert begun.wait(60)
    vanishing.close()
    more.set()
    assert upload.code() is grpc.StatusCode.CANCELLED
    with either.client() as client:
        assert client.list_modules() == []
        client.insert(SOURCES / "greet.ko")


def test_a_hundred_threads_that_load_one_module_make_one_insertion(either: Daemon) -> None:
    together = threading.Barrier(100)

    def load(stub: module_service_pb2_grpc.ModuleServiceStub) -> int:
        together.wait(60)
        response = stub.LoadModules(module_service_pb2.LoadModulesRequest(names=["world"]))
        return sum(step.done for step in response.results[0].steps)

    with grpc.insecure_channel(f"unix:{either.socket}") as shared, ThreadPoolExecutor(100) as pool:
        stub = module_service_pb2_grpc.ModuleServiceStub(shared)
        # A client that has not been told how many calls there may be at a time is refused some.
        grpc.channel_ready_future(shared).result(60)
        loads = [pool.submit(load, stub) for _ in range(100)]
        assert sum(each.result(120) for each in loads) == 2  # greet once, world once
        listed = stub.ListModules(module_service_pb2.ListModulesRequest()).modules
    assert [(module.name, module.reference_count) for module in listed] == [
        ("world", 0),
        ("greet", 1),
    ]


def test_a_listing_comes_by_the_page(
    stub: module_service_pb2_grpc.ModuleServiceStub,
) -> None:
    stub.LoadModules(module_service_pb2.LoadModulesRequest(names=["world"]))
    first = stub.ListModules(module_service_pb2.ListModulesRequest(page_size=1))
    second = stub.ListModules(
        module_service_pb2.ListModulesRequest(page_size=1, page_token=first.next_page_token)
    )
    assert [first.modules[0].name, second.modules[0].name] == ["world", "greet"]
    assert second.next_page_token == ""
    stub.LoadModules(module_service_pb2.LoadModulesRequest(names=["gplsym"]))
    for stale in (first.next_page_token, "nonsense", "x:-1"):
        with pytest.raises(grpc.RpcError) as failed:
            stub.ListModules(module_service_pb2.ListModulesRequest(page_token=stale))
        assert details(failed.value)[0].reason == "INVALID_REQUEST"


def test_the_log_can_be_read_from_a_record_on(channel: grpc.Channel) -> None:
    stub = kernel_log_service_pb2_grpc.KernelLogServiceStub(channel)
    (batch,) = stub.ReadLog(kernel_log_service_pb2.ReadLogRequest())
    assert batch.records[0].sequence == 0
    assert batch.records[0].level == kernel_log_service_pb2.LOG_LEVEL_NOTICE
    last = batch.records[-1].sequence
    later = kernel_log_service_pb2.ReadLogRequest(after_sequence=last)
    assert list(stub.ReadLog(later)) == []


def test_health_and_reflection_are_served(channel: grpc.Channel) -> None:
    health = health_pb2_grpc.HealthStub(channel)
    for service in ("", "kmodd.v1.ModuleService"):
        response = health.Check(health_pb2.HealthCheckRequest(service=service))
        assert response.status == health_pb2.HealthCheckResponse.SERVING
    watch = health.Watch(health_pb2.HealthCheckRequest(service=""))
    assert next(watch).status == health_pb2.HealthCheckResponse.SERVING
    watch.cancel()
    reflection = reflection_pb2_grpc.ServerReflectionStub(channel)
    request = reflection_pb2.ServerReflectionRequest(list_services="")
    (answer,) = reflection.ServerReflectionInfo(iter([request]))
    served = {service.name for service in answer.list_services_response.service}
    assert served == {
        "grpc.health.v1.Health",
        "grpc.reflection.v1alpha.ServerReflection",
        "kmodd.v1.DaemonService",
        "kmodd.v1.DatabaseService",
        "kmodd.v1.EmulationService",
        "kmodd.v1.KernelLogService",
        "kmodd.v1.ModuleService",
        "kmodd.v1.StateService",
    }


@pytest.mark.parametrize(
    ("symbol", "file"),
    [
        ("kmodd.v1.ModuleService", "kmodd/v1/module_service.proto"),
        ("kmodd.v1.ModuleService.HoldModules", "kmodd/v1/module_service.proto"),
        ("kmodd.v1.DaemonService.GetStatus", "kmodd/v1/daemon_service.proto"),
        ("grpc.health.v1.Health.Check", "grpc_health/v1/health.proto"),
        ("kmodd.v1.Step.kind", "kmodd/v1/errors.proto"),
        ("kmodd.v1.ModuleService.NoSuchMethod", ""),
        ("kmodd.v1.NoSuchService.HoldModules", ""),
        ("HoldModules", ""),
        ("", ""),
    ],
)
def test_reflection_finds_the_file_of_a_symbol(
    channel: grpc.Channel, symbol: str, file: str
) -> None:
    stub = reflection_pb2_grpc.ServerReflectionStub(channel)
    request = reflection_pb2.ServerReflectionRequest(file_containing_symbol=symbol)
    (answer,) = stub.ServerReflectionInfo(iter([request]))
    if not file:
        assert answer.error_response.error_code == grpc.StatusCode.NOT_FOUND.value[0]
        return
    found = answer.file_descriptor_response.file_descriptor_proto[0]
    assert descriptor_pb2.FileDescriptorProto.FromString(found).name == file


@FOR_ADMINS  # the front takes 32 calls of a connection at a time, and the 33rd waits for its turn
def test_followers_do_not_starve_other_callers(either: Daemon) -> None:
    with grpc.insecure_channel(f"unix:{either.socket}") as channel:
        stub = kernel_log_service_pb2_grpc.KernelLogServiceStub(channel)
        request = kernel_log_service_pb2.ReadLogRequest(follow=True)
        followers = [stub.ReadLog(request) for _ in range(64)]
        for follower in followers:
            next(follower)
        with pytest.raises(grpc.RpcError) as refused:
            next(stub.ReadLog(request))
        assert details(refused.value)[0].reason == "LIMIT_REACHED"
        assert either.kmodctl("modprobe", "greet").returncode == 0
        for follower in followers:
            follower.cancel()
