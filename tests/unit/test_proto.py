# SPDX-License-Identifier: Apache-2.0
"""The API's form: its names, its comments, and that the generated code is that of the sources."""

import importlib.util
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from google.protobuf.descriptor import EnumDescriptor, FileDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet

from tests.support.require import require

PROJECT = Path(__file__).parents[2]
PROTO = PROJECT / "proto"
SOURCES = sorted(path.relative_to(PROTO) for path in PROTO.rglob("*.proto"))


def file_descriptors() -> Iterator[FileDescriptor]:
    for source in SOURCES:
        module = str(source).replace("/", ".").removesuffix(".proto") + "_pb2"
        yield importlib.import_module(module).DESCRIPTOR


def enums() -> Iterator[EnumDescriptor]:
    for file in file_descriptors():
        yield from file.enum_types_by_name.values()


def upper_snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).upper()


def require_tools() -> None:
    found = importlib.util.find_spec("grpc_tools") is not None
    require(found, "generating the API's code needs grpcio-tools (the test extra)")


def test_the_checked_in_code_is_what_the_sources_generate(tmp_path: Path) -> None:
    require_tools()
    subprocess.run([sys.executable, str(PROTO / "generate.py"), str(tmp_path)], check=True)
    made = {path.name: path.read_text() for path in tmp_path.rglob("*_pb2*.py*")}
    places = (PROJECT / "kmodd" / "v1", PROJECT / "kmodctl" / "fleet")
    kept = {path.name: path.read_text() for place in places for path in place.glob("*_pb2*.py*")}
    assert made == kept
    clients = tmp_path / "kmodctl"
    others = [clients / "services.py", clients / "aio" / "client.py"]
    others += (tmp_path / "kmodd" / "messages").iterdir()
    assert len(others) > len(SOURCES)
    for path in others:
        assert path.read_text() == (PROJECT / path.relative_to(tmp_path)).read_text()


def test_every_rpc_has_a_request_and_a_response_of_its_own() -> None:
    seen: set[str] = set()
    for file in file_descriptors():
        for service in file.services_by_name.values():
            assert service.name.endswith("Service")
            for method in service.methods:
                assert method.input_type.name == f"{method.name}Request"
                assert method.output_type.name == f"{method.name}Response"
                assert not {method.input_type.name, method.output_type.name} & seen
                seen |= {method.input_type.name, method.output_type.name}
    assert seen


@pytest.mark.parametrize("enum", tuple(enums()), ids=lambda enum: enum.name)
def test_an_enums_values_bear_its_name_and_zero_is_unspecified(enum: EnumDescriptor) -> None:
    prefix = upper_snake(enum.name)
    assert enum.values_by_number[0].name == f"{prefix}_UNSPECIFIED"
    assert all(value.name.startswith(f"{prefix}_") for value in enum.values)


def test_fields_are_named_in_snake_case_and_lists_have_pages() -> None:
    for file in file_descriptors():
        assert file.package == "kmodd.v1"
        for message in file.message_types_by_name.values():
            fields = set(message.fields_by_name)
            assert all(re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", field) for field in fields)
            if re.fullmatch(r"List\w+Request", message.name):
                assert {"page_size", "page_token"} <= fields
            if re.fullmatch(r"List\w+Response", message.name):
                assert "next_page_token" in fields


def test_everything_in_the_api_has_a_comment(tmp_path: Path) -> None:
    require_tools()
    from grpc_tools import protoc

    output = tmp_path / "api"
    included = Path(protoc.__file__).parent / "_proto"
    arguments = [f"--proto_path={PROTO}", f"--proto_path={included}", "--include_source_info"]
    sources = [str(source) for source in SOURCES]
    assert protoc.main(["protoc", *arguments, f"--descriptor_set_out={output}", *sources]) == 0
    files = FileDescriptorSet.FromString(output.read_bytes()).file
    missing = [place for file in files for place in uncommented(file)]
    assert missing == []


@pytest.mark.parametrize("file", tuple(file_descriptors()), ids=lambda file: file.name)
def test_generators_of_other_languages_are_told_the_package(file: FileDescriptor) -> None:
    options = file.GetOptions()
    assert options.go_package == "kmodd.dev/api/kmodd/v1;kmoddv1"
    assert (options.java_package, options.java_multiple_files) == ("dev.kmodd.api.v1", True)
    assert options.csharp_namespace == "Kmodd.V1"


def uncommented(file: FileDescriptorProto) -> Iterator[str]:
    """Yield each message, field, enum, value, service, method and option without a comment."""
    commented = {
        tuple(place.path) for place in file.source_code_info.location if place.leading_comments
    }
    for path, name in declared(file):
        if path not in commented:
            yield f"{file.name}: {name}"


def declared(file: FileDescriptorProto) -> Iterator[tuple[tuple[int, ...], str]]:
    """Yield the path (descriptor.proto's field numbers) and the name of all that is declared."""
    for at, message in enumerate(file.message_type):
        yield (4, at), message.name
        yield from (((4, at, 2, i), each.name) for i, each in enumerate(message.field))
        yield from (
            ((4, at, 8, i), each.name)
            for i, each in enumerate(message.oneof_decl)
            if not each.name.startswith("_")
        )
    yield from (((7, at), each.name) for at, each in enumerate(file.extension))
    for at, enum in enumerate(file.enum_type):
        yield (5, at), enum.name
        yield from (((5, at, 2, i), each.name) for i, each in enumerate(enum.value))
    for at, service in enumerate(file.service):
        yield (6, at), service.name
        yield from (((6, at, 2, i), each.name) for i, each in enumerate(service.method))
