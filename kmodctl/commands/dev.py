# SPDX-License-Identifier: Apache-2.0
"""dev: build modules at each save, and run them

Watches the sources in DIR, which Kbuild or a Makefile tells of, as those that 'kmodctl new' writes.
At each save they are built; the old modules are taken out of a kernel and the new ones put in, in
the order in which they need each other, and what the kernel logs is shown as it comes, and what a
module has not given back when it is gone. What the compiler says is shown as it is. Ctrl-C takes
out what was put in, and ends.

The kernel is an emulated one that goes with the command, unless a daemon is named (--socket,
KMODD_SOCKET) or found that has an emulated one. One that has the machine's kernel has to be named.
"""

import os

from kmodctl.output import Output
from kmodctl.parser import CommandOptions, Parser

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kmodctl.dev.headers import Headers
    from kmodctl.dev.telling import Told


def configure(parser: Parser) -> None:
    """Add the arguments of dev."""
    add = parser.add_argument
    add(
        *("-p", "--param"),
        dest="parameters",
        metavar="[MODULE.]NAME=VALUE",
        action="append",
        help="a parameter to load with; may be given again",
    )
    add(
        *("-d", "--device"),
        dest="devices",
        metavar="MODALIAS",
        action="append",
        help="plug this device in, as 'kmodctl device add' does; may be given again",
    )
    add(
        *("-b", "--build"),
        metavar="HEADERS",
        help="the directory to build in (default: that of the kernel's release, or of the running"
        " kernel's, or of the newest that has one)",
    )
    add(
        "--kernel",
        metavar="KERNEL",
        help="run a kernel of this kind, as 'kmodd run' has them, whatever daemon there is",
    )
    add(
        "--root",
        metavar="DIR",
        default="",
        help="the system root that such a kernel is of, for one in a virtual machine (default:"
        " this machine's, or the headers alone)",
    )
    add("-c", "--check", action="store_true", help="check each module, as 'kmodctl check' does")
    add("-1", "--once", action="store_true", help="build, put in and take out once, and end")
    add("-v", "--verbose", action="store_true", help="say how long each step took")
    add("directory", metavar="DIR", help="the directory with the sources")


def is_private(_options: CommandOptions) -> bool:
    """Tell that what is asked is chosen here."""
    return True


def run_private(options: CommandOptions, output: Output) -> int:
    """Go round until Ctrl-C; with --once the status tells whether all went well."""
    from kmodctl.dev.telling import Told

    told = Told(output)
    _develop(options, told)
    return int(told.has_failed and options.once)


def _develop(options: CommandOptions, told: "Told") -> None:
    from contextlib import ExitStack

    from kmodctl.dev.session import Session, Wishes
    from kmodctl.dev.signals import EndingSignals
    from kmodctl.dev.sources import SourceWatch, snapshot
    from kmodctl.private_kernel import PrivateKernel

    directory = os.path.abspath(options.directory)
    snapshot(directory)
    wishes = Wishes(
        options.parameters or [],
        options.devices or [],
        check=options.check,
        once=options.once,
        verbose=options.verbose,
    )
    path, headers = _kernel_there(options)
    with ExitStack() as stack:
        signals = stack.enter_context(EndingSignals())
        if path:
            session = Session(directory, headers, wishes, told, lambda: path)
        else:
            kernel = PrivateKernel(
                options.kernel or "emulated", headers.release, options.root, headers.directory
            )
            session = Session(directory, headers, wishes, told, lambda: kernel.socket)
            stack.enter_context(kernel)
        session.run(signals, stack.enter_context(SourceWatch(directory)))


def _kernel_there(options: CommandOptions) -> "tuple[str, Headers]":
    """Return the socket of the daemon to ask, "" where there is to be one of ours, and headers.

    Raises HeadersError, and NoDaemonError where the one that is named does not answer.
    """
    from kmodctl.api import Api
    from kmodctl.dev.headers import Headers, any_headers, headers_for
    from kmodctl.direct import DirectChannel
    from kmodctl.environment import environment
    from kmodctl.errors import KmodctlError
    from kmodctl.sockets import SOCKET_VARIABLE, find_socket
    from kmodd.messages.daemon_service import KERNEL_KIND_LINUX

    given = Headers(options.build) if options.build else None
    named = options.socket or environment().get(SOCKET_VARIABLE)
    if options.kernel is None:
        try:
            path = find_socket(options.socket)
            with Api(lambda: DirectChannel(path)) as api:
                status = api.status()
        except KmodctlError:
            if named:
                raise
        else:
            if named or status.kernel != KERNEL_KIND_LINUX:
                return path, given or headers_for(status.release, status.root)
    return "", given or any_headers()
