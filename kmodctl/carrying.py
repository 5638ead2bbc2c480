# SPDX-License-Identifier: Apache-2.0
"""Does through one daemon what another planned: files are sent and modules removed, one by one.

A private daemon plans with the caller's root and configuration, but it is the daemon that
kmodctl would have found whose kernel the modules are for.
"""

import errno

from kmodctl.errors import CallError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from kmodctl.client import Client
    from kmodd.v1 import errors_pb2
    from kmodd.v1 import module_service_pb2 as pb

    Take = Callable[[errors_pb2.Step], errors_pb2.Failure | None]


def load_through(
    client: "Client", plans: "Iterable[pb.ModuleResult]", request: "pb.LoadModulesRequest"
) -> "list[pb.ModuleResult]":
    """Take the steps of ``plans`` through ``client`` as ``request`` says; return their results.

    What is loaded is passed over, whether it was before or came with an earlier step. A command of
    the configuration is not run: it is a caller's own, and a daemon runs only its own.
    """
    loaded = {module.name for module in client.list_modules()}
    results: list[pb.ModuleResult] = []
    for plan in plans:
        results.append(_loaded_through(client, plan, request, loaded))
        _note_parameters_in_vain(results[-1], request, client)
        if request.atomic and results[-1].HasField("failure"):
            _take_back(results, client)
            break
    return results


def unload_through(
    client: "Client", plans: "Iterable[pb.ModuleResult]", request: "pb.UnloadModulesRequest"
) -> "list[pb.ModuleResult]":
    """Take the steps of ``plans`` through ``client`` as ``request`` says; return their results.

    What an earlier step has unloaded is passed over, and what is only unloaded where nothing uses
    it any more while something does.
    """
    from kmodd.v1 import errors_pb2

    unloaded: set[str] = set()

    def take(step: "errors_pb2.Step") -> "errors_pb2.Failure | None":
        if step.kind == errors_pb2.STEP_KIND_COMMAND:
            return _refusal(step, "remove")
        if step.kind != errors_pb2.STEP_KIND_REMOVE or step.module in unloaded:
            step.needless = step.kind == errors_pb2.STEP_KIND_REMOVE
            return None
        failure = _remove(step, request, client)
        step.done = failure is None
        if failure is None:
            unloaded.add(step.module)
            return None
        gone = failure.reason == errors_pb2.ERROR_REASON_MODULE_NOT_LOADED
        step.needless = step.optional or (gone and not request.first_time)
        return None if step.needless else failure

    return [_carried_out(plan, take, failure_ends=True) for plan in plans]


def _loaded_through(
    client: "Client",
    plan: "pb.ModuleResult",
    request: "pb.LoadModulesRequest",
    loaded: set[str],
) -> "pb.ModuleResult":
    """Take the steps of one plan; the names that are ``loaded`` grow with them."""
    from kmodd.v1 import errors_pb2

    first = frozenset(plan.modules) if request.first_time else frozenset()
    unwelcome = first & loaded

    def take(step: "errors_pb2.Step") -> "errors_pb2.Failure | None":
        if step.kind not in (errors_pb2.STEP_KIND_INSERT, errors_pb2.STEP_KIND_COMMAND):
            return None
        if step.module in unwelcome:
            return _loaded_already(step)
        if step.module in loaded:
            step.needless = True
            return None
        if step.kind == errors_pb2.STEP_KIND_COMMAND:
            return _refusal(step, "install")
        failure = _insert(step, request, client)
        step.done = failure is None
        if failure is None:
            loaded.add(step.module)
        elif failure.errno_value == errno.EEXIST and step.module not in first:
            step.needless = True
            return None
        return failure

    return _carried_out(plan, take)


def _carried_out(
    plan: "pb.ModuleResult", take: "Take", *, failure_ends: bool = False
) -> "pb.ModuleResult":
    """Take each step; one that fails and is not optional is the last for its target.

    Of several targets the others have their turn all the same, unless a ``failure_ends`` it all.
    """
    from kmodd.v1 import module_service_pb2 as pb

    result = pb.ModuleResult(name=plan.name, modules=plan.modules)
    result.other_failures.extend(plan.other_failures)
    if plan.HasField("failure"):
        result.failure.CopyFrom(plan.failure)
    failed: set[str] = set()
    for planned in plan.steps:
        if planned.target in failed:
            continue
        step = result.steps.add()
        step.CopyFrom(planned)
        failure = take(step)
        if failure is None or step.optional:
            continue
        failed.add(step.target)
        failure.target = step.target
        if failure_ends or step.target == plan.modules[-1]:
            result.failure.CopyFrom(failure)
        else:
            result.other_failures.append(failure)
        if failure_ends:
            del result.modules[[*plan.modules].index(step.target) + 1 :]
            break
    return result


def _note_parameters_in_vain(
    result: "pb.ModuleResult", request: "pb.LoadModulesRequest", client: "Client"
) -> None:
    """Ask the daemon which parameters its kernel has otherwise, of a module that is loaded."""
    from kmodd.v1 import module_service_pb2 as pb

    if result.HasField("failure") or not request.parameters:
        return
    given = {step.module for step in result.steps if not step.needless}
    for module in result.modules:
        if module not in given:
            asked = pb.LoadModulesRequest(
                names=[module],
                parameters=request.parameters,
                dry_run=True,
                kmod_exact=request.kmod_exact,
                failure_in_result=True,
            )
            (told,) = client.load_modules(asked).results
            ignored = (each for each in told.ignored_parameters if each.module == module)
            result.ignored_parameters.extend(ignored)


def _take_back(results: "Sequence[pb.ModuleResult]", client: "Client") -> None:
    """Unload what was loaded, the last first; what others use by now stays."""
    done = [step for result in results for step in result.steps if step.done]
    for step in reversed(done):
        try:
            client.remove(step.module)
        except CallError:
            continue
        step.undone = True


def _remove(
    step: "errors_pb2.Step", request: "pb.UnloadModulesRequest", client: "Client"
) -> "errors_pb2.Failure | None":
    """Remove a module; what nothing else needs any more is neither forced nor waited for."""
    force, wait = (False, None) if step.optional else (request.force, request.wait)
    try:
        step.leaks.extend(client.remove(step.module, force=force, wait=wait))
    except CallError as error:
        return _failure(error)
    return None


def _failure(error: CallError) -> "errors_pb2.Failure":
    """Return the failure that a call ended with; raises it where the daemon gave no reason."""
    from kmodd.v1 import errors_pb2

    reason = f"ERROR_REASON_{error.reason}"
    try:
        errors_pb2.ErrorReason.Value(reason)
    except ValueError:
        raise error from None
    return errors_pb2.Failure(
        reason=reason,
        errno_value=error.errno,
        message=error.message,
        module=error.module,
        symbol=error.symbol,
        detail=error.detail,
        log_lines=error.log_lines,
        leaks=error.leaks,
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


def _loaded_already(step: "errors_pb2.Step") -> "errors_pb2.Failure":
    """Return the failure that --first-time asks for where the module itself is loaded."""
    from kmodd.v1 import errors_pb2

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
