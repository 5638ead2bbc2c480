# SPDX-License-Identifier: Apache-2.0
"""hold: keep modules loaded while a command runs

Loads the modules with what they need, runs COMMAND, and lets go of them when it has ended. Until
then nobody unloads them through kmodd. Where the daemon ends meanwhile, COMMAND runs on, and the
modules are held again once there is a daemon. The exit status is COMMAND's; 127 where there is no
such command, 126 where it cannot be executed, 128 + N where signal N ended it. Administrators see
the holds of others with --list and end them with --end.
"""

import shlex
import signal
import socket
import sys
import threading
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING, Self

from kmodctl.output import Output, shown_moment
from kmodctl.parser import CommandOptions, Parser

if TYPE_CHECKING:
    import subprocess

    from kmodctl.api import Api
    from kmodctl.client import Client

HANDED_ON = (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGCONT)
"""Signals that the command gets in our place. The terminal sends SIGINT and SIGQUIT to both of us,
so these we only outlive."""


def configure(parser: Parser) -> None:
    """Add hold's arguments."""
    add = parser.add_argument
    add("-u", "--unload", action="store_true", help="unload what was loaded for holds, as the last")
    add("-b", "--use-blacklist", action="store_true", help="mind the blacklist for names, too")
    add("-l", "--list", action="store_true", help="list the holds there are")
    add("-e", "--end", metavar="NUMBER", type=int, help="end the hold of this number")
    add("modules", metavar="MODULE", nargs="*", help="a module's name or alias")
    parser.behind = "command"


def check(options: CommandOptions, output: Output) -> bool:
    """Ask for modules and a command, or for neither."""
    if options.list or options.end is not None:
        if options.modules or options.command:
            output.error("too many arguments provided.")
        return not (options.modules or options.command)
    if not options.modules:
        output.error("missing module name.")
    elif not options.command:
        output.error("missing '-- COMMAND...'.")
    return bool(options.modules and options.command)


def run(options: CommandOptions, api: "Api", output: Output) -> int:
    """List the holds, or end one."""
    from kmodd.messages.module_service import EndHoldRequest

    if options.list:
        _list(api, output)
    else:
        api.modules.end_hold(EndHoldRequest(hold=options.end))
    return 0


def needs_client(options: CommandOptions) -> bool:
    """Tell whether a call is to stay open while something else is done."""
    return not options.list and options.end is None


def run_with_client(options: CommandOptions, client: "Client", output: Output) -> int:
    """Hold the modules while the command runs; returns its exit status."""
    from kmodctl.lasting_hold import LastingHold

    take = partial(
        client.hold,
        *options.modules,
        unload=options.unload,
        note=shlex.join(options.command),
        use_blacklist=options.use_blacklist,
    )
    with closing(LastingHold(take, output.warning)):
        return _run(options.command, output)


def _list(api: "Api", output: Output) -> None:
    from kmodd.messages.module_service import ListHoldsRequest
    from kmodd.messages.well_known import Timestamp

    holds = api.modules.list_holds(ListHoldsRequest()).holds
    if output.json:
        output.messages(holds)
        return
    for hold in holds:
        since = shown_moment(hold.began_time or Timestamp(), "seconds")
        modules = " ".join(hold.modules)
        output.data(f"{hold.hold}  {since}  {hold.role} {hold.socket}  {modules}  {hold.note}")


def _run(command: list[str], output: Output) -> int:
    """Run ``command`` and return its exit status as a shell has it."""
    import subprocess

    sys.stdout.flush()
    with _Relay() as relay:
        try:
            child = subprocess.Popen(command)
        except OSError as error:
            output.error(f"{command[0]}: {error.strerror}")
            return 127 if isinstance(error, FileNotFoundError) else 126
        relay.attach(child)
        status = child.wait()
    return 128 - status if status < 0 else status


class _Relay:
    """Hands signals on to a child while the context is open, which begins before the child does.

    A signal may reach any thread, and grpc's take what comes: a main thread that waits for the
    child then sleeps on. So they are read from the interpreter's wake-up descriptor, which each is
    written to. A terminal's signals reach the child by themselves. They are caught, not ignored:
    what is ignored here would be ignored there. For the main thread alone.
    """

    def __init__(self) -> None:
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        self._inbox, self._outside = socket.socketpair()
        self._outside.setblocking(False)
        numbers = (*HANDED_ON, signal.SIGINT, signal.SIGQUIT)
        self._before = {each: signal.signal(each, lambda *_: None) for each in numbers}
        self._old = signal.set_wakeup_fd(self._outside.fileno(), warn_on_full_buffer=False)
        return self

    def __exit__(self, *_: object) -> None:
        signal.set_wakeup_fd(self._old)
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._outside.close()
        if self._thread is not None:
            self._thread.join()
        self._inbox.close()

    def attach(self, child: "subprocess.Popen[bytes]") -> None:
        """Hand on to ``child`` what has come by now, and what comes."""
        self._thread = threading.Thread(target=self._hand_on, args=(child,), daemon=True)
        self._thread.start()

    def _hand_on(self, child: "subprocess.Popen[bytes]") -> None:
        while number := self._inbox.recv(1):
            if number[0] in HANDED_ON:
                child.send_signal(number[0])
