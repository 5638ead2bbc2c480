# SPDX-License-Identifier: Apache-2.0
"""What each role may do: one table of methods, and the rules for a loader's requests.

A method of the API that the table does not name is for admins. A loader may set only the fields
of a request that are named for it, so that what is added to the API later is closed to it.
"""

import logging
from collections.abc import Iterable, Mapping
from functools import lru_cache

from kmodd.access.caller import Caller, Role
from kmodd.errors import AccessError, Reason
from kmodd.globs import PatternTable
from kmodd.names import normalise_alias

SERVICES = "/kmodd.v1."
"""What the names of the API's own methods begin with."""

LOAD = "/kmodd.v1.ModuleService/LoadModules"
HOLD = "/kmodd.v1.ModuleService/HoldModules"

METHODS: Mapping[str, Role] = {
    "/kmodd.v1.ModuleService/ListModules": Role.OBSERVER,
    "/kmodd.v1.ModuleService/GetModule": Role.OBSERVER,
    "/kmodd.v1.ModuleService/GetParameters": Role.OBSERVER,
    "/kmodd.v1.ModuleService/SetParameter": Role.ADMIN,
    LOAD: Role.LOADER,
    "/kmodd.v1.ModuleService/UnloadModules": Role.LOADER,
    "/kmodd.v1.ModuleService/RemoveModule": Role.LOADER,
    "/kmodd.v1.ModuleService/InsertModule": Role.ADMIN,
    HOLD: Role.LOADER,
    "/kmodd.v1.ModuleService/ListHolds": Role.ADMIN,
    "/kmodd.v1.ModuleService/EndHold": Role.ADMIN,
    "/kmodd.v1.ModuleService/WatchModules": Role.OBSERVER,
    "/kmodd.v1.DatabaseService/ResolveAlias": Role.OBSERVER,
    "/kmodd.v1.DatabaseService/GetModuleInfo": Role.OBSERVER,
    "/kmodd.v1.DatabaseService/GetDependencies": Role.OBSERVER,
    "/kmodd.v1.DatabaseService/GetStaticNodes": Role.OBSERVER,
    "/kmodd.v1.DatabaseService/GetConfiguration": Role.OBSERVER,
    "/kmodd.v1.DatabaseService/ListTrees": Role.OBSERVER,
    "/kmodd.v1.DatabaseService/WatchDatabase": Role.OBSERVER,
    "/kmodd.v1.DatabaseService/InspectModule": Role.ADMIN,
    "/kmodd.v1.DatabaseService/RebuildDatabase": Role.ADMIN,
    "/kmodd.v1.KernelLogService/ReadLog": Role.OBSERVER,
    "/kmodd.v1.DaemonService/GetStatus": Role.OBSERVER,
    "/kmodd.v1.DaemonService/ListOperations": Role.ADMIN,
    "/kmodd.v1.EmulationService/AddDevice": Role.ADMIN,
    "/kmodd.v1.EmulationService/ListDevices": Role.OBSERVER,
    "/kmodd.v1.EmulationService/RemoveDevice": Role.ADMIN,
    "/kmodd.v1.EmulationService/ListFiles": Role.OBSERVER,
}
"""The least role that each method takes."""

METHODS_ON_LINUX: Mapping[str, Role] = {
    **METHODS,
    "/kmodd.v1.KernelLogService/ReadLog": Role.ADMIN,
}
"""The same on the running kernel, whose log tells of more than modules."""

LOADER_FIELDS: Mapping[str, frozenset[str]] = {
    LOAD: frozenset(
        {
            *("names", "parameters", "dry_run", "first_time", "use_blacklist", "ignore_loaded"),
            *("atomic", "nested_verbosity", "failure_in_result"),
        }
    ),
    "/kmodd.v1.ModuleService/UnloadModules": frozenset(
        {
            *("names", "dry_run", "first_time", "remove_holders", "use_blacklist"),
            *("ignore_loaded", "wait", "nested_verbosity", "failure_in_result"),
        }
    ),
    "/kmodd.v1.ModuleService/RemoveModule": frozenset({"name", "wait"}),
    HOLD: frozenset({"load", "unload", "note"}),
}
"""The fields that a loader may set, of each method that a loader may call and an observer not.

What HoldModules is to load is a request of LoadModules, and the same is said of it.
Left out are those by which a request would overrule the configuration or the kernel's checks, or
name another tree.
"""

_ORDER = tuple(Role)

log = logging.getLogger(__name__)


def check_method(caller: Caller, method: str, *, on_linux: bool) -> None:
    """Raise AccessError where ``caller`` may not call ``method`` ("/package.Service/Method").

    What is not the API's own, health and reflection, is for everybody.
    """
    if caller.role is Role.ADMIN or not method.startswith(SERVICES):
        return
    least = (METHODS_ON_LINUX if on_linux else METHODS).get(method, Role.ADMIN)
    if _ORDER.index(caller.role) < _ORDER.index(least):
        what = method.rpartition("/")[2]
        raise _denied(caller, f"{what} takes the role {least}")


def check_fields(caller: Caller, method: str, fields: Iterable[str]) -> None:
    """Raise AccessError where a loader's request to ``method`` sets one of ``fields`` in vain."""
    if caller.role is not Role.LOADER or method not in LOADER_FIELDS:
        return
    for name in fields:
        if name == "parameters" and not caller.parameters:
            raise _denied(caller, "this socket may give modules no parameters")
        if name not in LOADER_FIELDS[method]:
            raise _denied(caller, f"the field {name} of a request takes the role {Role.ADMIN}")


def check_target(caller: Caller, module: str) -> None:
    """Raise AccessError where ``caller`` may not load or unload ``module`` for its own sake."""
    if caller.role is Role.ADMIN:
        return
    if not _patterns(caller.allow).select(module):
        raise _denied(caller, f"{module} is not among the modules it may have", module)
    check_needed(caller, module)


def check_needed(caller: Caller, module: str) -> None:
    """Raise AccessError where ``caller`` may not have ``module`` even where another needs it."""
    if caller.role is not Role.ADMIN and _patterns(caller.deny).select(module):
        raise _denied(caller, f"{module} is among the modules it may not have", module)


def sees_kernel_memory(caller: Caller) -> bool:
    """Tell whether ``caller`` is shown the addresses that modules are at (kptr_restrict)."""
    return caller.role is Role.ADMIN


def sees_private_values(caller: Caller) -> bool:
    """Tell whether ``caller`` is shown parameters whose files not everybody may read."""
    return caller.role is Role.ADMIN


def sees_callers(caller: Caller) -> bool:
    """Tell whether ``caller`` is shown by which sockets others call, and what they were denied."""
    return caller.role is Role.ADMIN


def sees_output(caller: Caller) -> bool:
    """Tell whether ``caller`` is shown what the commands of modprobe.d write."""
    return caller.role is Role.ADMIN


def sees_log(caller: Caller, *, on_linux: bool) -> bool:
    """Tell whether ``caller`` is shown lines of the kernel's log."""
    return caller.role is Role.ADMIN or not on_linux


@lru_cache(maxsize=1024)
def _patterns(patterns: tuple[str, ...]) -> PatternTable[None]:
    """Return the patterns as they match, dashes and underscores being the same."""
    return PatternTable((normalise_alias(pattern), None) for pattern in patterns)


def _denied(caller: Caller, why: str, module: str = "") -> AccessError:
    message = f"refused to the {caller.role} socket {caller.socket}: {why}"
    log.warning("%s", message)
    return AccessError(Reason.ACCESS_DENIED, message, module=module, detail=why)
