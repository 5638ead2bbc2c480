# SPDX-License-Identifier: Apache-2.0
"""What the daemon and a kernel in which modules are tried say to each other, as JSON and back."""

from collections.abc import Sequence
from typing import Any

from kmodd.kernel.emulated.process.messages import (
    each,
    listed,
    number,
    pack_device,
    text,
    truth,
    unpack_devices,
)
from kmodd.kernel.emulated.process.wire import ProtocolError
from kmodd.kernel.trials import (
    MISSTEPS,
    PHASES,
    CodePlace,
    FailableCall,
    Misstep,
    Observation,
)
from kmodd.modulefile.source_lines import SourceLine

RESULT_LIMIT = 1 << 31
"""What an init returns is an int."""

LINE_MAX = 1 << 31
"""The number of the last line that a source can have."""


def pack_place(place: CodePlace) -> list[Any]:
    """Return a place in code."""
    return [place.module, place.function, place.offset]


def unpack_place(value: object) -> CodePlace:
    """Return the place that was told."""
    module, function, offset = listed(value, 3)
    return CodePlace(text(module), text(function), number(offset))


def pack_observation(seen: Observation) -> dict[str, Any]:
    """Return what a run has shown."""
    return {
        "calls": [
            [
                *pack_place(call.place),
                call.name,
                call.how,
                PHASES.index(call.phase),
                call.may_be_ignored,
                call.is_optional,
                call.is_nested,
            ]
            for call in seen.calls
        ],
        "failed": list(seen.failed),
        "flow": [[PHASES.index(phase), list(flow)] for phase, flow in seen.flow.items()],
        "failed_at": [[PHASES.index(phase), at] for phase, at in seen.failed_at.items()],
        "path": list(seen.path),
        "held": list(seen.held),
        "kept": list(seen.kept),
        "result": seen.result,
        "missteps": [
            [*pack_place(one.place), MISSTEPS.index(one.kind), one.what, PHASES.index(one.phase)]
            for one in seen.missteps
        ],
        "devices": [pack_device(device) for device in seen.devices],
        "unchecked": seen.unchecked,
        "stubbed": list(seen.stubbed),
        "log": list(seen.log),
    }


def unpack_observation(value: object) -> Observation:
    """Return what the kernel told of a run."""
    if not isinstance(value, dict):
        raise ProtocolError(f"{str(value)[:40]!r} where an observation was due")
    get = value.get
    result = get("result")
    if result is not None:
        result = number(result, least=-RESULT_LIMIT, most=RESULT_LIMIT)
    return Observation(
        calls=each(_call, get("calls")),
        failed=each(number, get("failed")),
        flow=dict(each(_flow, get("flow"))),
        failed_at=dict(each(_failed_at, get("failed_at"))),
        path=each(number, get("path")),
        held=each(number, get("held")),
        kept=each(number, get("kept")),
        result=result,
        missteps=each(_misstep, get("missteps")),
        devices=unpack_devices(get("devices")),
        unchecked=text(get("unchecked")),
        stubbed=each(text, get("stubbed")),
        log=each(text, get("log")),
    )


def pack_lines(lines: Sequence[SourceLine | None]) -> list[Any]:
    """Return lines of sources."""
    return [None if line is None else [line.file, line.line] for line in lines]


def unpack_lines(value: object) -> tuple[SourceLine | None, ...]:
    """Return the lines that the kernel's process told."""
    return each(_line, value)


def _line(value: object) -> SourceLine | None:
    if value is None:
        return None
    file, line = listed(value, 2)
    return SourceLine(text(file), number(line, most=LINE_MAX))


def _phase(value: object) -> str:
    return PHASES[number(value, most=len(PHASES) - 1)]


def _call(value: object) -> FailableCall:
    *place, name, how, phase, may_be_ignored, is_optional, is_nested = listed(value, 9)
    return FailableCall(
        text(name),
        text(how),
        unpack_place(place),
        _phase(phase),
        truth(may_be_ignored),
        truth(is_optional),
        truth(is_nested),
    )


def _flow(value: object) -> tuple[str, tuple[int, ...]]:
    phase, flow = listed(value, 2)
    return _phase(phase), each(number, flow)


def _failed_at(value: object) -> tuple[str, int]:
    phase, at = listed(value, 2)
    return _phase(phase), number(at)


def _misstep(value: object) -> Misstep:
    *place, kind, what, phase = listed(value, 6)
    misstep = MISSTEPS[number(kind, most=len(MISSTEPS) - 1)]
    return Misstep(misstep, text(what), unpack_place(place), _phase(phase))
