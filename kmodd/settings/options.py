# SPDX-License-Identifier: Apache-2.0
"""The options of a daemon's command line, as argparse takes them.

What an option sets is the setting of its ``dest``.
"""

import argparse
from collections.abc import Callable
from pathlib import Path

from kmodd.kernel.opening import KERNELS
from kmodd.settings.values import (
    VM_MEMORY,
    VM_PROCESSORS,
    Limits,
    Settings,
    check_command_line,
)


def add_kernel(parser: argparse.ArgumentParser) -> None:
    """Add the options that say which kernel is meant, and how it is."""
    parser.add_argument(
        "--kernel",
        choices=tuple(KERNELS),
        help="the kernel that modules are loaded into: one of kmodd's own, the root's in a virtual "
        "machine, or the one that this machine runs (default: emulated)",
    )
    parser.add_argument(
        "--root",
        metavar="DIR",
        type=_directory,
        help="a system root: module trees are in DIR/lib/modules, configuration in "
        "DIR/etc/modprobe.d and its kin (default: /)",
    )
    parser.add_argument(
        "--release",
        metavar="VERSION",
        help="the kernel's release (default: the newest in DIR/lib/modules, on linux the running "
        "one's)",
    )
    parser.add_argument(
        "--kernel-command-line",
        metavar="TEXT",
        type=_command_line,
        help="what an emulated kernel, or one in a virtual machine, is booted with: "
        "module_blacklist=, module.sig_enforce, MODULE.PARAMETER=VALUE, modprobe.blacklist=",
    )
    parser.add_argument(
        "--no-code",
        dest="run_code",
        action="store_const",
        const=False,
        help="have the emulated kernel load modules without running their own code",
    )
    _add_machine(parser)


def _add_machine(parser: argparse.ArgumentParser) -> None:
    """Add the options that say what a virtual machine is like."""
    parser.add_argument(
        "--kernel-image",
        metavar="FILE",
        type=_file,
        help="the image of the kernel in the virtual machine (default: DIR/boot/vmlinuz-VERSION, "
        "or vmlinuz beside the modules)",
    )
    parser.add_argument(
        "--vm-accel",
        choices=("auto", "kvm", "tcg"),
        help="who runs the virtual machine's code: the processor, or QEMU, which emulates one "
        "(default: auto, the processor where a guest answers within 3 s)",
    )
    parser.add_argument(
        "--vm-memory",
        metavar="MIB",
        type=_number_of(VM_MEMORY),
        help=f"its memory (default: {Settings().vm_memory})",
    )
    parser.add_argument(
        "--vm-processors",
        metavar="COUNT",
        type=_number_of(VM_PROCESSORS),
        help="its processors (default: as many as kmodd may use, 8 at most)",
    )


def add_upkeep(parser: argparse.ArgumentParser) -> None:
    """Add the options of a daemon that stays."""
    parser.add_argument(
        "--state",
        metavar="DIR",
        type=Path,
        help="where to keep what was read of trees and kernels' images, for a quicker next start "
        "(default: /var/lib/kmodd for root, "
        "~/.local/state/kmodd for a user)",
    )
    parser.add_argument(
        "--no-watch",
        dest="watch",
        action="store_const",
        const=False,
        help="rebuild databases only when asked to",
    )
    parser.add_argument(
        "--front",
        metavar="PATH",
        type=Path,
        help="the socket of kmodd-public.service, which reads what others than admins send "
        "(default: none, and kmodd starts a process for that itself)",
    )


def add_policy(parser: argparse.ArgumentParser) -> None:
    """Add the options that say how modules are loaded."""
    parser.add_argument(
        "--modprobe-config",
        metavar="PATH",
        type=Path,
        action="append",
        help="a directory or file to read in place of DIR's modprobe.d; may be given again",
    )
    parser.add_argument(
        "--allow-commands",
        dest="run_commands",
        action="store_const",
        const=True,
        help="run the install and remove commands of modprobe.d",
    )
    parser.add_argument(
        "--command-time",
        metavar="SECONDS",
        type=float,
        help=f"how long such a command may take (default: {Limits().command:g})",
    )
    parser.add_argument(
        "--deny",
        metavar="PATTERN[=REASON]",
        type=_denial,
        action="append",
        default=[],
        help="never load modules of these names, nor what needs them; may be given again",
    )
    parser.add_argument(
        "--kmod-exact",
        action="store_const",
        const=True,
        help="do as kmod does, without what is better here",
    )


def _denial(text: str) -> tuple[str, str]:
    pattern, _, reason = text.partition("=")
    return pattern, reason


def _command_line(text: str) -> str:
    try:
        return check_command_line(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _number_of(bounds: range) -> Callable[[str], int]:
    def number(text: str) -> int:
        if not text.isdecimal() or int(text) not in bounds:
            why = f"{text} is no number from {bounds[0]} to {bounds[-1]}"
            raise argparse.ArgumentTypeError(why)
        return int(text)

    return number


def _file(text: str) -> Path:
    path = Path(text).absolute()
    if not path.is_file():
        raise argparse.ArgumentTypeError(f"{text} is not a file")
    return path


def _directory(text: str) -> Path:
    path = Path(text).absolute()
    if not path.is_dir():
        raise argparse.ArgumentTypeError(f"{text} is not a directory")
    return path
