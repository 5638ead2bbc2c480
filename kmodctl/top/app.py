# SPDX-License-Identifier: Apache-2.0
"""The full-screen view: the modules, one of them in detail, the kernel's log and what happens."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import ClassVar

from grpc.aio import UsageError
from rich.text import Text
from textual import on, work
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, Horizontal, VerticalScroll
from textual.widgets import DataTable, Footer, Input, RichLog, Static

from kmodctl.aio import AsyncHeldModules, Client
from kmodctl.commands.dmesg import line_of
from kmodctl.commands.events import event_lines
from kmodctl.errors import KmodctlError
from kmodctl.lasting_hold import is_of_the_daemon
from kmodctl.output import shown_name
from kmodctl.styles import Styled
from kmodctl.top import deeds
from kmodctl.top import following as followed
from kmodctl.top.details import details
from kmodctl.top.following import Following, refusal
from kmodctl.top.questions import AskedLine, Question
from kmodctl.top.rows import ORDERS, Row, chosen, rows_of
from kmodctl.top.table import LoadedTable
from kmodctl.top.telling import as_line, shown
from kmodd.escapes import escaped
from kmodd.messages.daemon_service import KERNEL_KIND, GetStatusResponse, WhoAmIResponse
from kmodd.messages.kernel_log_service import LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LogRecord
from kmodd.messages.module_service import Hold, Module, WatchModulesResponse
from kmodd.messages.policy import ROLE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from textual.notifications import SeverityLevel

KEPT = 2000
"""Lines that are kept of the log, and of the events."""

WIDE = 120
"""Cells of a terminal that has room for the details from the start."""

DETAILS_PAUSE = 0.1
"""Seconds that the cursor rests on a module until its details are asked for."""

FEW = 5
"""Lines of a message that stand above all."""

TOAST = 8
"""Seconds that they do."""

LOAD_HINT = "a name or an alias, then NAME=VALUE... for parameters; right takes what is offered"

STYLE = """
Screen { layers: base; }
#head { height: 1; text-style: reverse; padding: 0 1; }
#filter { height: 1; border: none; padding: 0 1; }
#above { height: 1fr; }
#modules { width: 3fr; height: 100%; scrollbar-size-vertical: 1; scrollbar-size-horizontal: 1; }
#modules > .datatable--cursor, #modules > .datatable--header-cursor
    { background: ansi_default; color: ansi_default; text-style: reverse; }
#modules > .datatable--header { background: ansi_default; color: ansi_default; text-style: bold; }
#modules > .datatable--hover, #modules > .datatable--header-hover { text-style: underline; }
#beside { width: 2fr; border-left: ascii ansi_default; padding: 0 1; display: none;
    scrollbar-size-vertical: 1; }
#beside.shown { display: block; }
#below { height: 30%; min-height: 8; layout: vertical; }
.-wide #below { layout: horizontal; }
RichLog { height: 1fr; width: 1fr; border-top: ascii ansi_default; scrollbar-size: 1 1; }
.-wide #events { border-left: ascii ansi_default; }
Question, AskedLine { align: center middle; }
.box { width: 76; max-width: 95%; height: auto; max-height: 90%; padding: 0 1;
    border: ascii ansi_default; background: ansi_default; }
.plan { height: auto; max-height: 12; margin: 1 0 0 0; }
.buttons { height: 1; margin: 1 0 0 0; }
Button { margin: 0 2 0 0; text-style: none; }
Button:focus { text-style: reverse; }
.box Input { margin: 1 0; text-style: underline; }
"""


class Top(App[None]):
    """Shows the daemon on a socket until it is left; is told of it as a Follower."""

    CSS = STYLE
    ENABLE_COMMAND_PALETTE = False
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (WIDE, "-wide")]  # noqa: RUF012
    BINDINGS: ClassVar[list[BindingType]] = [
        # It counts before the keys behind it are given to whatever has the focus by now.
        Binding("slash", "filter", "Filter", key_display="/", priority=True),
        Binding("l", "load", "Load"),
        Binding("u", "unload", "Unload"),
        Binding("h", "hold", "Hold"),
        Binding("e", "end_hold", "End"),
        Binding("r", "reload", "Reload"),
        Binding("p", "set", "Set"),
        Binding("s", "sort", "Sort"),
        Binding("d,enter", "details", "Details", key_display="d"),
        Binding("q", "leave", "Quit"),
        Binding("ctrl+c", "leave", show=False),
        Binding("escape", "clear", show=False),
    ]

    def __init__(self, path: str) -> None:
        super().__init__(ansi_color=True)  # the terminal's own colours, whatever it has of them
        self.theme = "ansi-dark"
        self.animation_level = "none"  # each picture of one goes over the network
        self.following = Following(path, self)
        self._who = WhoAmIResponse()
        self._about = ""
        self._is_there = False
        self._rows: list[Row] = []
        self._holds: list[Hold] = []
        self._own: dict[str, AsyncHeldModules] = {}
        self._order = ORDERS[0]
        self._head = Static(id="head", markup=False)
        self._wanted = Input(id="filter", placeholder="a part of a name", compact=True)
        self._table = LoadedTable(id="modules")
        self._details = Static(id="details", markup=False)
        self._beside = VerticalScroll(self._details, id="beside")
        self._log_pane, self._events_pane = (
            RichLog(id=name, wrap=True, min_width=0, max_lines=KEPT, markup=False)
            for name in ("log", "events")
        )

    def compose(self) -> ComposeResult:
        """Arrange the parts, from the top to the bottom."""
        self._log_pane.border_title = "kernel log"
        self._events_pane.border_title = "events"
        yield self._head
        yield self._wanted
        yield Horizontal(self._table, self._beside, id="above")
        yield Container(self._log_pane, self._events_pane, id="below")
        yield Footer(show_command_palette=False, compact=True)

    def on_mount(self) -> None:
        """Begin to follow."""
        self._wanted.display = False
        self._table.focus()
        self._beside.set_class(self.size.width >= WIDE, "shown")
        self._tell_head()
        self.run_worker(self.following.follow(), name="following")

    # What a daemon is followed for.

    def arrived(self, who: WhoAmIResponse, status: GetStatusResponse) -> None:
        """Show which daemon there is, offer what the caller may do, and hold again what he held."""
        self._who = who
        kind = f" ({shown_name(KERNEL_KIND, status.kernel)})" if status.kernel else ""
        self._about = (
            f"kmodd {status.version}  {status.release}{kind}  {shown_name(ROLE, who.role)}"
        )
        if not self._is_there and self._rows:
            self.say(["the daemon is there again"])
        self._is_there = True
        may_read = followed.LOG in who.methods
        self._log_pane.border_title = "kernel log" if may_read else "kernel log (not for this role)"
        self._tell_head()
        if self._own:
            self._hold_again()

    def gone(self, why: str) -> None:
        """Show that there is no daemon, and why."""
        self._is_there = False
        self._tell_head()
        self.say([f"WARNING: the daemon has gone, waiting for it: {why}"])

    def listed(self, modules: list[Module], holds: list[Hold]) -> None:
        """Show the modules."""
        self._rows, self._holds = rows_of(modules, holds), holds
        for name, held in [*self._own.items()]:
            if held.lost.is_set() and not is_of_the_daemon(held.failure):
                del self._own[name]
                self.say([f"WARNING: the hold of {name} is lost: {held.failure}"])
        self._tell_rows()

    def happened(self, event: WatchModulesResponse) -> None:
        """Show an event."""
        for pieces in event_lines(event):
            line = Text()
            for piece in pieces:
                if isinstance(piece, Styled):
                    line.append(shown(piece.text, piece.style))
                else:
                    line.append(shown(piece))
            _append(self._events_pane, line)

    def logged(self, record: LogRecord) -> None:
        """Show a record of the kernel's log."""
        is_bad = 0 < record.level <= LOG_LEVEL_ERROR
        style = "red" if is_bad else "yellow" if record.level == LOG_LEVEL_WARNING else ""
        _append(self._log_pane, shown(line_of(record), style, wraps=True))

    def failed(self, line: str) -> None:
        """Show what is not told."""
        self.say([line])

    def say(self, lines: Iterable[str]) -> None:
        """Show messages of kmodctl's: among the events, and for a moment above all."""
        lines = [*lines]
        for line in lines:
            _append(self._events_pane, as_line(line))
        self._toast(lines)

    def _toast(self, lines: Sequence[str]) -> None:
        """Show lines for a moment, a few of many."""
        is_bad = any(line.startswith(("ERROR", "FATAL")) for line in lines)
        severity: SeverityLevel = "error" if is_bad else "information"
        more = [f"and {len(lines) - FEW} more"] if len(lines) > FEW else []
        text = escaped("\n".join([*lines[:FEW], *more]), "\n")
        if text:
            self.notify(text, severity=severity, markup=False, timeout=TOAST)

    # What is shown.

    def _tell_head(self) -> None:
        if not self._is_there:
            gone = "the daemon has gone; waiting" if self._rows else "looking for the daemon"
            self._head.update(shown(gone))
        else:
            self._head.update(shown(f"{self._about}  {self._counts()}  by {self._order}"))
        self.refresh_bindings()

    def refresh_bindings(self) -> None:
        """Have the footer show what may be done now, as long as there is one.

        A message of the table's may come after the last screen has gone.
        """
        if self.screen_stack:
            super().refresh_bindings()

    def _counts(self) -> str:
        shown_count = len(chosen(self._rows, self._wanted.value, self._order))
        whole = f"{len(self._rows)} loaded"
        return f"{shown_count} of {whole}" if self._wanted.value else whole

    def _tell_rows(self) -> None:
        self._table.show(chosen(self._rows, self._wanted.value, self._order))
        self._tell_head()
        self._tell_details()

    @work(exclusive=True, group="details")
    async def _tell_details(self) -> None:
        """Show what there is to tell of the module that the cursor is on."""
        if not self._beside.has_class("shown"):
            return
        await asyncio.sleep(DETAILS_PAUSE)
        row, client = self._table.row, self.following.client
        if row is None:
            self._details.update("")
        elif client is not None:
            try:
                self._details.update(await details(client, row, self._who.methods))
            except (KmodctlError, UsageError) as error:
                self._details.update(as_line(refusal(error)))

    @on(DataTable.RowHighlighted)
    def _on_other_row(self) -> None:
        self.refresh_bindings()
        self._tell_details()

    @on(DataTable.HeaderSelected)
    def _on_header(self, event: DataTable.HeaderSelected) -> None:
        self._sort({"Module": "name", "Size": "size", "Uses": "uses"}.get(str(event.label)))

    @on(Input.Changed, "#filter")
    def _on_filter(self) -> None:
        self._tell_rows()

    @on(Input.Submitted, "#filter")
    def _on_filtered(self) -> None:
        self._table.focus()

    # What keys do.

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Tell which keys there are: none for what the caller may not do to this module."""
        if action == "filter":
            return not isinstance(self.focused, Input)
        if action not in deeds.CALLED:
            return super().check_action(action, parameters)
        row = self._table.row
        if not deeds.may(action, self._who, row.name if row is not None else None):
            return False
        if action == "end_hold" and not self._holds_of(row):
            return False
        return True if self._is_there else None

    def action_filter(self) -> None:
        """Filter as one types."""
        self._wanted.display = True
        self.screen.set_focus(self._wanted)

    def action_clear(self) -> None:
        """Show all modules again."""
        self._wanted.value = ""
        self._wanted.display = False
        self._table.focus()

    def action_sort(self) -> None:
        """Sort by the next of what there is to sort by."""
        self._sort(ORDERS[(ORDERS.index(self._order) + 1) % len(ORDERS)])

    def _sort(self, order: str | None) -> None:
        self._order = order or ORDERS[0]
        self._tell_rows()

    def action_details(self) -> None:
        """Show the details, or do not."""
        self._beside.toggle_class("shown")
        self._tell_details()

    @on(DataTable.RowSelected)
    def _on_selected(self) -> None:
        self._beside.add_class("shown")
        self._tell_details()

    @work(group="deed")
    async def action_leave(self) -> None:
        """End, once that is agreed to where it ends holds."""
        names = " ".join(self._own)
        if not names or await self.push_screen_wait(Question("Quit?", [f"lets go of {names}"])):
            self.exit()

    @work(group="deed")
    async def action_load(self) -> None:
        """Load what is named."""
        line = await self.push_screen_wait(AskedLine("Load which module?", LOAD_HINT, self._names))
        if line:
            await self._do(lambda there: deeds.load(there, line))

    @work(group="deed")
    async def action_unload(self) -> None:
        """Unload the module that the cursor is on."""
        name = self._module_name()
        if name:
            await self._do(lambda client: deeds.unload(client, name))

    @work(group="deed")
    async def action_reload(self) -> None:
        """Reload the module that the cursor is on."""
        name = self._module_name()
        if name:
            await self._do(lambda client: deeds.reload(client, name))

    @work(group="deed")
    async def action_set(self) -> None:
        """Set a parameter of the module that the cursor is on."""
        name, client = self._module_name(), self.following.client
        if not name or client is None:
            return
        try:
            known = await deeds.settable(client, name)
        except (KmodctlError, UsageError) as error:
            self.say([refusal(error)])
            return
        if not known:
            self.say([f"{name} shows no parameter that can be set"])
            return
        hint = f"as NAME=VALUE: {' '.join(known)}"
        line = await self.push_screen_wait(
            AskedLine(f"Set which parameter of {name}?", hint, known)
        )
        if line:
            await self._do(lambda there: deeds.set_parameter(there, name, line))

    @work(group="deed")
    async def action_hold(self) -> None:
        """Hold the module that the cursor is on, or let go of it."""
        name = self._module_name()
        if name in self._own:
            if await self.push_screen_wait(Question(f"Let go of {name}?")):
                await self._own.pop(name).close()
                self.following.look()
        elif name:
            await self._do(lambda client: deeds.hold(client, name, self._own))

    @work(group="deed")
    async def action_end_hold(self) -> None:
        """End the holds that others have of the module that the cursor is on."""
        holds = self._holds_of(self._table.row)
        if holds:
            await self._do(lambda client: deeds.end_holds(client, holds))

    def _holds_of(self, row: Row | None) -> list[Hold]:
        """Return the holds of others of a module."""
        own = {each.answer.hold for each in self._own.values()}
        name = row.name if row is not None else ""
        return [hold for hold in self._holds if name in hold.modules and hold.hold not in own]

    @work(group="hold again")
    async def _hold_again(self) -> None:
        """Hold with the new daemon what was held with the one before.

        Where that has gone, too, it is for the next one.
        """
        for name, lost in [*self._own.items()]:
            await lost.close()
            client = self.following.client
            if client is None:
                return
            if self._own.get(name) is not lost:  # it was given up meanwhile
                continue
            try:
                await (await deeds.hold(client, name, self._own)).do()
            except (KmodctlError, UsageError) as error:
                if isinstance(error, KmodctlError) and is_of_the_daemon(error):
                    return
                self._own.pop(name, None)
                self.say([f"{refusal(error)}; {name} is not held any more"])

    def _module_name(self) -> str:
        row = self._table.row
        return row.name if row is not None else ""

    async def _names(self) -> list[str]:
        """Return the names of the tree's modules."""
        client = self.following.client
        if client is None:
            return []
        try:
            return [each.name async for each in client.find_modules(descriptions=False)]
        except (KmodctlError, UsageError):  # then they are typed
            return []

    async def _do(self, plan: Callable[[Client], Awaitable[deeds.PlannedDeed]]) -> None:
        """Have something planned, ask, and do it; whatever fails is told."""
        client = self.following.client
        try:
            if client is None:
                self.say(["ERROR: there is no daemon"])
                return
            planned = await plan(client)
            if not await self.push_screen_wait(Question(planned.question, planned.lines)):
                return
            if client is not self.following.client:
                self.say(["ERROR: the daemon has gone meanwhile, nothing was done"])
            else:
                self._toast(await planned.do())  # the operation is among the events
        except deeds.RefusedError as refused:
            self.say(refused.lines)
        except (KmodctlError, UsageError, UnicodeEncodeError) as error:
            self.say([refusal(error)])
        self.following.look()


def _append(pane: RichLog, line: Text) -> None:
    """Add a line, and stay at the end if that is where the reader is."""
    pane.write(line, scroll_end=pane.is_vertical_scroll_end)
