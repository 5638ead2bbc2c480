# SPDX-License-Identifier: Apache-2.0
"""Arguments into one command. grpc is imported by the command, once there is something to ask."""

import argparse
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from kmodctl.commands import depmod, dmesg, insmod, lsmod, modprobe, rmmod, status
from kmodctl.errors import CallError, KmodctlError
from kmodctl.output import Output
from kmodctl.sockets import find_socket

COMMANDS = (lsmod, insmod, modprobe, rmmod, depmod, dmesg, status)


class Parser(argparse.ArgumentParser):
    """An ArgumentParser that fails as kmod's tools do: one line on stderr, status 1."""

    def error(self, message: str) -> NoReturn:
        """End the program with a wrong command line."""
        print(f"{self.prog.split()[-1]}: {message}. See -h.", file=sys.stderr)
        raise SystemExit(1)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    options = _parser().parse_args(arguments)
    output = Output(options.command, json=options.json)
    try:
        status = _run(options, output)
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        return 130
    return status


def _run(options: argparse.Namespace, output: Output) -> int:
    """Find the daemon before grpc is imported: most mistakes are told without it."""
    try:
        if hasattr(options, "run_private") and options.is_private(options):
            return int(options.run_private(options, output))
        path = find_socket(options.socket)
        from kmodctl.client import Client

        with Client(path, timeout=options.timeout) as client:
            return int(options.run(options, client, output))
    except CallError as error:
        output.error(error.message)
    except KmodctlError as error:
        print(f"kmodctl: {error}", file=sys.stderr)
    return 1


def _parser() -> Parser:
    parser = Parser(
        prog="kmodctl",
        description="Load, list and unload kernel modules through kmodd.",
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="show the version and exit")
    parser.add_argument("--socket", metavar="PATH", help="the daemon's socket")
    parser.add_argument(
        "--timeout", metavar="SECONDS", type=_seconds, help="how long to wait for an answer"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for command in COMMANDS:
        name = command.__name__.rpartition(".")[2]
        summary = (command.__doc__ or "").partition("\n")[0].partition(": ")[2]
        sub = commands.add_parser(name, help=summary, description=command.__doc__)
        command.configure(sub)
        sub.set_defaults(run=command.run)
        if hasattr(command, "run_private"):
            sub.set_defaults(run_private=command.run_private, is_private=command.is_private)
    return parser


class _Version(argparse.Action):
    """Prints the version, which is the daemon package's."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> NoReturn:
        """Print and exit."""
        from kmodd import __version__

        print(f"kmodctl {__version__}")
        parser.exit()


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 < value < 1e9:
        raise ValueError(text)
    return value
