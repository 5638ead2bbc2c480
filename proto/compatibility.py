# SPDX-License-Identifier: Apache-2.0
"""What an API may not lose from one release to the next.

Everything that is declared is compared by its full name, over all files together: a client knows
the names, and what the descriptors say of each, but not which file has it. What is new is no break.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FieldDescriptorProto,
    FileDescriptorSet,
    MethodDescriptorProto,
)

from kmodd.v1 import policy_pb2

Facts = Mapping[str, object]
"""What must stay as it is of one thing that is declared, by the words for it."""


@dataclass(frozen=True, order=True)
class Bar:
    """What keeps callers out, which may be lowered and not be raised."""

    height: int
    words: str = field(compare=False)

    def __str__(self) -> str:
        return self.words


def breaks(released: FileDescriptorSet, changed: FileDescriptorSet) -> list[str]:
    """Return, a line each, what ``changed`` takes from those who use ``released``."""
    after = dict(_declared(changed))
    found = []
    for name, facts in _declared(released):
        if name not in after:
            found.append(f"{name} is gone")
            continue
        found += [
            f"{name}: its {word} was {fact} and is {after[name].get(word)}"
            for word, fact in facts.items()
            if not _is_kept(fact, after[name].get(word))
        ]
    return found


def _is_kept(before: Any, after: Any) -> bool:
    return bool(after <= before if isinstance(before, Bar) else after == before)


def _declared(files: FileDescriptorSet) -> Iterator[tuple[str, Facts]]:
    """Yield all that is declared in ``files``, with its full name."""
    for file in files.file:
        yield from _messages(file.package, file.message_type)
        yield from _enums(file.package, file.enum_type)
        for extension in file.extension:
            facts = {**_field(extension, ()), "extended message": extension.extendee}
            yield f"{file.package}.{extension.name}", facts
        for service in file.service:
            name = f"{file.package}.{service.name}"
            yield name, {}
            yield from ((f"{name}.{each.name}", _method(each)) for each in service.method)


def _messages(scope: str, messages: Iterable[DescriptorProto]) -> Iterator[tuple[str, Facts]]:
    for message in messages:
        name = f"{scope}.{message.name}"
        yield name, {}
        oneofs = [each.name for each in message.oneof_decl]
        yield from ((f"{name}.{field.name}", _field(field, oneofs)) for field in message.field)
        yield from _messages(name, message.nested_type)
        yield from _enums(name, message.enum_type)


def _enums(scope: str, enums: Iterable[EnumDescriptorProto]) -> Iterator[tuple[str, Facts]]:
    for enum in enums:
        name = f"{scope}.{enum.name}"
        yield name, {}
        yield from ((f"{name}.{each.name}", {"number": each.number}) for each in enum.value)


def _field(declared: FieldDescriptorProto, oneofs: Iterable[str]) -> Facts:
    """``oneofs`` are those of the message; an optional field is in one that only descriptors have.

    Presence is what proto3 makes of it (protobuf.dev, "Field Presence").
    """
    in_oneof = declared.HasField("oneof_index") and not declared.proto3_optional
    kind = FieldDescriptorProto.Type.Name(declared.type).removeprefix("TYPE_").lower()
    repeated = declared.label == FieldDescriptorProto.LABEL_REPEATED
    present = in_oneof or declared.proto3_optional or bool(declared.type_name and kind == "message")
    marked = _option(declared, policy_pb2.loader_may_set)
    return {
        "number": declared.number,
        "type": f"{kind} {declared.type_name}".rstrip(),
        "cardinality": "repeated" if repeated else "singular",
        "presence": "explicit" if present and not repeated else "implicit",
        "JSON name": declared.json_name or _json_name(declared.name),
        "oneof": list(oneofs)[declared.oneof_index] if in_oneof else "none",
        "least role to set it": _bar(policy_pb2.ROLE_LOADER if marked else policy_pb2.ROLE_ADMIN),
    }


def _json_name(name: str) -> str:
    """Return the name in JSON of a field that names none (protobuf.dev, "ProtoJSON Format")."""
    first, *words = name.split("_")
    return first + "".join(word[:1].upper() + word[1:] for word in words)


def _method(method: MethodDescriptorProto) -> Facts:
    policy = _option(method, policy_pb2.policy)
    role = policy.role or policy_pb2.ROLE_ADMIN
    return {
        "request": method.input_type,
        "response": method.output_type,
        "streaming of requests": method.client_streaming,
        "streaming of responses": method.server_streaming,
        "least role": _bar(role),
        "least role on a real kernel": _bar(policy.role_on_real_kernel or role),
    }


def _bar(role: int) -> Bar:
    return Bar(role, policy_pb2.Role.Name(role))


def _option(bearer: FieldDescriptorProto | MethodDescriptorProto, extension: Any) -> Any:
    return bearer.options.Extensions[extension]
