# SPDX-License-Identifier: Apache-2.0
"""The kernel's values as JSON and back.

``pack_*`` give what json can write. ``unpack_*`` of what comes from the kernel's process trust
nothing: they raise ProtocolError where a value is not of the type and size that is due. What goes
to that process comes from the daemon, and is trusted there.
"""

import os
from collections.abc import Callable
from typing import Any, TypeVar

from kmodd.errors import KernelError, Reason
from kmodd.kernel.base import (
    Device,
    EmulationReport,
    InitState,
    KernelFile,
    LoadedModule,
    ModuleDetails,
    ModuleNote,
    ModuleSection,
    ModuleState,
    ParameterValue,
)
from kmodd.kernel.emulated.abi.structures import QUESTIONS
from kmodd.kernel.emulated.process.confinement import STEPS
from kmodd.kernel.emulated.process.wire import Message, ProtocolError
from kmodd.kernel.emulated.release.build_options import BuildOptions
from kmodd.kernel.emulated.release.vmlinux import Builtins, CoreSymbol, MachineType, Sample, Vmlinux
from kmodd.kernel.emulated.reporting.refusal import ERRNO_MAX
from kmodd.kernelimage.questions import Answers
from kmodd.keys import parse_certificate

LEAKS_MAX = 4096
"""Leaks that an answer tells of; they are all in the log."""

TEXT_MAX = 1 << 20
"""Characters of the longest text that a kernel may say: the holders of a module in use."""

LINES_MAX = 4096
"""Log lines that a failure carries, the last ones; they are all in the log."""

LIST_MAX = 1 << 16
"""Elements of the longest list."""

MODE_MAX = 0o7777
"""All permission bits of a file."""

REFCOUNT_MAX = (1 << 31) - 1
"""References to a module; the kernel counts them in an atomic_t."""

NUMBER_MAX = (1 << 64) - 1

T = TypeVar("T")


def pack_vmlinux(vmlinux: Vmlinux, *, with_symbols: bool) -> Message:
    """Return a Vmlinux, with or without its symbols and their prototypes."""
    sample = vmlinux.sample
    machine = sample.machine if sample else None
    return {
        "release": vmlinux.release,
        "vermagic": vmlinux.vermagic,
        "source": vmlinux.source,
        "machine": machine and [machine.bits, machine.byteorder, machine.number],
        "sample": sample
        and [
            sample.key.hex(),
            sample.layout_crc,
            sample.struct_module_size,
            sample.retpoline,
            sample.compiler,
        ],
        "builtins": [sorted(vmlinux.builtins.names), sorted(vmlinux.builtins.with_directory)],
        "options": {
            name: getattr(vmlinux.options, name) for name in BuildOptions.__dataclass_fields__
        },
        "layouts": _packed(vmlinux.layouts),
        "per_cpu": dict(vmlinux.per_cpu),
        "untold": vmlinux.untold,
        "certificates": [each.der.hex() for each in vmlinux.certificates],
        "symbols": [
            [name, each.crc, each.gpl_only, each.namespace]
            for name, each in vmlinux.symbols.items()
        ]
        if with_symbols
        else None,
        "prototypes": dict(vmlinux.prototypes) if with_symbols else None,
    }


def unpack_vmlinux(message: Message, before: Vmlinux) -> Vmlinux:
    """Return the Vmlinux that the daemon sent; where that carries no symbols, nor prototypes, they
    are those of ``before``.
    """
    sample = None
    if message["sample"] is not None:
        key, *rest = message["sample"]
        sample = Sample(MachineType(*message["machine"]), bytes.fromhex(key), *rest)
    symbols, prototypes = before.symbols, before.prototypes
    if message["symbols"] is not None:
        prototypes = message["prototypes"]
        symbols = {name: CoreSymbol(*rest) for name, *rest in message["symbols"]}
    return Vmlinux(
        release=message["release"],
        vermagic=message["vermagic"],
        sample=sample,
        symbols=symbols,
        source=message["source"],
        builtins=Builtins(*map(frozenset, message["builtins"])),
        options=BuildOptions(**message["options"]),
        per_cpu=message["per_cpu"],
        prototypes=prototypes,
        untold=message["untold"],
        layouts=_layouts(message["layouts"]),
        certificates=tuple(
            parse_certificate(bytes.fromhex(each)) for each in message["certificates"]
        ),
    )


def _packed(layouts: Answers | None) -> list[int | None] | None:
    return None if layouts is None else [layouts.get(each) for each in QUESTIONS]


def _layouts(answers: list[int | None] | None) -> Answers | None:
    if answers is None:
        return None
    pairs = zip(QUESTIONS, answers, strict=True)
    return {question: answer for question, answer in pairs if answer is not None}


def pack_module(module: LoadedModule) -> list[Any]:
    """Return a module of the listing."""
    return [
        module.name,
        module.size,
        module.refcount,
        list(module.holders),
        module.state.value,
        module.permanent,
        module.address,
        module.taints,
        pack_report(module.report),
    ]


def unpack_module(value: object) -> LoadedModule:
    """Return the module that the kernel told of."""
    name, size, refcount, holders, state, permanent, address, taints, report = listed(value, 9)
    return LoadedModule(
        name=text(name),
        size=number(size),
        refcount=number(refcount, least=-1, most=REFCOUNT_MAX),
        holders=each(text, holders),
        state=_member(ModuleState, state),
        permanent=truth(permanent),
        address=number(address),
        taints=text(taints),
        report=unpack_report(report),
    )


def pack_report(report: EmulationReport | None) -> list[Any] | None:
    """Return what the kernel has to tell of a module, as much of it as anybody reads."""
    if report is None:
        return None
    leaks = list(report.leaks[:LEAKS_MAX])
    return [report.init.value, report.why_not_run, list(report.stubbed), leaks]


def unpack_report(value: object) -> EmulationReport | None:
    """Return what the kernel told of a module."""
    if value is None:
        return None
    init, why_not_run, stubbed, leaks = listed(value, 4)
    return EmulationReport(
        _member(InitState, init), text(why_not_run), each(text, stubbed), each(text, leaks)
    )


def pack_details(details: ModuleDetails) -> list[Any]:
    """Return the details of a module."""
    return [
        pack_module(details.module),
        details.core_size,
        details.init_size,
        details.version,
        details.source_version,
        [[each.name, each.value, each.mode] for each in details.parameters],
        [[each.name, each.address] for each in details.sections],
        [[each.name, each.contents.hex()] for each in details.notes],
    ]


def unpack_details(value: object) -> ModuleDetails | None:
    """Return the details that the kernel told, None where there is no such module."""
    if value is None:
        return None
    module, core_size, init_size, version, source_version, *rest = listed(value, 8)
    parameters, sections, notes = rest
    return ModuleDetails(
        module=unpack_module(module),
        core_size=number(core_size),
        init_size=number(init_size),
        version=_optional_text(version),
        source_version=_optional_text(source_version),
        parameters=each(_parameter, parameters),
        sections=each(_section, sections),
        notes=each(_note, notes),
    )


def _parameter(value: object) -> ParameterValue:
    name, shown, mode = listed(value, 3)
    return ParameterValue(text(name), _optional_text(shown), number(mode, most=MODE_MAX))


def _section(value: object) -> ModuleSection:
    name, address = listed(value, 2)
    return ModuleSection(text(name), number(address))


def _note(value: object) -> ModuleNote:
    name, contents = listed(value, 2)
    try:
        return ModuleNote(text(name), bytes.fromhex(text(contents)))
    except ValueError as error:
        raise ProtocolError("a note that is no hexadecimal number") from error


def pack_device(device: Device) -> list[Any]:
    """Return a device."""
    return [
        device.name,
        device.bus,
        device.modalias,
        device.driver,
        device.driver_module,
        device.probe_errno,
        device.owner,
    ]


def unpack_device(value: object) -> Device:
    """Return the device that the kernel told of."""
    name, bus, modalias, driver, driver_module, probe_errno, owner = listed(value, 7)
    return Device(
        name=text(name),
        bus=text(bus),
        modalias=text(modalias),
        driver=text(driver),
        driver_module=text(driver_module),
        probe_errno=number(probe_errno, most=ERRNO_MAX),
        owner=text(owner),
    )


def unpack_devices(value: object) -> tuple[Device, ...]:
    """Return the devices that the kernel told of."""
    return each(unpack_device, value)


def pack_file(file: KernelFile) -> list[Any]:
    """Return a name of the kernel's file systems."""
    return [
        file.path,
        file.is_directory,
        file.module,
        file.mode,
        file.is_device,
        file.uses,
    ]


def unpack_files(value: object) -> tuple[KernelFile, ...]:
    """Return the names that the kernel told."""
    return each(_file, value)


def _file(value: object) -> KernelFile:
    path, is_directory, module, mode, is_device, uses = listed(value, 6)
    return KernelFile(
        text(path),
        truth(is_directory),
        text(module),
        number(mode, most=MODE_MAX),
        truth(is_device),
        text(uses),
    )


def pack_error(error: KernelError) -> list[Any]:
    """Return a failure."""
    return [
        error.reason.name,
        error.message[:TEXT_MAX],
        error.errno,
        error.module,
        error.symbol,
        error.detail[:TEXT_MAX],
        list(error.log[-LINES_MAX:]),
        list(error.leaks[:LINES_MAX]),
    ]


def unpack_error(value: object) -> KernelError:
    """Return the failure that the kernel told."""
    reason, message, errno, module, symbol, detail, log, leaks = listed(value, 8)
    if text(reason) not in Reason.__members__:
        raise ProtocolError(f"an unknown reason {reason!r}")
    return KernelError(
        Reason[text(reason)],
        text(message),
        errno=number(errno, most=ERRNO_MAX),
        module=text(module),
        symbol=text(symbol),
        detail=text(detail),
        log=each(text, log),
        leaks=each(text, leaks),
    )


def unpack_undone(value: object) -> tuple[str, ...]:
    """Return what the kernel's process did not give up, each step with the reason."""
    return each(_undone_step, value)


def unpack_nothing(value: object) -> None:
    """Take the answer to a call that has none but its success."""
    if value is not None:
        raise ProtocolError(f"{str(value)[:40]!r} where nothing was due")


def unpack_texts(value: object) -> tuple[str, ...]:
    """Return the texts that the kernel told."""
    return each(text, value)


def text(value: object) -> str:
    """Return ``value`` if it is a text of bearable length."""
    if not isinstance(value, str) or len(value) > TEXT_MAX:
        raise ProtocolError(f"{str(value)[:40]!r} where a text was due")
    return value


def number(value: object, *, least: int = 0, most: int = NUMBER_MAX) -> int:
    """Return ``value`` if it is a number from ``least`` to ``most``."""
    if not isinstance(value, int) or not least <= value <= most:
        raise ProtocolError(f"{str(value)[:40]!r} where a number was due")
    return value


def each(read: Callable[[object], T], value: object) -> tuple[T, ...]:
    """Return the elements of a list, each read with ``read``."""
    if not isinstance(value, list) or len(value) > LIST_MAX:
        raise ProtocolError(f"{str(value)[:40]!r} where a list was due")
    return tuple(map(read, value))


def _undone_step(value: object) -> str:
    place, code = listed(value, 2)
    step, _ = STEPS[number(place, most=len(STEPS) - 1)]
    return f"{step} ({os.strerror(number(code, most=ERRNO_MAX))})"


def _optional_text(value: object) -> str | None:
    return None if value is None else text(value)


def truth(value: object) -> bool:
    """Return ``value`` if it is true or false."""
    if not isinstance(value, bool):
        raise ProtocolError(f"{str(value)[:40]!r} where true or false was due")
    return value


def listed(value: object, length: int) -> list[Any]:
    """Return ``value`` if it is a list of that length."""
    if not isinstance(value, list) or len(value) != length:
        raise ProtocolError(f"{str(value)[:40]!r} where {length} values were due")
    return value


def _member(kind: Callable[[Any], T], value: object) -> T:
    try:
        return kind(value)
    except ValueError as error:
        raise ProtocolError(f"{str(value)[:40]!r} is unknown") from error
