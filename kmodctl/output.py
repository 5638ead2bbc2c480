# SPDX-License-Identifier: Apache-2.0
"""How a command speaks: data on stdout, messages on stderr or to syslog in kmod's form."""

import sys

from kmodd.escapes import escaped

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Any

    from kmodctl.errors import KmodctlError
    from kmodctl.pager import Pager
    from kmodctl.styles import Styled
    from kmodd.messages.caller import Caller
    from kmodd.messages.codec import Message
    from kmodd.messages.well_known import Timestamp


class Output:
    """The voice of one command. ``tool`` is the name that its messages begin with.

    Names and texts come from whoever loads modules, so messages are escaped, and so is data. Only
    that of kmod's own tools (``exact``) stays as it is where it does not go to a terminal, and has
    neither colours (``color`` is "auto", "always" or "never") nor a pager.
    """

    def __init__(
        self,
        tool: str,
        *,
        json: bool = False,
        quiet: bool = False,
        exact: bool = False,
        color: str = "auto",
        pages: bool = True,
    ) -> None:
        self._exact = exact
        self.tool = tool
        self.json = json
        self.quiet = quiet
        self._syslog = False
        self._color = "never" if exact else color
        self._pages = pages and not exact
        self._pager: Pager | None = None

    def page(self) -> None:
        """Have a pager show what is printed from now on, if it is more than a terminal shows."""
        if not self._pages or not sys.stdout.isatty():
            return
        from kmodctl.pager import Pager, is_wanted

        self._pager = Pager() if is_wanted() else None

    def finish(self) -> None:
        """Show what is still to be shown; nothing is printed afterwards."""
        if self._pager is not None:
            self._pager.finish()
            self._pager = None

    def use_syslog(self) -> None:
        """Send messages to syslog(3) from now on, as kmod's ``-s`` does."""
        import syslog

        syslog.openlog(self.tool, syslog.LOG_CONS, syslog.LOG_DAEMON)
        self._syslog = True

    def data(self, *pieces: "str | Styled") -> None:
        """Print a line of what was asked for, in one or more pieces."""
        self._print(f"{''.join(map(self._shown, pieces))}\n")

    def raw(self, text: str) -> None:
        """Print text that has its own line ends, and bytes that need be no UTF-8."""
        if not self._is_exact():
            text = escaped(text, "\t\n\0")
        if self._pager is not None:
            self._pager.write(text)
            return
        sys.stdout.flush()
        stream = getattr(sys.stdout, "buffer", None)
        if stream is None:
            sys.stdout.write(text)
            return
        stream.write(text.encode("utf-8", "surrogateescape"))
        stream.flush()

    def pass_on(self, output: bytes, errors: bytes) -> None:
        """Print what a command wrote on its two outputs, each on ours."""
        if output and not self.json:
            self.raw(output.decode("utf-8", "surrogateescape"))
        if errors:
            sys.stdout.flush()
            text = errors.decode("utf-8", "replace")
            shown = escaped(text, "\t\n") if sys.stderr.isatty() else text
            print(shown, end="", file=sys.stderr)

    def messages(self, messages: "Sequence[Message | dict[str, Any]]") -> None:
        """Print messages of the API as a JSON list; what stands for one that failed is in JSON."""
        from kmodd.messages.as_json import as_json

        shown = [each if isinstance(each, dict) else as_json(each) for each in messages]
        self.document(shown)

    def failure(self, error: "KmodctlError | OSError") -> None:
        """Print as JSON why all has failed, where JSON is asked for."""
        if self.json:
            self.document(self.failed(error))

    def failed(self, error: "KmodctlError | OSError", **what: str) -> "dict[str, Any]":
        """Return what JSON has of something that failed; ``what`` tells it from others."""
        from kmodctl.failures import shown_failure

        return {**what, "failure": shown_failure(error)}

    def message(self, message: "Message") -> None:
        """Print one message of the API as JSON."""
        from kmodd.messages.as_json import as_json

        self.document(as_json(message))

    def message_line(self, message: "Message") -> None:
        """Print one message of the API as JSON, in a line."""
        from kmodd.messages.as_json import as_json

        self.line(as_json(message))

    def line(self, value: object) -> None:
        """Print a value as JSON, in a line."""
        import json

        self._print(f"{json.dumps(value)}\n")

    def document(self, value: object) -> None:
        """Print a value as JSON."""
        import json

        self._print(f"{json.dumps(value, indent=2)}\n")

    def warning(self, line: str) -> None:
        """Say that something is odd."""
        self.say(f"WARNING: {line}")

    def error(self, line: str) -> None:
        """Say that something failed."""
        self.say(f"ERROR: {line}")

    def fatal(self, line: str) -> None:
        """Say that the whole command failed."""
        self.say(f"FATAL: {line}")

    def leaks(self, module: str, leaks: "Iterable[str]") -> None:
        """Tell what a module's code never gave back."""
        for leak in leaks:
            self.say(f"WARNING: {module} leaks {leak}")

    def kernel_log(self, lines: "Iterable[str]") -> None:
        """Repeat what the kernel logged about a failure."""
        for line in lines:
            self.say(f"kernel: {line}")

    def say(self, line: str) -> None:
        """Print a message that says itself what kind it is."""
        if not self.quiet:
            self._tell(line)

    def library(self, line: str) -> None:
        """Print a message as libkmod does before its program has told it how to: on stderr."""
        sys.stdout.flush()
        print(f"libkmod: ERROR: {escaped(line)}", file=sys.stderr)

    def _tell(self, line: str) -> None:
        if self._syslog:
            import syslog

            syslog.syslog(_priority(line), escaped(line))
            return
        if self._pager is None:
            sys.stdout.flush()
        line = escaped(line)
        if self._color != "never":
            from kmodctl.styles import with_style

            line = with_style(line, self._color, sys.stderr)
        print(f"{escaped(self.tool)}: {line}", file=sys.stderr)

    def _print(self, text: str) -> None:
        """Print text that has its line ends and is escaped."""
        if self._pager is None:
            sys.stdout.write(text)
        else:
            self._pager.write(text)

    def _shown(self, piece: "str | Styled") -> str:
        """Return a piece of a line as it is printed."""
        if isinstance(piece, str):
            return piece if self._is_exact() else escaped(piece)
        from kmodctl.styles import is_coloured, styled

        text = escaped(piece.text)
        return styled(text, piece.style) if is_coloured(self._color, sys.stdout) else text

    def _is_exact(self) -> bool:
        """Tell whether what is printed on stdout stays as it is."""
        return self._exact and not sys.stdout.isatty()


def _priority(line: str) -> int:
    """Return the priority that syslog(3) has for a message of this kind."""
    import syslog

    kinds = {
        "FATAL": syslog.LOG_CRIT,
        "ERROR": syslog.LOG_ERR,
        "WARNING": syslog.LOG_WARNING,
    }
    return kinds.get(line.partition(":")[0], syslog.LOG_NOTICE)


def shown_caller(caller: "Caller") -> str:
    """Return who made a connection: the user, and the process where it is known."""
    user = caller.user or f"uid {caller.uid}"
    return f"{user} ({shown_process(caller)})" if caller.pid else user


def shown_process(caller: "Caller") -> str:
    """Return the process that made a connection, and what it belongs to."""
    container = f"in the container {caller.container}" if caller.container else ""
    place = container or (f"of {caller.unit}" if caller.unit else "")
    return f"pid {caller.pid} {caller.command} {place}".rstrip()


def shown_name(names: "Mapping[int, str]", value: int) -> str:
    """Return what a value of an enum is called where it is shown: its name without the enum's.

    ``names`` are those of all values; one that is not known is shown as its number.
    """
    prefix = names[0].removesuffix("UNSPECIFIED")
    return names.get(value, str(value)).removeprefix(prefix).lower()


def shown_moment(moment: "Timestamp", precision: str) -> str:
    """Return a moment in UTC, to "seconds" or "milliseconds"."""
    from datetime import datetime, timedelta

    passed = timedelta(seconds=moment.seconds, microseconds=moment.nanos // 1000)
    return (datetime(1970, 1, 1) + passed).isoformat(sep=" ", timespec=precision)
