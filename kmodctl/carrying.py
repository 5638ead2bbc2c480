# SPDX-License-Identifier: Apache-2.0
"""Does through a daemon what was planned here: files are sent and modules removed, one by one.

What was planned here is by the caller's root and configuration, but it is the daemon that kmodctl
would have found whose kernel the modules are for.
"""

import errno

from kmodctl.errors import CallError
from kmodctl.failures import reason_named
from kmodctl.uploading import insert
from kmodd.messages import errors
from kmodd.messages.module_service import (
    ListModulesRequest,
    LoadModulesRequest,
    ModuleResult,
    RemoveModuleRequest,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from kmodctl.api import Api
    from kmodd.messages import module_service as pb

    Take = Callable[[errors.Step], errors.Failure | None]


def load_through(
    api: "Api", plans: "Iterable[pb.ModuleResult]", request: "pb.LoadModulesRequest"
) -> "list[pb.ModuleResult]":
    """Take the steps of ``plans`` through ``api`` as ``request`` says; return their results.

    What is loaded is passed over, whether it was before or came with an earlier step. A command of
    the configuration is not run: it is a caller's own, and a daemon runs only its own.
    """
    listed = api.modules.list_modules(ListModulesRequest()).modules
    loaded = {module.name for module in listed}
    results: list[pb.ModuleResult] = []
    for plan in plans:
        results.append(_loaded_through(api, plan, request, loaded))
        _note_parameters_in_vain(results[-1], request, api)
        if request.atomic and results[-1].failure is not None:
            _take_back(results, api)
            break
    return results


def unload_through(
    api: "Api", plans: "Iterable[pb.ModuleResult]", request: "pb.UnloadModulesRequest"
) -> "list[pb.ModuleResult]":
    """Take the steps of ``plans`` through ``api`` as ``request`` says; return their results.

    What an earlier step has unloaded is passed over, and what is only unloaded where nothing uses
    it any more while something does.
    """
    unloaded: set[str] = set()

    def take(step: "errors.Step") -> "errors.Failure | None":
        if step.kind == errors.STEP_KIND_COMMAND:
            return _refusal(step, "remove")
        if step.kind != errors.STEP_KIND_REMOVE or step.module in unloaded:
            step.needless = step.kind == errors.STEP_KIND_REMOVE
            return None
        failure = _remove(step, request, api)
        step.done = failure is None
        if failure is None:
            unloaded.add(step.module)
            return None
        gone = failure.reason == errors.ERROR_REASON_MODULE_NOT_LOADED
        step.needless = step.optional or (gone and not request.first_time)
        return None if step.needless else failure

    return [_carried_out(plan, take, failure_ends=True) for plan in plans]


def _loaded_through(
    api: "Api",
    plan: "pb.ModuleResult",
    request: "pb.LoadModulesRequest",
    loaded: set[str],
) -> "pb.ModuleResult":
    """Take the steps of one plan; the names that are ``loaded`` grow with them."""
    first = frozenset(plan.modules) if request.first_time else frozenset()
    unwelcome = first & loaded

    def take(step: "errors.Step") -> "errors.Failure | None":
        if step.kind not in (errors.STEP_KIND_INSERT, errors.STEP_KIND_COMMAND):
            return None
        if step.module in unwelcome:
            return _loaded_already(step)
        if step.module in loaded:
            step.needless = True
            return None
        if step.kind == errors.STEP_KIND_COMMAND:
            return _refusal(step, "install")
        failure = _insert(step, request, api)
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
    result = ModuleResult(
        name=plan.name,
        modules=[*plan.modules],
        other_failures=[*plan.other_failures],
        failure=plan.failure,
    )
    failed: set[str] = set()
    for planned in plan.steps:
        if planned.target in failed:
            continue
        step = errors.Step.decode(planned.encode())
        result.steps.append(step)
        failure = take(step)
        if failure is None or step.optional:
            continue
        failed.add(step.target)
        failure.target = step.target
        if failure_ends or step.target == plan.modules[-1]:
            result.failure = failure
        else:
            result.other_failures.append(failure)
        if failure_ends:
            del result.modules[[*plan.modules].index(step.target) + 1 :]
            break
    return result


def _note_parameters_in_vain(
    result: "pb.ModuleResult", request: "pb.LoadModulesRequest", api: "Api"
) -> None:
    """Ask the daemon which parameters its kernel has otherwise, of a module that is loaded."""
    if result.failure is not None or not request.parameters:
        return
    given = {step.module for step in result.steps if not step.needless}
    for module in result.modules:
        if module not in given:
            asked = LoadModulesRequest(
                names=[module],
                parameters=request.parameters,
                dry_run=True,
                kmod_exact=request.kmod_exact,
                failure_in_result=True,
            )
            (told,) = api.modules.load_modules(asked).results
            ignored = (each for each in told.ignored_parameters if each.module == module)
            result.ignored_parameters.extend(ignored)


def _take_back(results: "Sequence[pb.ModuleResult]", api: "Api") -> None:
    """Unload what was loaded, the last first; what others use by now stays."""
    done = [step for result in results for step in result.steps if step.done]
    for step in reversed(done):
        try:
            api.modules.remove_module(RemoveModuleRequest(name=step.module))
        except CallError:
            continue
        step.undone = True


def _remove(
    step: "errors.Step", request: "pb.UnloadModulesRequest", api: "Api"
) -> "errors.Failure | None":
    """Remove a module; what nothing else needs any more is neither forced nor waited for."""
    force, wait = (False, None) if step.optional else (request.force, request.wait)
    try:
        removal = RemoveModuleRequest(name=step.module, force=force, wait=wait)
        step.leaks += api.modules.remove_module(removal).leaks
    except CallError as error:
        return _failure(error)
    return None


def _failure(error: CallError) -> "errors.Failure":
    """Return the failure that a call ended with; raises it where the daemon gave no reason."""
    reason = reason_named(error.reason)
    if reason is None:
        raise error
    return errors.Failure(
        reason=reason,
        errno_value=error.errno,
        message=error.message,
        module=error.module,
        symbol=error.symbol,
        detail=error.detail,
        log_lines=[*error.log_lines],
        leaks=[*error.leaks],
    )


def _insert(
    step: "errors.Step", request: "pb.LoadModulesRequest", api: "Api"
) -> "errors.Failure | None":
    try:
        insert(
            api,
            step.path,
            step.parameters,
            ignore_vermagic=request.ignore_vermagic,
            ignore_modversions=request.ignore_modversions,
        )
    except CallError as error:
        return _failure(error)
    except OSError as error:
        return errors.Failure(
            reason=errors.ERROR_REASON_TREE_UNREADABLE,
            errno_value=error.errno or 0,
            message=f"{step.path}: {error.strerror}",
            module=step.module,
        )
    return None


def _loaded_already(step: "errors.Step") -> "errors.Failure":
    """Return the failure that --first-time asks for where the module itself is loaded."""
    return errors.Failure(reason=errors.ERROR_REASON_MODULE_ALREADY_LOADED, module=step.module)


def _refusal(step: "errors.Step", event: str) -> "errors.Failure":
    return errors.Failure(
        reason=errors.ERROR_REASON_COMMAND_REFUSED,
        message=f"the {event} command of {step.module} is not the daemon's own",
        module=step.module,
        detail=step.command,
    )
