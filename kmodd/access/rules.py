# SPDX-License-Identifier: Apache-2.0
"""The rules by which a caller is let in and is shown things: by its role, and by its lists.

Which role a method takes, and which fields a loader may set, is the API's own word (policy.py).
"""

import logging
import re
from collections.abc import Iterable
from functools import lru_cache

from google.protobuf.message import Message

from kmodd.access.caller import Caller, Role
from kmodd.access.policy import policy_of, set_fields
from kmodd.errors import AccessError, Reason
from kmodd.globs import PatternTable
from kmodd.log_kinds import LogKind, told
from kmodd.names import normalise_alias

OWN_COMMAND_FIELDS = {"ignore_install_commands": "install", "ignore_remove_commands": "remove"}
"""The fields by which a command gets at its own module, by the event that the command is for."""

_REJECTED = re.compile(r"`(?:.*' ((?:invalid|too large) for parameter `)|.*\Z)", re.DOTALL)

log = logging.getLogger(__name__)


def check_method(caller: Caller, method: str, *, is_real: bool) -> None:
    """Raise AccessError where ``caller`` may not call ``method`` ("/package.Service/Method").

    ``is_real`` tells whether the daemon serves a real kernel.
    """
    if not may_call(caller, method, is_real=is_real):
        what = method.rpartition("/")[2]
        raise _denied(caller, f"{what} takes the role {_least_role(method, is_real=is_real)}")


def may_call(caller: Caller, method: str, *, is_real: bool) -> bool:
    """Tell whether ``check_method`` passes; nothing is logged."""
    if caller.role is Role.ADMIN:
        return True
    return caller.role.has(_least_role(method, is_real=is_real))


def _least_role(method: str, *, is_real: bool) -> Role:
    policy = policy_of(method)
    return policy.role_on_real_kernel if is_real else policy.role


def check_fields(
    caller: Caller, method: str, request: Message, granted: Iterable[str] = ()
) -> None:
    """Raise AccessError where a loader's request to ``method`` sets a field in vain.

    ``granted`` are the names of fields that this request may set all the same.
    """
    if caller.role is not Role.LOADER or not policy_of(method).bounds_fields:
        return
    granted = frozenset(granted)
    for name, allowed in set_fields(request):
        if name in granted:
            continue
        if name == "parameters" and not caller.parameters:
            raise _denied(caller, "modules may be given no parameters here")
        if not allowed:
            raise _denied(caller, f"the field {name} of a request takes the role {Role.ADMIN}")


def check_parameters(caller: Caller, arguments: Iterable[str]) -> None:
    """Raise AccessError where a loader gives an argument that a program may take for an option.

    No parameter's name begins with a dash, but a command of modprobe.d may hand it on.
    """
    if caller.role is Role.ADMIN:
        return
    for argument in arguments:
        if argument.lstrip('"').startswith("-"):
            raise _denied(caller, f"{argument[:64]!r} is no parameter of a module")


def check_target(caller: Caller, module: str) -> None:
    """Raise AccessError where ``caller`` may not load or unload ``module`` for its own sake."""
    if caller.role is Role.ADMIN:
        return
    if not _patterns(caller.allow).select(module):
        raise _denied(caller, f"{module} is not among the modules it may have", module)
    check_needed(caller, module)


def may_have(caller: Caller, module: str) -> bool:
    """Tell whether ``check_target`` passes; nothing is logged."""
    if caller.role is Role.ADMIN:
        return True
    allowed, denied = _patterns(caller.allow), _patterns(caller.deny)
    return bool(allowed.select(module)) and not denied.select(module)


def check_unasked(caller: Caller, module: str, *, by_admin: bool) -> None:
    """Raise AccessError where ``module`` is in the kernel since an admin has asked for it."""
    if by_admin and caller.role is not Role.ADMIN:
        raise _denied(caller, f"an admin has asked for {module}, which stays", module)


def check_needed(caller: Caller, module: str) -> None:
    """Raise AccessError where ``caller`` may not have ``module`` even where another needs it."""
    if caller.role is not Role.ADMIN and _patterns(caller.deny).select(module):
        raise _denied(caller, f"{module} is among the modules it may not have", module)


def check_source(caller: Caller, source: str) -> None:
    """Raise AccessError where ``caller`` may not say what the ``source`` of wishes wishes.

    A steward has the source of its name, and those that are called by that, a dot, and more.
    """
    if caller.role is not Role.ADMIN and source.partition(".")[0] != caller.source:
        raise _denied(caller, f"it may apply {caller.source} and {caller.source}.*, not {source}")


def check_wished_parameters(caller: Caller, parameters: Iterable[str]) -> None:
    """Raise AccessError where ``caller`` may not wish for ``parameters``, each "name=value"."""
    parameters = tuple(parameters)
    if parameters and caller.role is not Role.ADMIN and not caller.parameters:
        raise _denied(caller, "modules may be given no parameters here")
    check_parameters(caller, parameters)


def sees_kernel_memory(caller: Caller) -> bool:
    """Tell whether ``caller`` is shown the addresses that modules are at (kptr_restrict)."""
    return caller.role is Role.ADMIN


def sees_private_values(caller: Caller) -> bool:
    """Tell whether ``caller`` is shown parameters whose files not everybody may read."""
    return caller.role is Role.ADMIN


def without_value(line: str) -> str:
    """Return a line of a kernel's about a parameter without the value that it has rejected.

    The kernel quotes it between ` and ' (kernel/params.c); a line may be cut short within it.
    """
    return _REJECTED.sub(lambda found: f"a value {found[1] or 'that is not told'}", line, count=1)


def sees_callers(caller: Caller) -> bool:
    """Tell whether ``caller`` is shown by which sockets others call, and what they were denied."""
    return caller.role is Role.ADMIN


def sees_output(caller: Caller) -> bool:
    """Tell whether ``caller`` is shown what the commands of modprobe.d write."""
    return caller.role is Role.ADMIN


def sees_log(caller: Caller, *, is_private: bool) -> bool:
    """Tell whether ``caller`` is shown lines of the kernel's log."""
    return caller.role is Role.ADMIN or not is_private


@lru_cache(maxsize=1024)
def _patterns(patterns: tuple[str, ...]) -> PatternTable[None]:
    """Return the patterns as they match, dashes and underscores being the same."""
    return PatternTable((normalise_alias(pattern), None) for pattern in patterns)


def _denied(caller: Caller, why: str, module: str = "") -> AccessError:
    whom = f"the {caller.role} socket {caller.socket}"
    if caller.role is Role.NONE:
        whom = f"who has no role at the socket {caller.socket}"
    message = f"refused to {whom}: {why}"
    who = f" ({caller.peer})" if caller.peer else ""
    uid = caller.peer.uid if caller.peer else ""
    about = told(LogKind.CALL_DENIED, module=module, socket=caller.socket, uid=uid)
    about |= {"identity": caller.identity, "said": message}
    log.warning("%s%s", message, who, extra=about)
    return AccessError(Reason.ACCESS_DENIED, message, module=module, detail=why)
