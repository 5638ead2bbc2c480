# SPDX-License-Identifier: Apache-2.0
"""Does through one daemon what another planned: files are sent and modules removed, one by one.

A private daemon plans with the caller's root and configuration, but it is the daemon that
kmodctl would have found whose kernel the modules are for.
"""

from typing import TYPE_CHECKING

from kmodctl.errors import CallError

if TYPE_CHECKING:
    from collections.abc import Callable

    from kmodctl.client import Client
    from kmodd.v1 import errors_pb2
    from kmodd.v1 import module_service_pb2 as pb


def load_through(
    client: "Client", plan: "pb.ModuleResult", request: "pb.LoadModulesRequest"
) -> "pb.ModuleResult":
    """Take the steps of ``plan`` through ``client`` as ``request`` says; return what they came to.

    What is loaded is passed over. A command of the configuration is not run: it is a caller's
    own, and a daemon runs only its own.
    """
    from kmodd.v1 import errors_pb2

    loaded = {module.name for module in client.list_modules()}

    def take(step: "errors_pb2.Step") -> "errors_pb2.Failure | None":
        if step.kind != errors_pb2.STEP_KIND_INSERT:
            return None
        if step.module in loaded:
            step.needless = True
            return _again(step, plan, request)
        failure = _insert(step, request, client)
        step.done = failure is None
        return failure

    return _carried_out(plan, "install", take)


def unload_through(
    client: "Client", plan: "pb.ModuleResult", request: "pb.UnloadModulesRequest"
) -> "pb.ModuleResult":
    """Take the steps of ``plan`` through ``client`` as ``request`` says; return what they came to.

    What is only unloaded where nothing uses it any more is passed over while something does.
    """
    from kmodd.v1 import errors_pb2

    def take(step: "errors_pb2.Step") -> "errors_pb2.Failure | None":
        if step.kind != errors_pb2.STEP_KIND_REMOVE:
            return None
        failure = _remove(step, request, client)
        step.done = failure is None
        step.needless = failure is not None and step.optional
        return failure

    return _carried_out(plan, "remove", take)


def _carried_out(
    plan: "pb.ModuleResult",
    event: str,
    take: "Callable[[errors_pb2.Step], errors_pb2.Failure | None]",
) -> "pb.ModuleResult":
    """Take each step until one fails that is not optional; commands are those of ``event``."""
    from kmodd.v1 import errors_pb2
    from kmodd.v1 import module_service_pb2 as pb

    result = pb.ModuleResult(name=plan.name, modules=plan.modules)
    result.other_failures.extend(plan.other_failures)
    if plan.HasField("failure"):
        result.failure.CopyFrom(plan.failure)
    for planned in plan.steps:
        step = result.steps.add()
        step.CopyFrom(planned)
        is_command = step.kind == errors_pb2.STEP_KIND_COMMAND
        failure = _refusal(step, event) if is_command else take(step)
        if failure is not None and not step.optional:
            failure.target = plan.modules[-1] if plan.modules else ""
            result.failure.CopyFrom(failure)
            break
    return result


def _remove(
    step: "errors_pb2.Step", request: "pb.UnloadModulesRequest", client: "Client"
) -> "errors_pb2.Failure | None":
    """Remove a module; what nothing else needs any more is neither forced nor waited for."""
    force, wait = (False, None) if step.optional else (request.force, request.wait)
    try:
        client.remove(step.module, force=force, wait=wait)
    except CallError as error:
        return _failure(error)
    return None


def _failure(error: CallError) -> "errors_pb2.Failure":
    from kmodd.v1 import errors_pb2

    return errors_pb2.Failure(
        reason=f"ERROR_REASON_{error.reason}",
        errno_value=error.errno,
        message=error.message,
        module=error.module,
        symbol=error.symbol,
        detail=error.detail,
        log_lines=error.log_lines,
    )


def _insert(
    step: "errors_pb2.Step", request: "pb.LoadModulesRequest", client: "Client"
) -> "errors_pb2.Failure | None":
    from kmodd.v1 import errors_pb2

    try:
        client.insert(
            step.path,
            step.parameters,
            ignore_vermagic=request.ignore_vermagic,
            ignore_modversions=request.ignore_modversions,
        )
    except CallError as error:
        return _failure(error)
    except OSError as error:
        return errors_pb2.Failure(
            reason=errors_pb2.ERROR_REASON_TREE_UNREADABLE,
            errno_value=error.errno or 0,
            message=f"{step.path}: {error.strerror}",
            module=step.module,
        )
    return None


def _again(
    step: "errors_pb2.Step", plan: "pb.ModuleResult", request: "pb.LoadModulesRequest"
) -> "errors_pb2.Failure | None":
    """Return the failure that --first-time asks for where the module itself is loaded."""
    from kmodd.v1 import errors_pb2

    if not request.first_time or step.module not in plan.modules:
        return None
    return errors_pb2.Failure(
        reason=errors_pb2.ERROR_REASON_MODULE_ALREADY_LOADED, module=step.module
    )


def _refusal(step: "errors_pb2.Step", event: str) -> "errors_pb2.Failure":
    from kmodd.v1 import errors_pb2

    return errors_pb2.Failure(
        reason=errors_pb2.ERROR_REASON_COMMAND_REFUSED,
        message=f"the {event} command of {step.module} is not the daemon's own",
        module=step.module,
        detail=step.command,
    )
