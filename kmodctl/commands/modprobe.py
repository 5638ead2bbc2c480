# SPDX-License-Identifier: Apache-2.0
"""modprobe: load or unload modules by name or alias, with what they need

Loads a module after the modules that it depends on; with -r unloads it, and then those that
nothing uses any more. $MODPROBE_OPTIONS holds options that come before those given.
"""

import argparse
import os
from collections.abc import Sequence
from itertools import groupby
from operator import attrgetter
from typing import TYPE_CHECKING

from kmodctl.carrying import carry_out
from kmodctl.errors import CallError, NoDaemonError
from kmodctl.modprobe_words import Complaints, step_line
from kmodctl.output import Output
from kmodctl.parser import Parser
from kmodctl.private import Place
from kmodctl.queries import show_configuration, show_names, show_symbols
from kmodctl.quoting import join_parameters, split_options

if TYPE_CHECKING:
    from kmodctl.client import Client
    from kmodd.v1 import module_service_pb2 as pb
    from kmodd.v1.errors_pb2 import Step

OPTIONS_VARIABLE = "MODPROBE_OPTIONS"

MICROSECONDS_PER_MILLISECOND = 1000


def configure(parser: Parser) -> None:
    """Add modprobe's arguments, in kmod's order: its message about a short option has it."""
    add = parser.add_argument
    add("-a", "--all", action="store_true", help="every argument is a module's name")
    add("-r", "--remove", action="store_true", help="unload instead of loading")
    add(
        "--remove-dependencies",
        "--remove-holders",
        dest="remove_holders",
        action="store_true",
        help="unload the modules' users, too (with -r)",
    )
    add("-w", "--wait", metavar="MSEC", help="wait so long for a module in use (with -r)")
    add(
        "-R",
        "--resolve-alias",
        "--show-alias",
        dest="resolve_alias",
        action="store_true",
        help="print which modules a name stands for",
    )
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
    add("--force-modversion", action="store_true", help="load despite other symbol versions")
    add("--force-vermagic", action="store_true", help="load despite another version magic")
    add("-D", "--show-depends", action="store_true", help="print the whole plan and do nothing")
    add(
        "-c",
        "--showconfig",
        "--show-config",
        dest="show_config",
        action="store_true",
        help="print the configuration and the modules' aliases",
    )
    add(
        "--show-modversions",
        "--dump-modversions",
        dest="show_versions",
        action="store_true",
        help="print the symbols that a module file needs, with their versions",
    )
    add("--show-exports", action="store_true", help="print the symbols that a module file offers")
    add("-n", "--dry-run", "--show", dest="dry_run", action="store_true", help="print, do nothing")
    add("-C", "--config", metavar="PATH", action="append", help="the configuration; repeatable")
    add("-d", "--dirname", metavar="DIR", help="the system root that the module trees are in")
    add("-S", "--set-version", dest="release", metavar="VERSION", default="", help="the release")
    add("-s", "--syslog", action="store_true", help="send messages to syslog, not to stderr")
    add("-q", "--quiet", action="store_true", help="print no messages")
    add("-v", "--verbose", action="store_true", help="print what is done")
    parser.extensions.add_argument(
        "--atomic",
        action="store_true",
        help="when one module cannot be loaded, unload those that were loaded for it",
    )
    add("words", metavar="MODULE [PARAM=VALUE...]", nargs="*", help="a module's name, or an alias")


def words(given: Sequence[str]) -> list[str]:
    """Return the words with those of $MODPROBE_OPTIONS before them."""
    return [*split_options(os.environ.get(OPTIONS_VARIABLE, "")), *given]


def check(options: argparse.Namespace, output: Output) -> bool:
    """Ask for a module, and for a time that is a number."""
    output.quiet = options.quiet
    options.wait_msec = 0
    if options.wait is not None:
        try:
            options.wait_msec = max(_number(options.wait), 0)
        except ValueError:
            output.error(f"unexpected wait value '{options.wait}'.")
            return False
    if not options.words and not options.show_config:
        output.error("missing parameters. See -h.")
        return False
    return True


def place(options: argparse.Namespace) -> Place | None:
    """Another root or configuration is for a private daemon."""
    options.private = options.dirname is not None or bool(options.config)
    if not options.private:
        return None
    root, release = options.dirname, options.release
    if root is None:
        try:
            with options.connect() as client:
                status = client.status()
        except NoDaemonError:
            root = "/"
        else:
            root, release = status.root, release or status.release
    return Place(root, release, tuple(options.config or ()))


def run(options: argparse.Namespace, client: "Client", output: Output) -> int:
    """Do what is asked for; the status is that of all names together."""
    if options.show_config:
        return show_configuration(client, options.release, output)
    if options.show_versions or options.show_exports:
        what = "versions" if options.show_versions else "exports"
        return show_symbols(client, options.words[0], what, output)
    if options.remove or options.remove_holders:
        if options.private and not (options.dry_run or options.show_depends):
            output.error("-C and -d do not go with -r: a daemon unloads by its own tree")
            return 1
        return _Unloading(options, client, output).run(options.words)
    names = options.words if options.all else options.words[:1]
    if options.resolve_alias:
        return show_names(client, names, options.release, output, every=options.all)
    return _Loading(options, client, output).run(names)


class _Action:
    """What loading and unloading have in common: a call for each name, and what it came to."""

    removing = False

    def __init__(self, options: argparse.Namespace, client: "Client", output: Output) -> None:
        self._options = options
        self._client = client
        self._output = output
        self._results: list[pb.ModuleResult] = []
        self._problems: list[str] = []
        exact = options.kmod_exact
        self._dry_run = options.dry_run or options.show_depends
        self._shown = options.verbose or options.show_depends or (options.dry_run and not exact)
        self._complaints = Complaints(
            output,
            every=options.all,
            verbose=options.verbose and not exact,
            wait=bool(options.wait_msec),
            exact=exact,
        )

    def run(self, names: Sequence[str]) -> int:
        """Act on each name until one is fatal; returns the exit status."""
        failed = False
        for together in self._groups(names):
            for result in self._call(together):
                failed |= self._tell(result)
            if self._complaints.ended:
                break
        if self._output.json:
            self._output.messages(list(self._results))
        return int(failed)

    def _groups(self, names: Sequence[str]) -> Sequence[Sequence[str]]:
        """Return the names that are asked for with one call each time."""
        return [(name,) for name in names]

    def _call(self, names: Sequence[str]) -> "Sequence[pb.ModuleResult]":
        raise NotImplementedError

    def _complain(self, name: str, error: CallError, _steps: "Sequence[Step]") -> None:
        raise NotImplementedError

    def _tell_problems(self, problems: Sequence[str]) -> None:
        """Say once what is wrong with the configuration, as libkmod does when it reads it."""
        if not self._problems:
            self._problems = list(problems)
            for problem in self._problems:
                self._output.library(problem)

    def _tell(self, result: "pb.ModuleResult") -> bool:
        """Print what became of a name, and say why it failed; returns whether it did."""
        from kmodctl.client import failure_error

        self._results.append(result)
        if not self._output.json:
            self._show(result.steps)
        for module, parameters in groupby(result.ignored_parameters, attrgetter("module")):
            self._complaints.of_parameters(module, parameters)
        failures = list(result.other_failures)
        if result.HasField("failure"):
            failures.append(result.failure)
        for failure in failures:
            self._complain(result.name, failure_error(failure), result.steps)
        return result.HasField("failure")

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
        for step in reversed(steps):
            if step.undone and self._shown:
                self._output.data(f"rmmod {step.module}")


class _Loading(_Action):
    """modprobe NAME."""

    def _groups(self, names: Sequence[str]) -> Sequence[Sequence[str]]:
        return [names] if self._options.atomic else super()._groups(names)

    def _call(self, names: Sequence[str]) -> "Sequence[pb.ModuleResult]":
        request = self._request()
        if len(names) == 1 and names[0].startswith(("/", "./")):
            return self._load_file(names[0], request)
        request.names.extend(names)
        if not self._options.private or self._dry_run:
            response = self._client.load_modules(request)
            self._tell_problems(response.config_problems)
            return response.results
        request.dry_run = True
        response = self._client.load_modules(request)
        self._tell_problems(response.config_problems)
        with self._options.connect() as client:
            return [carry_out(plan, request, client) for plan in response.results]

    def _load_file(self, path: str, request: "pb.LoadModulesRequest") -> "list[pb.ModuleResult]":
        from kmodd.v1 import module_service_pb2 as pb

        try:
            response = self._client.load_file(path, request)
        except OSError as error:
            result = pb.ModuleResult(name=path)
            result.failure.reason = "ERROR_REASON_MODULE_NOT_FOUND"  # type: ignore[assignment]
            result.failure.message = str(error.strerror)
            return [result]
        self._tell_problems(response.config_problems)
        response.result.name = path
        return [response.result]

    def _request(self) -> "pb.LoadModulesRequest":
        from kmodd.v1 import module_service_pb2 as pb

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

    def _complain(self, name: str, error: CallError, _steps: "Sequence[Step]") -> None:
        self._complaints.of_load(name, error, _steps)


class _Unloading(_Action):
    """modprobe -r NAME."""

    removing = True

    def _call(self, names: Sequence[str]) -> "Sequence[pb.ModuleResult]":
        from kmodd.v1 import module_service_pb2 as pb

        options = self._options
        request = pb.UnloadModulesRequest(
            names=names,
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
        )
        if options.wait_msec:
            request.wait.FromMilliseconds(options.wait_msec)
        response = self._client.unload_modules(request)
        self._tell_problems(response.config_problems)
        return response.results

    def _complain(self, name: str, error: CallError, _steps: "Sequence[Step]") -> None:
        self._complaints.of_unload(name, error)


def _number(text: str) -> int:
    """Return the number that strtoul(3) finds with base 0; raises ValueError for anything else."""
    digits = text.strip().lstrip("+-")
    base = 8 if digits.startswith("0") and digits.isdecimal() else 0
    return int(text, base)


def _verbosity(options: argparse.Namespace) -> "pb.Verbosity":
    from kmodd.v1 import module_service_pb2 as pb

    if options.quiet:
        return pb.VERBOSITY_QUIET
    return pb.VERBOSITY_VERBOSE if options.verbose else pb.VERBOSITY_UNSPECIFIED
