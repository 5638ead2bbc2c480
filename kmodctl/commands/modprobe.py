# SPDX-License-Identifier: Apache-2.0
"""modprobe: load or unload modules by name or alias, with what they need

Loads a module after the modules that it depends on; with -r unloads it, and then those that
nothing uses any more.
"""

import argparse
import errno
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from kmodctl.errors import CallError
from kmodctl.output import Output, strerror

if TYPE_CHECKING:
    from kmodctl.client import Client
    from kmodd.v1 import errors_pb2, module_service_pb2


def configure(parser: argparse.ArgumentParser) -> None:
    """Add modprobe's arguments."""
    add = parser.add_argument
    add("-a", "--all", action="store_true", help="every argument is a module's name")
    add("-r", "--remove", action="store_true", help="unload instead of loading")
    add("--remove-holders", action="store_true", help="unload the modules' users, too (with -r)")
    add("--first-time", action="store_true", help="fail when there is nothing to do")
    add(
        "-i",
        "--ignore-install",
        "--ignore-remove",
        dest="ignore_commands",
        action="store_true",
        help="do not use the named module's install or remove command",
    )
    add("-b", "--use-blacklist", action="store_true", help="apply the blacklist to names, too")
    add("-f", "--force", action="store_true", help="--force-vermagic and --force-modversion")
    add("--force-vermagic", action="store_true", help="load despite another version magic")
    add("--force-modversion", action="store_true", help="load despite other symbol versions")
    add("-D", "--show-depends", action="store_true", help="print the whole plan and do nothing")
    add("-n", "--dry-run", "--show", action="store_true", help="print what would be done")
    add("-q", "--quiet", action="store_true", help="print no messages")
    add("-v", "--verbose", action="store_true", help="print what is done")
    add("module", metavar="MODULE", nargs="?", help="a module's name, or an alias")
    add("rest", metavar="PARAM=VALUE", nargs="*", help="the module's parameters")


def run(options: argparse.Namespace, client: "Client", output: Output) -> int:
    """Load or unload; the status is that of the last name that failed."""
    output.quiet = options.quiet
    if options.module is None:
        output.error("missing parameters. See -h.")
        return 1
    remove = options.remove or options.remove_holders
    if options.all or remove:
        names, parameters = [options.module, *options.rest], ""
    else:
        names, parameters = [options.module], " ".join(map(_quoted, options.rest))
    call = _unloading(options, client) if remove else _loading(options, client, parameters)
    statuses = [_one(name, call, options, output) for name in names]
    return next((status for status in reversed(statuses) if status), 0)


Call = Callable[[str], "module_service_pb2.ModuleResult"]


def _loading(options: argparse.Namespace, client: "Client", parameters: str) -> Call:
    def load(name: str) -> "module_service_pb2.ModuleResult":
        return client.load(
            name,
            parameters=parameters,
            dry_run=options.dry_run or options.show_depends,
            first_time=options.first_time,
            ignore_loaded=options.show_depends,
            use_blacklist=options.use_blacklist,
            ignore_install_commands=options.ignore_commands,
            ignore_vermagic=options.force or options.force_vermagic,
            ignore_modversions=options.force or options.force_modversion,
        )[0]

    return load


def _unloading(options: argparse.Namespace, client: "Client") -> Call:
    def unload(name: str) -> "module_service_pb2.ModuleResult":
        return client.unload(
            name,
            dry_run=options.dry_run or options.show_depends,
            first_time=options.first_time,
            remove_holders=options.remove_holders,
            use_blacklist=options.use_blacklist,
            ignore_remove_commands=options.ignore_commands,
        )[0]

    return unload


def _one(name: str, call: Call, options: argparse.Namespace, output: Output) -> int:
    """Carry out the call for one name and tell about it; returns the exit status."""
    shown = options.verbose or options.dry_run or options.show_depends
    try:
        result = call(name)
    except CallError as error:
        if shown:
            _print_steps(error.steps, options, output)
        _complain(name, error, options, output)
        return 1
    if output.json:
        output.message(result)
    elif shown:
        _print_steps(result.steps, options, output)
    return 0


def _print_steps(
    steps: "Iterable[errors_pb2.Step]", options: argparse.Namespace, output: Output
) -> None:
    """Print the steps as modprobe -v does; -D those that are needless, too."""
    from kmodd.v1 import errors_pb2

    for step in steps:
        if step.needless and not options.show_depends:
            continue
        match step.kind:
            case errors_pb2.STEP_KIND_INSERT:
                output.data(f"insmod {step.path} {step.parameters}")
            case errors_pb2.STEP_KIND_REMOVE:
                output.data(f"rmmod {step.module}")
            case errors_pb2.STEP_KIND_COMMAND:
                kind = "remove" if options.remove or options.remove_holders else "install"
                command = step.command.replace("$CMDLINE_OPTS", step.parameters)
                output.data(f"{kind} {command}")
            case errors_pb2.STEP_KIND_BUILTIN if options.show_depends:
                output.data(f"builtin {step.module}")


def _complain(name: str, error: CallError, options: argparse.Namespace, output: Output) -> None:
    if options.remove or options.remove_holders:
        _complain_of_unload(name, error, output)
    else:
        _complain_of_load(name, error, output)
    if options.verbose:
        output.kernel_log(error)


def _complain_of_load(name: str, error: CallError, output: Output) -> None:
    target = error.target or name.replace("-", "_")
    match error.reason:
        case "MODULE_NOT_FOUND":
            output.fatal(f"Module {name} not found in directory {error.detail}")
        case "INVALID_NAME":
            output.fatal(f"Module {name} not found: {error.message}")
        case "TREE_NOT_FOUND":
            output.fatal(f"Module {name} not found in directory {error.detail}")
        case "MODULE_ALREADY_LOADED":
            output.error(f"could not insert '{target}': Module already in kernel")
        case "COMMAND_REFUSED":
            output.error(f"could not insert '{target}': {error.message}: {error.detail}")
        case _ if error.errno == errno.ENOENT:
            output.error(
                f"could not insert '{target}': "
                "Unknown symbol in module, or unknown parameter (see dmesg)"
            )
        case _:
            output.error(f"could not insert '{target}': {_cause(error)}")


def _complain_of_unload(name: str, error: CallError, output: Output) -> None:
    module = error.module or name
    match error.reason:
        case "MODULE_NOT_FOUND" | "INVALID_NAME" | "TREE_NOT_FOUND":
            output.fatal(f"Module {name} not found.")
        case "MODULE_NOT_LOADED":
            output.fatal(f"Module {module} is not in kernel.")
        case "MODULE_BUILTIN":
            output.fatal(f"Module {module} is builtin.")
        case "MODULE_IN_USE":
            output.fatal(f"Module {module} is in use.")
        case "COMMAND_REFUSED":
            output.error(f"could not remove '{module}': {error.message}: {error.detail}")
        case _:
            output.error(f"could not remove '{module}': {_cause(error)}")


def _cause(error: CallError) -> str:
    return strerror(error.errno) if error.errno else error.message


def _quoted(parameter: str) -> str:
    """Keep a value with spaces in one piece, as the kernel reads parameters."""
    name, equals, value = parameter.partition("=")
    if not equals or " " not in value or '"' in value:
        return parameter
    return f'{name}="{value}"'
