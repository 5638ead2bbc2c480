# SPDX-License-Identifier: Apache-2.0
"""check: try a module with each call that can fail failing once

Runs the module's init and exit in an emulated kernel of their own, with what the module needs; then
again with each allocation, registration, request and wait of its init failing once, as the kernel
would have it; then the probe and remove of its drivers for devices that it names. Tells what was
left, was given back twice, crashed or never ended, which failure was not looked at, and the
kernel's rule behind it: with the lines of the source where the module has debug information
and pyelftools is installed. The kernel that the daemon serves is not touched. The exit status is 1
when something was found, and when the module cannot be checked.
"""

from kmodctl.errors import CallError
from kmodctl.output import Output
from kmodctl.parser import CommandOptions, Parser
from kmodctl.quoting import join_parameters
from kmodctl.styles import BAD, FAINT, GOOD, Styled

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from io import BufferedReader

    from kmodctl.api import Api
    from kmodd.messages.emulation_service import (
        CheckModuleHeader,
        CheckModuleRequest,
        CheckReport,
    )


def configure(parser: Parser) -> None:
    """Add the arguments of check."""
    add = parser.add_argument
    add("--pairs", action="store_true", help="have each two calls fail, too")
    add(
        "--runs",
        metavar="N",
        type=int,
        default=0,
        help="make N runs at most, up to 20000 (400 by itself)",
    )
    add("--junit", metavar="FILE", help="write what was found to FILE as JUnit's XML, too")
    add(
        "words",
        metavar="FILE|MODULE [PARAM=VALUE...]",
        nargs="*",
        help="the module file, or the name of a module of the tree",
    )


def check(options: CommandOptions, output: Output) -> bool:
    """Ask for a module, and for a number of runs that makes sense."""
    if not options.words:
        output.error("missing a module file or a module's name.")
        return False
    if options.runs < 0:
        output.error("--runs takes a number of runs.")
        return False
    return True


def run(options: CommandOptions, api: "Api", output: Output) -> int:
    """Have the module checked, and tell what was found."""
    from kmodctl.uploading import sendable
    from kmodd.messages.emulation_service import CheckModuleHeader

    name, *parameters = options.words
    is_file = "/" in name or ".ko" in name
    header = CheckModuleHeader(
        module="" if is_file else name,
        file_name=sendable(name) if is_file else "",
        parameters=join_parameters(parameters),
        pairs=options.pairs,
        runs_max=options.runs,
    )
    try:
        report = report_of(api, name if is_file else "", header)
        if options.junit:
            _write_junit(options.junit, report)
    except OSError as error:
        output.error(f"could not check module {name}: {error.filename}: {error.strerror}")
        output.failure(error)
        return 1
    except CallError as error:
        output.error(f"could not check module {name}: {error.message}")
        output.kernel_log(error.log_lines)
        output.failure(error)
        return 1
    if output.json:
        output.message(report)
    else:
        tell(report, output)
    return 1 if report.findings else 0


def report_of(
    api: "Api",
    path: str,
    header: "CheckModuleHeader",
    is_over: "Callable[[], bool]" = lambda: False,
) -> "CheckReport":
    """Return the report; a file is sent, and a terminal shown how far it is meanwhile.

    Once it ``is_over``, the check is ended, and the report is empty. Raises CallError, and OSError
    where the file cannot be read.
    """
    from kmodctl.progress import Bar
    from kmodd.messages.emulation_service import CheckReport

    report, bar = CheckReport(), Bar("runs")
    try:
        for answer in api.emulation.check_module(_requests(path, header)):
            if is_over():
                break
            if answer.report is not None:
                report = answer.report
            elif answer.progress is not None:
                bar.draw(answer.progress.runs_done, answer.progress.runs_total)
    finally:
        bar.wipe()
    return report


def _requests(path: str, header: "CheckModuleHeader") -> "Iterator[CheckModuleRequest]":
    from kmodd.messages.emulation_service import CheckModuleRequest

    if not path:
        yield CheckModuleRequest(header=header)
        return
    with open(path, "rb") as file:
        yield CheckModuleRequest(header=header)
        yield from _chunks(file)


def _chunks(file: "BufferedReader") -> "Iterator[CheckModuleRequest]":
    from kmodctl.uploading import CHUNK
    from kmodd.messages.emulation_service import CheckModuleRequest

    while chunk := file.read(CHUNK):
        yield CheckModuleRequest(chunk=chunk)


def _write_junit(path: str, report: "CheckReport") -> None:
    from kmodctl.checking import junit

    with open(path, "wb") as file:
        file.write(junit(report))


def tell(report: "CheckReport", output: Output) -> None:
    """Print what was found, for people."""
    from kmodctl.checking import details, headline, summary

    for number, finding in enumerate(report.findings, 1):
        output.data(f"{number}. ", Styled(headline(finding), BAD))
        for line in details(finding):
            output.data(f"   {line}")
        for line in finding.log_lines:
            output.data(Styled(f"   kernel: {line}", FAINT))
    style = BAD if report.findings else GOOD
    output.data(f"{report.module}: ", Styled(summary(report), style))
    if report.devices:
        output.data(f"   tried with {', '.join(report.devices)}")
    if report.functions_not_checked:
        names = ", ".join(report.functions_not_checked)
        output.data(f"   not checked, as they are not modelled: {names}")
    if report.runs_left_out:
        output.data(f"   {report.runs_left_out} runs left out (see --runs)")
    if report.runs_untold:
        output.data(f"   {report.runs_untold} runs tell nothing: {report.untold_reason}")
