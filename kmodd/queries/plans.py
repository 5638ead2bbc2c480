# SPDX-License-Identifier: Apache-2.0
"""What is planned as messages of the API, and messages as what is to be planned.

There are two libraries of messages (see messages.py). ``errors`` and ``modules`` are the modules of
one of them that have those of errors.proto and module_service.proto.
"""

from __future__ import annotations

from kmodd.kernel.loaded import InsertFlags, LoadedModule, ModuleState
from kmodd.plan import BuiltinStep, CommandStep, InsertStep, LoadRequest, RemoveStep, UnloadRequest
from kmodd.queries.messages import text, texts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from kmodd.errors import KmoddError
    from kmodd.plan import Step


def write_step(message: Any, step: Step, path: str, target: str, errors: Any) -> None:
    """Have a new message tell of a step that nothing has become of yet.

    ``path`` is the file that it inserts, ``target`` the module that its plan is for. The message
    is where it belongs already: to copy it into another takes as long as to write it.
    """
    message.path = text(path)
    message.target = text(target)
    match step:
        case InsertStep(record=record, parameters=parameters, configured=configured):
            if not step.required:  # to set what a message says anyway takes a tenth of it
                message.optional = True
            message.kind = errors.STEP_KIND_INSERT
            message.module = text(record.name)
            if parameters:
                message.parameters = text(parameters)
                message.configured_parameters = text(configured)
        case RemoveStep(name=name):
            message.optional = not step.required
            message.kind = errors.STEP_KIND_REMOVE
            message.module = text(name)
        case CommandStep(module=name, command=command, options=options, configured=configured):
            message.optional = not step.required
            message.kind = errors.STEP_KIND_COMMAND
            message.module = text(name)
            message.command = text(command)
            message.parameters = text(options)
            message.configured_parameters = text(configured)
        case BuiltinStep(name=name):
            message.kind = errors.STEP_KIND_BUILTIN
            message.module = text(name)


def failure_message(error: KmoddError, target: str, errors: Any) -> Any:
    """Return ``error`` as a field of an answer that tells of several modules.

    ``target`` is the module that was asked for.
    """
    return errors.Failure(
        reason=getattr(errors, f"ERROR_REASON_{error.reason.name}"),
        errno_value=error.errno,
        message=text(error.message),
        module=text(error.module),
        symbol=text(error.symbol),
        detail=text(error.detail),
        log_lines=texts(error.log),
        target=text(target),
        leaks=texts(error.leaks),
    )


def load_request(name: str, request: Any) -> LoadRequest:
    """Return what is to be loaded for one of the names of a LoadModulesRequest."""
    return LoadRequest(
        name=name,
        parameters=request.parameters,
        use_blacklist=request.use_blacklist,
        ignore_commands=request.ignore_install_commands,
        first_time=request.first_time,
        ignore_loaded=request.dry_run and request.ignore_loaded,
        exact=request.kmod_exact,
        flags=insert_flags(request.ignore_vermagic, request.ignore_modversions),
    )


def unload_request(name: str, request: Any) -> UnloadRequest:
    """Return what is to be unloaded for one of the names of an UnloadModulesRequest."""
    return UnloadRequest(
        name=name,
        ignore_commands=request.ignore_remove_commands,
        first_time=request.first_time,
        remove_holders=request.remove_holders,
        use_blacklist=request.use_blacklist,
        ignore_loaded=request.dry_run and request.ignore_loaded,
        force=request.force,
        exact=request.kmod_exact,
        soft_matters=request.soft_dependencies_matter,
    )


def insert_flags(ignore_vermagic: bool, ignore_modversions: bool) -> InsertFlags:
    """Return the flags of finit_module(2) for what is not to be checked."""
    flags = InsertFlags.NONE
    if ignore_vermagic:
        flags |= InsertFlags.IGNORE_VERMAGIC
    if ignore_modversions:
        flags |= InsertFlags.IGNORE_MODVERSIONS
    return flags


def assumed_modules(messages: Iterable[Any], modules: Any) -> tuple[LoadedModule, ...]:
    """Return modules that are loaded somewhere else, as far as a plan minds them."""
    states = {
        modules.MODULE_STATE_COMING: ModuleState.COMING,
        modules.MODULE_STATE_GOING: ModuleState.GOING,
    }
    return tuple(
        LoadedModule(
            name=message.name,
            size=message.size_bytes,
            refcount=message.reference_count,
            holders=tuple(message.holders),
            state=states.get(message.state, ModuleState.LIVE),
        )
        for message in messages
    )
