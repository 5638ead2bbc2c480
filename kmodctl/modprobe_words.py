# SPDX-License-Identifier: Apache-2.0
"""modprobe's words: the lines that show what is done, and those that say what went wrong."""

import errno
import os

from kmodctl.output import Output

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from kmodd.messages.errors import Failure, Step
    from kmodd.messages.module_service import IgnoredParameter

OPTIONS_VARIABLE = "$CMDLINE_OPTS"
"""What a command of modprobe.d says for the parameters."""

ABSENT = frozenset({"MODULE_NOT_FOUND", "INVALID_NAME", "TREE_NOT_FOUND"})
"""The reasons for which a name stands for nothing."""


def step_line(step: "Step", *, removing: bool) -> str:
    """Return the line that ``modprobe -v`` prints for a step, "" for one that it does not show."""
    from kmodd.messages import errors

    match step.kind:
        case errors.STEP_KIND_INSERT:
            return f"insmod {step.path} {_options(step)}"
        case errors.STEP_KIND_REMOVE:
            return f"rmmod {step.module}"
        case errors.STEP_KIND_COMMAND if removing:
            return f"remove {_pasted(step)}"
        case errors.STEP_KIND_COMMAND:
            return f"install {step.command} {_options(step)}"
        case errors.STEP_KIND_BUILTIN:
            return f"builtin {step.module}"
        case _:
            return ""


def _options(step: "Step") -> str:
    """Return a step's parameters with the blank that kmod leaves behind the configuration's."""
    configured = step.configured_parameters
    return step.parameters + " " * bool(configured and step.parameters == configured)


def _pasted(step: "Step") -> str:
    """Return the command as kmod would run it, with the parameters pasted in."""
    return step.command.replace(OPTIONS_VARIABLE, step.parameters)


class Complaints:
    """Says why a name could not be loaded or unloaded.

    kmod calls some of that FATAL and ends there, unless every argument is a name (-a), where it
    is a WARNING and the next name's turn.
    """

    def __init__(
        self, output: Output, *, every: bool, verbose: bool, wait: bool, exact: bool
    ) -> None:
        self._output = output
        self._exact = exact
        self._every = every
        self._verbose = verbose
        self._wait = wait
        self.ended = False

    def of_load(self, name: str, failure: "Failure", steps: "Iterable[Step]") -> None:
        """Say why ``name`` could not be loaded."""
        from kmodctl.failures import reason_of

        target = failure.target or name.replace("-", "_")
        if reason_of(failure) in ABSENT and not failure.target:
            where = f" in directory {failure.detail}" if failure.detail else "."
            self._log(f"Module {name} not found{where}")
        else:
            for line in _load_words(target, failure, steps):
                self._output.error(line)
        self._kernel_log(failure)

    def of_unload(self, name: str, failure: "Failure") -> None:
        """Say why ``name`` could not be unloaded."""
        from kmodctl.failures import cause_of, reason_of

        module = failure.module or name
        match reason_of(failure):
            case "INVALID_NAME" if name and self._exact:
                pass
            case reason if reason in ABSENT:
                self._log(f"Module {name} not found.")
            case "MODULE_NOT_LOADED":
                self._log(f"Module {module} is not in kernel.")
            case "MODULE_BUILTIN":
                self._log(f"Module {module} is builtin.")
            case "MODULE_IN_USE" if not self._wait:
                self._log(f"Module {module} is in use.")
            case "MODULE_HELD":
                self._log(f"Module {module} is in use by: {failure.detail}")
            case "COMMAND_FAILED":
                self._log(f"Error running remove command for {module}")
            case reason if reason.startswith("COMMAND_"):
                self._log(f"{failure.message}: {failure.detail}")
            case _:
                self._output.error(f"could not remove '{module}': {cause_of(failure)}")
        self._kernel_log(failure)

    def of_parameters(self, module: str, ignored: "Iterable[IgnoredParameter]") -> None:
        """Say which parameters came too late, and what is in force instead."""
        words = ", ".join(map(_ignored, ignored))
        self._output.warning(f"{module} is in the kernel already, ignored: {words}")

    def _log(self, line: str) -> None:
        if self._every:
            self._output.warning(line)
            return
        self._output.fatal(line)
        self.ended = not self._output.quiet

    def _kernel_log(self, failure: "Failure") -> None:
        if self._verbose:
            self._output.kernel_log(failure.log_lines)


def _ignored(parameter: "IgnoredParameter") -> str:
    if parameter.in_force is None:
        return parameter.given
    name = parameter.given.partition("=")[0]
    return f"{parameter.given} (in force: {name}={parameter.in_force})"


def _load_words(target: str, failure: "Failure", steps: "Iterable[Step]") -> "Iterator[str]":
    """Yield what is wrong with a module that was found."""
    from kmodctl.failures import cause_of, reason_of

    words = f"could not insert '{target}': "
    match reason_of(failure):
        case "MODULE_NOT_FOUND":
            yield f"could not find module by name='{target}'"
            yield words + "Unknown symbol in module, or unknown parameter (see dmesg)"
        case "MODULE_ALREADY_LOADED":
            yield words + "Module already in kernel"
        case "COMMAND_FAILED":
            failed = [step for step in steps if step.command and not step.done]
            for step in failed[-1:]:
                yield (
                    f"Error running install command '{_pasted(step)}' for module {step.module}: "
                    f"retcode {step.exit_status}"
                )
            yield words + os.strerror(errno.EINVAL)
        case reason if reason.startswith("COMMAND_"):
            yield f"{words}{failure.message}: {failure.detail}"
        case _ if failure.errno_value == errno.ENOENT:
            yield words + "Unknown symbol in module, or unknown parameter (see dmesg)"
        case _:
            yield words + cause_of(failure)
