# SPDX-License-Identifier: Apache-2.0
"""The kernel command line, as far as the module loader minds it (kernel-parameters.txt)."""

from kmodd.kernel.emulated.modules.params import split_arguments
from kmodd.records import record

MAX_LENGTH = 4096
"""Characters that are looked at; the kernel's own limit on most machines is 2 KiB."""

_TRUE = frozenset("yY1tT")


@record
class BootCommandLine:
    """``blacklist`` are the names of ``module_blacklist=``; the others are switches."""

    text: str = ""
    blacklist: frozenset[str] = frozenset()
    signatures_enforced: bool = False
    modules_disabled: bool = False


def parse_command_line(text: str) -> BootCommandLine:
    """Return what a kernel command line says to the module loader; never raises.

    Known are ``module_blacklist=A,B`` (the last one counts, and names are taken as written),
    ``module.sig_enforce`` and ``sysctl.kernel.modules_disabled=1``.
    """
    blacklist: frozenset[str] = frozenset()
    enforced = disabled = False
    for name, value, _ in split_arguments(text[:MAX_LENGTH]):
        match name.replace("-", "_"):
            case "module_blacklist":
                blacklist = frozenset(filter(None, (value or "").split(",")))
            case "module.sig_enforce":
                # It can be switched on, never off again (param_set_bool_enable_only).
                enforced |= value is None or value[:1] in _TRUE or value[:2].lower() == "on"
            case "sysctl.kernel.modules_disabled" | "sysctl/kernel/modules_disabled":
                disabled |= value == "1"
    return BootCommandLine(text, blacklist, enforced, disabled)
