# SPDX-License-Identifier: Apache-2.0
"""reload: take modules out and put them in again as their files are now

Unloads each MODULE, or with --outdated those that 'kmodctl outdated' lists with two builds, what
uses them first; then loads them from their files, what they need first. Parameters that the kernel
shows are given again as they were, the rest is the configuration's; who asked for a module and what
is wished of it stays as it was. A module that is in use, held or has no file stays, and all that it
uses stays with it: that is found out before anything is touched. Where the kernel refuses a file,
the build that was there is loaded if a file in the tree has it still, as where a directory like
'updates' hides it. Each step is printed, and what is not reloaded is told with the reason; the exit
status is 1 then. Commands that modprobe.d has for removing modules are not run.
"""

import sys

from kmodctl.modprobe_words import step_line
from kmodctl.output import Output, shown_name
from kmodctl.parser import CommandOptions, Parser

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kmodctl.api import Api
    from kmodd.messages.module_service import ReloadedModule


def configure(parser: Parser) -> None:
    """Add the arguments of reload."""
    add = parser.add_argument
    add("-n", "--dry-run", action="store_true", help="show what would be done, and do nothing")
    add("--outdated", action="store_true", help="reload what is loaded from another build")
    add(
        "--force-holders",
        action="store_true",
        help="reload what others hold, too; their holds last over it (for administrators)",
    )
    add("modules", metavar="MODULE", nargs="*", help="a loaded module's name")


def check(options: CommandOptions, output: Output) -> bool:
    """Ask for something to reload."""
    if not options.modules and not options.outdated:
        output.error("name a module, or give --outdated")
    return bool(options.modules or options.outdated)


def run(options: CommandOptions, api: "Api", output: Output) -> int:
    """Reload, and print the steps and what is not as it was to be."""
    from kmodd.messages import module_service as pb

    def asked(*, dry_run: bool) -> pb.ReloadModulesRequest:
        return pb.ReloadModulesRequest(
            names=[*options.modules],
            outdated=bool(options.outdated),
            dry_run=dry_run,
            force_holders=bool(options.force_holders),
        )

    request = asked(dry_run=bool(options.dry_run))
    if sys.stderr.isatty() and not options.dry_run:
        from kmodctl.reload_progress import shown_reload

        answer = shown_reload(api, asked(dry_run=True), request)
    else:
        answer = api.modules.reload_modules(request)
    as_wanted = (pb.RELOAD_FATE_PLANNED, pb.RELOAD_FATE_RELOADED, pb.RELOAD_FATE_NEEDLESS)
    status = int(any(each.fate not in as_wanted for each in answer.modules))
    for line in answer.config_problems:
        output.library(line)
    if output.json:
        output.message(answer)
        return status
    for step in answer.steps:
        if step.done or options.dry_run:
            output.data(step_line(step, removing=False).rstrip())
        output.pass_on(step.output, step.error_output)
        output.leaks(step.module, step.leaks)
    for module in answer.modules:
        tell_fate(module, output)
    return status


def tell_fate(module: "ReloadedModule", output: Output) -> None:
    """Say what is not as it was to be."""
    from kmodd.messages.module_service import RELOAD_FATE, RELOAD_FATE_LOST, RELOAD_FATE_PUT_BACK

    for name in module.parameters_left:
        output.warning(f"{module.module}: the parameter {name} is not what it was")
    if module.failure is None:
        if module.note:
            output.warning(f"{module.module}: {module.note}")
        return
    what = {
        RELOAD_FATE_LOST: "is not loaded any more",
        RELOAD_FATE_PUT_BACK: "is the build that it was",
    }.get(module.fate, shown_name(RELOAD_FATE, module.fate))
    output.error(f"{module.module} {what}: {module.failure.message}")
    if module.note:
        output.say(f"{module.module}: {module.note}")
    output.kernel_log(module.failure.log_lines)
