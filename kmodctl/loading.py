# SPDX-License-Identifier: Apache-2.0
"""modprobe's two actions: a call for each name, and what is printed of what became of it."""

import os
from itertools import groupby

from kmodctl.errors import NoDaemonError
from kmodctl.modprobe_words import Complaints, step_line
from kmodctl.output import Output
from kmodctl.parser import CommandOptions
from kmodctl.quoting import join_parameters
from kmodctl.unrun import tell_unrun

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from kmodctl.api import Api
    from kmodd.messages import module_service as pb
    from kmodd.messages.errors import Failure, Step


class _Action:
    """What loading and unloading have in common: a call for each name, and what it came to."""

    removing = False

    def __init__(self, options: CommandOptions, api: "Api", output: Output) -> None:
        self._options = options
        self._api = api
        self._output = output
        self._results: list[pb.ModuleResult] = []
        self._problems: list[str] = []
        exact = options.kmod_exact
        self._dry_run = options.dry_run or options.show_depends
        verbose = _is_verbose(options)
        self._shown = verbose or options.show_depends or (options.dry_run and not exact)
        self._complaints = Complaints(
            output,
            every=options.all,
            verbose=verbose and not exact,
            wait=bool(options.wait_msec),
            exact=exact,
        )

    def run(self, names: "Sequence[str]") -> int:
        """Act on each name until one is fatal; returns the exit status."""
        failed = False
        for together in self._groups(names):
            for result in self._call(together):
                failed |= self._tell(result)
            if self._complaints.ended:
                break
        if self._output.json:
            self._output.messages(self._results)
        return int(failed)

    def _groups(self, names: "Sequence[str]") -> "Sequence[Sequence[str]]":
        """Return the names that are asked for with one call each time."""
        return [(name,) for name in names]

    def _call(self, names: "Sequence[str]") -> "Sequence[pb.ModuleResult]":
        """Ask for what all of ``names`` stand for, and return what became of each."""
        raise NotImplementedError

    def _plan_for_the_daemon(
        self, request: "pb.LoadModulesRequest | pb.UnloadModulesRequest"
    ) -> None:
        """Have the plan made for the kernel of the daemon that kmodctl finds.

        Where there is none, and nothing is to be done, it is for the running kernel.
        """
        from kmodd.messages.module_service import ListModulesRequest, LoadedModules

        request.dry_run = True
        if self._options.show_depends:
            return  # whatever is loaded
        try:
            listed = self._options.daemon.modules.list_modules(ListModulesRequest()).modules
        except NoDaemonError:
            if not self._dry_run:
                raise
            return
        request.assumed_loaded = LoadedModules(modules=listed)

    def _complain(self, name: str, failure: "Failure", steps: "Sequence[Step]") -> None:
        """Say why ``name`` failed; ``steps`` are those that were taken for it."""
        raise NotImplementedError

    def _tell_problems(self, problems: "Sequence[str]") -> None:
        """Say once what is wrong with the configuration, as libkmod does when it reads it."""
        if not self._problems:
            self._problems = list(problems)
            for problem in self._problems:
                self._output.library(problem)

    def _tell(self, result: "pb.ModuleResult") -> bool:
        """Print what became of a name, and say why it failed; returns whether it did."""
        self._results.append(result)
        if not self._output.json:
            self._show(result.steps)
        for module, parameters in groupby(result.ignored_parameters, lambda each: each.module):
            self._complaints.of_parameters(module, parameters)
        for failure in result.other_failures:
            if not self._is_forgiven(failure):
                self._complain(result.name, failure, result.steps)
        if result.failure is None or self._is_forgiven(result.failure):
            return False
        self._complain(result.name, result.failure, result.steps)
        return True

    def _is_forgiven(self, _failure: "Failure") -> bool:
        """Tell whether kmod would not mind, and kmodctl is to do as kmod does."""
        return False

    def _show(self, steps: "Sequence[Step]") -> None:
        """Print the steps and what commands wrote."""
        for step in steps:
            needless = step.needless and not self._options.show_depends
            line = "" if needless else step_line(step, removing=self.removing)
            if line.startswith("builtin ") and not self._options.show_depends:
                line = ""
            if line and self._shown:
                self._output.data(line)
            self._output.pass_on(step.output, step.error_output)
            self._output.leaks(step.module, step.leaks)
        for step in reversed(steps):
            if step.undone and self._shown:
                self._output.data(f"rmmod {step.module}")


class LoadCommand(_Action):
    """modprobe NAME."""

    def run(self, names: "Sequence[str]") -> int:
        """Load what the names stand for; returns the exit status."""
        status = super().run(names)
        if not names_place(self._options):
            steps = (step for result in self._results for step in result.steps)
            inserted = (step.path and step.done and not step.undone for step in steps)
            tell_unrun(self._api, self._output, sum(map(bool, inserted)))
        return status

    def _is_forgiven(self, failure: "Failure") -> bool:
        from kmodd.messages.errors import ERROR_REASON_MODULE_NOT_FOUND

        is_alias_of_nothing = failure.reason == ERROR_REASON_MODULE_NOT_FOUND and failure.target
        return bool(self._options.kmod_exact and self._dry_run and is_alias_of_nothing)

    def _groups(self, names: "Sequence[str]") -> "Sequence[Sequence[str]]":
        return [names] if self._options.atomic else super()._groups(names)

    def _call(self, names: "Sequence[str]") -> "Sequence[pb.ModuleResult]":
        request = self._request()
        if not names_place(self._options):
            return self._ask(names, request)
        self._plan_for_the_daemon(request)
        plans = self._ask(names, request)
        if self._dry_run:
            return plans
        from kmodctl.carrying import load_through

        return load_through(self._options.daemon, plans, request)

    def _ask(
        self, names: "Sequence[str]", request: "pb.LoadModulesRequest"
    ) -> "Sequence[pb.ModuleResult]":
        """Make the call for names, or for the one file that is named."""
        if len(names) == 1 and names[0].startswith(("/", "./")):
            return self._load_file(names[0], request)
        request.names = [*names]
        response = self._api.modules.load_modules(request)
        self._tell_problems(response.config_problems)
        return response.results

    def _load_file(self, path: str, request: "pb.LoadModulesRequest") -> "list[pb.ModuleResult]":
        from kmodctl.uploading import load_file
        from kmodd.messages import module_service as pb
        from kmodd.messages.errors import ERROR_REASON_MODULE_NOT_FOUND, Failure

        try:
            response = load_file(self._api, path, request)
        except OSError as error:
            failure = Failure(
                reason=ERROR_REASON_MODULE_NOT_FOUND, message=os.strerror(error.errno or 0)
            )
            return [pb.ModuleResult(name=path, failure=failure)]
        self._tell_problems(response.config_problems)
        result = response.result or pb.ModuleResult()
        result.name = path
        return [result]

    def _request(self) -> "pb.LoadModulesRequest":
        from kmodd.messages import module_service as pb

        options = self._options
        parameters = "" if options.all else join_parameters(options.words[1:])
        return pb.LoadModulesRequest(
            parameters=parameters,
            dry_run=self._dry_run,
            first_time=options.first_time,
            ignore_loaded=options.show_depends,
            use_blacklist=options.use_blacklist,
            ignore_install_commands=options.ignore_commands,
            ignore_vermagic=options.force or options.force_vermagic,
            ignore_modversions=options.force or options.force_modversion,
            release=options.release,
            atomic=options.atomic,
            kmod_exact=options.kmod_exact,
            nested_verbosity=_verbosity(options),
            failure_in_result=True,
        )

    def _complain(self, name: str, failure: "Failure", steps: "Sequence[Step]") -> None:
        self._complaints.of_load(name, failure, steps)
        self._output.leaks(failure.module, failure.leaks)


class UnloadCommand(_Action):
    """modprobe -r NAME."""

    removing = True

    def _call(self, names: "Sequence[str]") -> "Sequence[pb.ModuleResult]":
        from kmodd.messages import module_service as pb
        from kmodd.messages.well_known import Duration

        options = self._options
        request = pb.UnloadModulesRequest(
            names=[*names],
            dry_run=self._dry_run,
            first_time=options.first_time,
            remove_holders=options.remove_holders,
            use_blacklist=options.use_blacklist,
            ignore_remove_commands=options.ignore_commands,
            release=options.release,
            ignore_loaded=options.show_depends,
            force=options.force,
            kmod_exact=options.kmod_exact,
            nested_verbosity=_verbosity(options),
            failure_in_result=True,
            soft_dependencies_matter=options.kmod_exact and not (options.all or options.quiet),
        )
        if options.wait_msec:
            seconds, rest = divmod(options.wait_msec, 1000)
            request.wait = Duration(seconds=seconds, nanos=rest * 1_000_000)
        if not names_place(options):
            return self._ask(request)
        self._plan_for_the_daemon(request)
        plans = self._ask(request)
        if self._dry_run:
            return plans
        from kmodctl.carrying import unload_through

        return unload_through(options.daemon, plans, request)

    def _ask(self, request: "pb.UnloadModulesRequest") -> "Sequence[pb.ModuleResult]":
        response = self._api.modules.unload_modules(request)
        self._tell_problems(response.config_problems)
        return response.results

    def _complain(self, name: str, failure: "Failure", _steps: "Sequence[Step]") -> None:
        self._complaints.of_unload(name, failure)


def _verbosity(options: CommandOptions) -> int:
    from kmodd.messages import module_service as pb

    if options.quiet:
        return pb.VERBOSITY_QUIET
    return pb.VERBOSITY_VERBOSE if _is_verbose(options) else pb.VERBOSITY_UNSPECIFIED


def names_place(options: CommandOptions) -> bool:
    """Tell whether another root or configuration is named, which is looked at here."""
    return options.dirname is not None or bool(options.config)


def _is_verbose(options: CommandOptions) -> bool:
    """Tell whether what is done is to be printed: -q counts for more than -v."""
    return bool(options.verbose and not options.quiet)
