# SPDX-License-Identifier: Apache-2.0
"""Loads what one daemon planned through another: the files are sent, one after the other.

A private daemon plans with the caller's root and configuration, but it is the daemon that
kmodctl would have found whose kernel the modules are for.
"""

from typing import TYPE_CHECKING

from kmodctl.errors import CallError

if TYPE_CHECKING:
    from kmodctl.client import Client
    from kmodd.v1 import errors_pb2
    from kmodd.v1 import module_service_pb2 as pb


def carry_out(
    plan: "pb.ModuleResult", request: "pb.LoadModulesRequest", client: "Client"
) -> "pb.ModuleResult":
    """Take the steps of ``plan`` through ``client`` as ``request`` says; return what they came to.

    What is loaded is passed over. A command of the configuration is not run: it is a caller's
    own, and a daemon runs only its own.
    """
    from kmodd.v1 import errors_pb2
    from kmodd.v1 import module_service_pb2 as pb

    result = pb.ModuleResult(name=plan.name, modules=plan.modules)
    result.other_failures.extend(plan.other_failures)
    if plan.HasField("failure"):
        result.failure.CopyFrom(plan.failure)
    loaded = {module.name for module in client.list_modules()}
    for planned in plan.steps:
        step = result.steps.add()
        step.CopyFrom(planned)
        failure = None
        if step.kind == errors_pb2.STEP_KIND_COMMAND:
            failure = _refusal(step)
        elif step.kind == errors_pb2.STEP_KIND_INSERT:
            step.needless = step.module in loaded
            failure = (
                _again(step, plan, request) if step.needless else _insert(step, request, client)
            )
            step.done = not step.needless and failure is None
        if failure is not None and not step.optional:
            failure.target = plan.modules[-1] if plan.modules else ""
            result.failure.CopyFrom(failure)
            break
    return result


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
        return errors_pb2.Failure(
            reason=f"ERROR_REASON_{error.reason}",
            errno_value=error.errno,
            message=error.message,
            module=error.module,
            symbol=error.symbol,
            detail=error.detail,
            log_lines=error.log_lines,
        )
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


def _refusal(step: "errors_pb2.Step") -> "errors_pb2.Failure":
    from kmodd.v1 import errors_pb2

    return errors_pb2.Failure(
        reason=errors_pb2.ERROR_REASON_COMMAND_REFUSED,
        message=f"the install command of {step.module} is not the daemon's own",
        module=step.module,
        detail=step.command,
    )
