# SPDX-License-Identifier: Apache-2.0
"""What modprobe is asked for: one name and its options."""

from __future__ import annotations

from kmodd.errors import Reason, RequestError
from kmodd.kernel.loaded import InsertFlags
from kmodd.records import record

PARAMETERS_MAX = 64 << 10
"""Bytes of the longest parameters; the kernel takes a page or so, a command's environment more."""


@record(kw_only=True)
class LoadRequest:
    """One name that modprobe is to load (modprobe(8)).

    ``parameters`` are for the named module alone. ``use_blacklist`` (-b) minds the blacklist for a
    module's own name too, not for aliases alone. ``ignore_commands`` (-i) leaves the named module's
    install command aside, and its soft dependencies with it. ``first_time`` fails where the module
    is in the kernel already. ``ignore_loaded`` (-D) plans as if the kernel held nothing.

    ``is_module`` takes the name for a module's own, which is not looked up. ``exact`` is kmod to
    the letter: of several ``softdep`` lines for a module the first counts alone, and a module that
    has any ignores its install command.
    """

    name: str
    parameters: str = ""
    is_module: bool = False
    use_blacklist: bool = False
    ignore_commands: bool = False
    first_time: bool = False
    ignore_loaded: bool = False
    exact: bool = False
    flags: InsertFlags = InsertFlags.NONE


@record(kw_only=True)
class UnloadRequest:
    """One name that ``modprobe -r`` is to unload (modprobe(8)).

    ``ignore_commands`` (-i) leaves all remove commands and soft dependencies aside.
    ``first_time`` fails where the module is not loaded. ``remove_holders`` unloads the modules
    that use the named one first. ``ignore_loaded`` (-D) plans as if the named modules were loaded
    and unused. ``waits`` (-w) plans to unload what is in use, since that may change. ``force`` (-f)
    is for each removal. ``acts`` is for a plan that is carried out: what no module uses may have a
    reference that goes with the code that took it, so that its removal is tried. ``use_blacklist``
    changes nothing, as in modprobe.

    ``exact`` is kmod to the letter: of several ``softdep`` lines for a module the first counts
    alone, and what was only used by something unused stays loaded. A soft dependency that cannot
    be unloaded is told then, and with ``soft_matters`` it ends the removal (without -a).
    """

    name: str
    ignore_commands: bool = False
    first_time: bool = False
    remove_holders: bool = False
    use_blacklist: bool = False
    ignore_loaded: bool = False
    waits: bool = False
    acts: bool = False
    force: bool = False
    exact: bool = False
    soft_matters: bool = False


def check_parameters(text: str) -> None:
    """Raise RequestError (INVALID_PARAMETER) for what cannot be handed to a kernel."""
    if "\0" in text:
        raise RequestError(Reason.INVALID_PARAMETER, "a NUL byte in the parameters")
    if len(text.encode("utf-8", "surrogateescape")) > PARAMETERS_MAX:
        raise RequestError(
            Reason.INVALID_PARAMETER, f"parameters of more than {PARAMETERS_MAX} bytes"
        )
