# SPDX-License-Identifier: Apache-2.0
"""rmmod: unload modules, and nothing that they needed

Goes on with the next module when one cannot be unloaded.
"""

import os

from kmodctl.errors import CallError
from kmodctl.output import Output
from kmodctl.parser import CommandOptions, Parser, add_wait

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from kmodctl.api import Api


def configure(parser: Parser) -> None:
    """Add rmmod's arguments."""
    add = parser.add_argument
    add("-f", "--force", action="store_true", help="unload even what is in use; dangerous")
    add("-s", "--syslog", action="store_true", help="send messages to syslog, not to stderr")
    add("-v", "--verbose", action="store_true", help="say what the kernel logs")
    add_wait(parser.extensions, "each module that is in use")
    add("modules", metavar="MODULE", nargs="*", help="a module's name or file")


def check(options: CommandOptions, output: Output) -> bool:
    """Ask for a module."""
    if not options.modules:
        output.error("missing module name.")
    return bool(options.modules)


def run(options: CommandOptions, api: "Api", output: Output) -> int:
    """Unload each module."""
    done, status = [], 0
    for name in options.modules:
        is_file = os.path.exists(name)
        module = (os.path.basename(name) if is_file else name).partition(".")[0].replace("-", "_")
        error = _remove(module if is_file else name, name, module, options, api, output)
        if error is not None:
            status = 1
        if output.json:
            done.append(output.failed(error, module=module) if error else {"module": module})
    if output.json:
        output.document(done)
    return status


def _remove(
    asked: str, name: str, module: str, options: CommandOptions, api: "Api", output: Output
) -> CallError | None:
    """Unload what is ``asked`` for, and return why it cannot be.

    ``name`` is as it was given, ``module`` what messages call it.
    """
    from kmodd.messages.module_service import RemoveModuleRequest
    from kmodd.messages.well_known import Duration

    seconds, rest = divmod(options.wait_msec, 1000)
    request = RemoveModuleRequest(
        name=asked,
        force=options.force,
        wait=Duration(seconds=seconds, nanos=rest * 1_000_000),
    )
    try:
        output.leaks(module, api.modules.remove_module(request).leaks)
    except CallError as error:
        for line in _words(name, module, error):
            output.error(line)
        output.leaks(module, error.leaks)
        if options.verbose and not options.kmod_exact:
            output.kernel_log(error.log_lines)
        return error
    return None


def _words(name: str, module: str, error: CallError) -> "Iterator[str]":
    match error.reason:
        case "MODULE_NOT_LOADED" | "INVALID_NAME":
            yield f"Module {module} is not currently loaded"
        case "MODULE_BUILTIN":
            yield f"Module {module} is builtin."
        case "MODULE_IN_USE" | "MODULE_HELD" if error.detail:
            yield f"Module {module} is in use by: {error.detail}"
        case "MODULE_IN_USE":
            yield f"Module {module} is in use"
        case _:
            # libkmod says it once, and the tool once more.
            yield f"could not remove '{module}': {error.cause}"
            yield f"could not remove module {name}: {error.cause}"
