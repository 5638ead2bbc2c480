# SPDX-License-Identifier: Apache-2.0
"""What kmodctl fleet prints with --json, as JSON Schema."""

from collections.abc import Mapping
from typing import Any

_TEXT = {"type": "string"}
_NUMBER = {"type": "integer"}
_TEXTS = {"type": "array", "items": _TEXT}
_NAMED_TEXTS = {"type": "object", "additionalProperties": _TEXT}


def _object(**properties: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of an object that has all of these."""
    return {"type": "object", "properties": properties, "required": [*properties]}


def _list(of: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": of}


FLEET: Mapping[str, dict[str, Any]] = {
    "fleet wishes": _object(name=_TEXT, revision=_NUMBER, nodes=_NUMBER),
    "fleet change": _object(
        name=_TEXT, lines=_TEXTS, gaining=_TEXTS, losing=_TEXTS, keeping=_NUMBER
    ),
    "fleet difference": _object(node=_TEXT, module=_TEXT, name=_TEXT, standing=_TEXT, why=_TEXT),
    "fleet node": _object(
        node=_TEXT,
        boot=_TEXT,
        release=_TEXT,
        architecture=_TEXT,
        labels=_NAMED_TEXTS,
        version=_TEXT,
        wishes=_list(_object(name=_TEXT, revision=_NUMBER, fate=_TEXT, why=_TEXT)),
        troubles=_list(_object(module=_TEXT, name=_TEXT, standing=_TEXT, why=_TEXT)),
        trouble_count=_NUMBER,
        problem=_TEXT,
    ),
    "fleet status": _object(
        etcd=_object(endpoint=_TEXT, version=_TEXT, size_bytes=_NUMBER, problems=_TEXTS),
        revision=_NUMBER,
        nodes=_NUMBER,
        wishes=_list(
            _object(
                name=_TEXT,
                revision=_NUMBER,
                nodes=_NUMBER,
                fates={"type": "object", "additionalProperties": _NUMBER},
                selector=_TEXT,
            )
        ),
        rollouts=_list(
            _object(
                name=_TEXT,
                revision=_NUMBER,
                state=_TEXT,
                percentages=_list(_NUMBER),
                stage=_NUMBER,
                nodes=_NUMBER,
                places=_NUMBER,
                max_failures=_NUMBER,
                why=_TEXT,
            )
        ),
        problems=_TEXTS,
    ),
    "fleet rollout": _object(
        name=_TEXT,
        state=_TEXT,
        percentages=_list(_NUMBER),
        stage=_NUMBER,
        nodes=_NUMBER,
        chosen=_NUMBER,
        done=_NUMBER,
        moving=_TEXTS,
        failing=_NAMED_TEXTS,
        left=_NUMBER,
        why=_TEXT,
    ),
    "fleet explanation": _object(
        node=_TEXT,
        module=_TEXT,
        wishes=_list(
            _object(
                name=_TEXT,
                revision=_NUMBER,
                line=_NUMBER,
                state=_TEXT,
                parameters=_NAMED_TEXTS,
                counts={"type": "boolean"},
                verdict=_TEXT,
            )
        ),
        standing=_TEXT,
        why=_TEXT,
    ),
}
"""Each kind of object by a name for it."""
