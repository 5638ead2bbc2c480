# SPDX-License-Identifier: Apache-2.0
"""What an errno of the module system calls means, with the log lines that came with it.

The errno alone is ambiguous: ENOENT is an unknown symbol or what the module's own init returned.
The kernel's log tells which (kernel/module/main.c, kernel/params.c); where it cannot be read, the
likelier meaning is given.
"""

import errno
import os
import re
from collections.abc import Iterable

from kmodd.errors import KernelError, Reason

DECODER_COMPLAINTS = ("ZSTD-", "compressed module", "decompress")
"""What the lines hold that the kernel's own decoders log (kernel/module/decompress.c)."""

_NAMELESS = (
    *DECODER_COMPLAINTS,
    "BUG: ",
    "Exactly one .gnu.linkonce.this_module",
    "Invalid ELF",
    "Invalid architecture",
    "Loading of ",
    "Lockdown:",
    "PKCS#7",
    "module: ",
)
"""How lines begin, or what they hold, that concern a load and cannot name the module."""

_UNKNOWN_SYMBOL = re.compile(r"Unknown symbol (\S+) \(err (-\d+)\)")
_VERSION = re.compile(r"disagrees about version of symbol (\S+)")
_NAMESPACE = re.compile(r"uses symbol \(?(\S+?)\)? from namespace")
_PARAMETER = re.compile(r"(?:invalid|too large) for parameter `([^']+)'|too large for parameter")

_BY_ERRNO = {
    errno.EEXIST: (Reason.MODULE_ALREADY_LOADED, "module {name} is loaded already"),
    errno.EBUSY: (Reason.MODULE_BUSY, "module {name} is being loaded or unloaded"),
    errno.ENOENT: (Reason.UNKNOWN_SYMBOL, "module {name} uses an unknown symbol"),
    errno.ENOEXEC: (Reason.INVALID_MODULE_FORMAT, "module {name} is not for this kernel"),
    errno.EPERM: (Reason.KERNEL_REFUSED, "the kernel does not let us load modules"),
    errno.ENOSYS: (Reason.KERNEL_REFUSED, "the kernel is built without modules"),
    errno.EKEYREJECTED: (Reason.KERNEL_REFUSED, "the kernel rejects the signature of {name}"),
    errno.EBADMSG: (Reason.KERNEL_REFUSED, "the signature of {name} is damaged"),
}


def lines_about(name: str, lines: Iterable[str]) -> tuple[str, ...]:
    """Return those of ``lines`` that name the module, or that no module's name could be in.

    Best effort: other loads log at the same time, and the kernel does not say for whom.
    """
    spelling = re.escape(name).replace("_", "[-_]") or "(?!)"
    naming = re.compile(rf"(?<![\w-]){spelling}(?![\w-])")
    return tuple(
        line
        for line in lines
        if naming.search(line) or any(phrase in line[:60] for phrase in _NAMELESS)
    )


def load_failure(
    code: int, name: str, lines: Iterable[str] | None, *, why: str = ""
) -> KernelError:
    """Return the failure of a load that ended with errno ``code``.

    ``lines`` are what the kernel logged meanwhile, None where that cannot be known. ``why`` is
    what is known of a refusal (EPERM).
    """
    about = lines_about(name, lines or ())
    reason, message, symbol = _from_log(code, about)
    if reason is None:
        reason, message = _from_errno(code, name or "in this file", silent=lines is not None)
    if why and code == errno.EPERM:
        message = f"{message}: {why}"
    return KernelError(reason, message, errno=code, module=name, symbol=symbol, log=about)


def unload_failure(code: int, name: str, holders: Iterable[str], *, why: str = "") -> KernelError:
    """Return the failure of an unload that ended with errno ``code``."""
    users = " ".join(holders)
    match code:
        case errno.ENOENT:
            reason, message = Reason.MODULE_NOT_LOADED, f"module {name} is not loaded"
        case errno.EAGAIN:
            by = f" by {users}" if users else ""
            reason, message = Reason.MODULE_IN_USE, f"module {name} is in use{by}"
        case errno.EBUSY:
            reason = Reason.MODULE_BUSY
            message = f"module {name} is permanent, or being loaded or unloaded"
        case errno.EPERM:
            reason, message = Reason.KERNEL_REFUSED, "the kernel does not let us unload modules"
            message = f"{message}: {why}" if why else message
        case errno.ENOSYS:
            reason, message = Reason.KERNEL_REFUSED, "the kernel cannot unload modules"
        case _:
            reason, message = Reason.KERNEL_REFUSED, f"module {name}: {os.strerror(code)}"
    return KernelError(reason, message, errno=code, module=name, detail=users)


def closed_parameter(code: int, module: str, name: str, *, loaded: bool) -> KernelError:
    """Return the failure to open the file of a parameter with errno ``code``."""
    match code:
        case _ if not loaded:
            reason, message = Reason.MODULE_NOT_LOADED, f"module {module} is not loaded"
            code = errno.ENOENT
        case errno.ENOENT | errno.ENOTDIR | errno.ELOOP | errno.ENAMETOOLONG:
            reason, message = (
                Reason.PARAMETER_NOT_FOUND,
                f"module {module} shows no parameter {name}",
            )
        case _:
            reason = Reason.KERNEL_REFUSED
            message = f"parameter {name} of {module} cannot be set: {os.strerror(code)}"
    return KernelError(reason, message, errno=code, module=module, detail=name)


def parameter_failure(
    code: int, module: str, name: str, value: str, lines: Iterable[str] | None
) -> KernelError:
    """Return the failure to write ``value`` to a parameter with errno ``code``.

    ``lines`` are what the kernel logged meanwhile; a setter names the parameter in them.
    """
    unfit = code in (errno.EINVAL, errno.ERANGE, errno.ENOSPC, errno.E2BIG)
    reason = Reason.INVALID_PARAMETER if unfit else Reason.KERNEL_REFUSED
    message = f"`{value}' invalid for parameter `{name}' of {module}"
    if not unfit:
        message = f"parameter {name} of {module} cannot be set: {os.strerror(code)}"
    about = {*lines_about(module, lines or ()), *lines_about(name, lines or ())}
    log = tuple(line for line in lines or () if line in about)
    return KernelError(reason, message, errno=code, module=module, detail=name, log=log)


def _from_log(code: int, lines: Iterable[str]) -> tuple[Reason | None, str, str]:
    """The reason, the line that says so, and the symbol that it names."""
    text = tuple(lines)
    for reason, pattern in (
        (Reason.SYMBOL_VERSION_MISMATCH, _VERSION),
        (Reason.UNKNOWN_SYMBOL, _NAMESPACE),
        (Reason.UNKNOWN_SYMBOL, _UNKNOWN_SYMBOL),
        (Reason.INVALID_PARAMETER, _PARAMETER),
    ):
        for line in text:
            found = pattern.search(line)
            if found is not None and code in _CODES[reason]:
                symbol = "" if reason is Reason.INVALID_PARAMETER else found[1]
                return reason, line, symbol
    if code in (errno.ENOEXEC, errno.EKEYREJECTED, errno.EPERM) and text:
        reason = _BY_ERRNO[code][0]
        return reason, text[-1], ""
    return None, "", ""


def _from_errno(code: int, name: str, *, silent: bool) -> tuple[Reason, str]:
    """The likeliest meaning; ``silent`` where the kernel would have logged an unknown symbol."""
    if code in _BY_ERRNO and not (code == errno.ENOENT and silent):
        reason, message = _BY_ERRNO[code]
        return reason, message.format(name=name)
    return Reason.KERNEL_REFUSED, f"module {name}: {os.strerror(code)}"


_CODES = {
    Reason.SYMBOL_VERSION_MISMATCH: (errno.EINVAL, errno.ENOEXEC),
    Reason.UNKNOWN_SYMBOL: (errno.ENOENT, errno.EINVAL, errno.EBUSY),
    Reason.INVALID_PARAMETER: (errno.EINVAL, errno.ERANGE, errno.ENOSPC, errno.ENOENT),
}
"""The errnos that each reason comes with: a line of another load must not explain this one."""
