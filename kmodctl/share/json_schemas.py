# SPDX-License-Identifier: Apache-2.0
"""What each command prints with --json, as JSON Schema (2020-12), made from the API's messages.

A schema promises the fields that are there; new ones may come beside them (CONTRIBUTING).
"""

import json
from collections.abc import Mapping
from typing import Any

from kmodctl.share.fleet_schemas import FLEET
from kmodd.messages.as_json import ADDRESS
from kmodd.messages.codec import Message, class_at
from kmodd.messages.errors import Failure
from kmodd.messages.well_known import Duration, Timestamp

DIALECT = "https://json-schema.org/draft/2020-12/schema"

FAILURE = "errors.Failure"

_NAME = {"type": "string"}

OWN: Mapping[str, dict[str, Any]] = {
    **FLEET,
    "rmmod": {
        "type": "object",
        "properties": {"module": _NAME, "failure": {"$ref": f"#/$defs/{FAILURE}"}},
        "required": ["module"],
    },
    "named failure": {
        "type": "object",
        "properties": {"name": _NAME, "failure": {"$ref": f"#/$defs/{FAILURE}"}},
        "required": ["name", "failure"],
    },
    "road": {
        "type": "object",
        "properties": {"name": _NAME, "covered": _NAME, "why": _NAME},
        "required": ["name", "covered", "why"],
    },
    "completion": {
        "type": "object",
        "properties": {"shell": _NAME, "script": _NAME},
        "required": ["shell", "script"],
    },
    "new module": {
        "type": "object",
        "properties": {
            "name": _NAME,
            "kind": _NAME,
            "directory": _NAME,
            "files": {"type": "array", "items": _NAME},
        },
        "required": ["name", "kind", "directory", "files"],
    },
    "graph": {
        "type": "object",
        "properties": {
            "modules": {
                "type": "array",
                "items": {
                    "type": "object",
                    "properties": {
                        "name": _NAME,
                        "path": _NAME,
                        "builtin": {"type": "boolean"},
                        "size_bytes": {"type": "integer"},
                        "loaded": {"type": "boolean"},
                        "held": {"type": "boolean"},
                        "details": {
                            "type": "object",
                            "additionalProperties": {"type": "array", "items": _NAME},
                        },
                    },
                    "required": ["name", "path", "builtin", "size_bytes", "loaded", "held"],
                },
            },
            "lines": {
                "type": "array",
                "items": {
                    "type": "object",
                    "properties": {
                        "from": _NAME,
                        "to": _NAME,
                        "kind": {"enum": ["needs", "before", "after"]},
                    },
                    "required": ["from", "to", "kind"],
                },
            },
        },
        "required": ["modules", "lines"],
    },
    "compared module": {
        "type": "object",
        "properties": {
            "module": _NAME,
            "differences": {
                "type": "array",
                "items": {
                    "type": "object",
                    "properties": {
                        "what": {"enum": ["result", "log", "presence", "size", "references"]},
                        "of": _NAME,
                        "emulated": _NAME,
                        "vm": _NAME,
                    },
                    "required": ["what", "of", "emulated", "vm"],
                },
            },
        },
        "required": ["module", "differences"],
    },
    "dev event": {
        "type": "object",
        "properties": {
            "event": _NAME,
            "release": _NAME,
            "module": _NAME,
            "leaks": {"type": "array", "items": _NAME},
            "device": _NAME,
            "driver": _NAME,
            "record": {"type": "object"},
            "report": {"type": "object"},
            "seconds": {"type": "object", "additionalProperties": {"type": "number"}},
            "failure": {"$ref": f"#/$defs/{FAILURE}"},
        },
        "required": ["event"],
    },
}
"""What is printed that is no message of the API."""

FORMS: Mapping[str, tuple[str | tuple[str, ...], ...]] = {
    "lsmod": (("module_service.Module",),),
    "insmod": ("module_service.Module",),
    "modprobe": (
        ("module_service.ModuleResult",),
        ("database_service.ResolveAliasResponse", "named failure"),
        ("database_service.ModuleInfo",),
        "database_service.ModuleInfo",
        "database_service.GetConfigurationResponse",
    ),
    "rmmod": (("rmmod",),),
    "modinfo": (("database_service.ModuleInfo", "named failure"),),
    "depmod": ("database_service.Tree",),
    "param": (("module_service.Parameter",),),
    "outdated": (("module_service.OutdatedModule",),),
    "reload": ("module_service.ReloadModulesResponse",),
    "static-nodes": (("database_service.StaticNode",),),
    "tree": ("database_service.GetDependenciesResponse",),
    "list": (("database_service.FoundModule",),),
    "search": (("database_service.FoundModule",),),
    "graph": ("graph",),
    "dmesg": ("kernel_log_service.LogRecord",),
    "status": ("daemon_service.GetStatusResponse", ("module_service.GetModuleResponse",)),
    "events": ("module_service.WatchModulesResponse",),
    "operations": (("daemon_service.Operation",),),
    "metrics": ("daemon_service.GetMetricsResponse",),
    "whoami": ("daemon_service.WhoAmIResponse",),
    "hold": (("module_service.Hold",),),
    "seal": ("daemon_service.SealResponse",),
    "coverage": (("road",),),
    "state": ("state_service.GetStateResponse", "state_service.WatchStateResponse"),
    "diff": (("state_service.ModuleStanding",),),
    "apply": ("state_service.ApplyStateResponse",),
    "fleet": (
        "fleet wishes",
        "fleet change",
        "fleet status",
        "fleet rollout",
        "fleet explanation",
        ("fleet node", "fleet difference"),
    ),
    "check": ("emulation_service.CheckReport",),
    "compare": (("compared module",),),
    "device": (
        "emulation_service.AddDeviceResponse",
        "emulation_service.RaiseInterruptResponse",
        ("emulation_service.Device",),
    ),
    "ls": (("emulation_service.KernelFile",),),
    "cat": ("emulation_service.FileData",),
    "write": ("emulation_service.FileWritten",),
    "ioctl": ("emulation_service.FileControlled",),
    "new": ("new module",),
    "dev": ("dev event",),
    "completion": ("completion",),
}
"""The forms of each command's documents: a message, or in a tuple those that a list may have. For
cat, dmesg, events, dev, ``state --watch`` and ``fleet rollout`` a document is a line."""


def schemas() -> dict[str, str]:
    """Return the text of each command's schema, by the command."""
    return {name: f"{json.dumps(_schema(name), indent=1)}\n" for name in FORMS}


def _schema(command: str) -> dict[str, Any]:
    defined: dict[str, Any] = {}
    forms = [_form(form, defined) for form in FORMS[command]]
    failed = {
        "type": "object",
        "properties": {"failure": _reference(FAILURE, defined)},
        "required": ["failure"],
    }
    title = f"what kmodctl {command} prints with --json"
    return {
        "$schema": DIALECT,
        "title": title,
        "anyOf": [*forms, failed],
        "$defs": dict(sorted(defined.items())),
    }


def _form(form: str | tuple[str, ...], defined: dict[str, Any]) -> dict[str, Any]:
    if isinstance(form, str):
        return _reference(form, defined)
    kinds = [_reference(each, defined) for each in form]
    return {"type": "array", "items": kinds[0] if len(kinds) == 1 else {"anyOf": kinds}}


def _reference(place: str, defined: dict[str, Any]) -> dict[str, Any]:
    """Return what refers to a message's schema, and see to it that there is one."""
    if place not in defined:
        defined[place] = {}
        if place in OWN:
            defined[place] = OWN[place]
            _reference(FAILURE, defined)
        else:
            defined[place] = _message(class_at(place), defined)
    return {"$ref": f"#/$defs/{place}"}


def _message(kind: type[Message], defined: dict[str, Any]) -> dict[str, Any]:
    if issubclass(kind, Duration | Timestamp):
        return {"type": "string"}
    properties, required = {}, []
    for _, name, typed, label, place in kind.FIELDS:
        shown = _value(name, typed, place, defined)
        properties[name] = {"type": "array", "items": shown} if label == "repeated" else shown
        if label == "repeated" or (label != "optional" and typed != "message"):
            required.append(name)
    if kind is Failure:
        properties = {
            {"errno_value": "errno"}.get(name, name): each for name, each in properties.items()
        }
        properties["reason"] = {"type": "string"}
        required = ["reason", "errno", *required[2:]]
    return {"type": "object", "properties": properties, "required": required}


def _value(name: str, typed: str, place: str, defined: dict[str, Any]) -> dict[str, Any]:
    match typed:
        case "message":
            return _reference(place, defined)
        case "enum":
            names: Any = class_at(place)
            # A daemon that is newer may have values that kmodctl has no name for.
            return {"anyOf": [{"enum": list(names.values())}, {"type": "integer"}]}
        case "string" | "bytes":
            return {"type": "string"}
        case "bool":
            return {"type": "boolean"}
        case "uint64" if name == ADDRESS:
            return {"type": "string", "pattern": "^0x[0-9a-f]+$"}
        case "double" | "float":
            return {"type": "number"}
    return {"type": "integer"}
