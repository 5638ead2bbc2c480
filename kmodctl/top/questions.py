# SPDX-License-Identifier: Apache-2.0
"""What asks before something is done: yes or no, or for a line."""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.suggester import SuggestFromList
from textual.widgets import Button, Input, Static

from kmodctl.top.telling import as_line, shown

Known = Sequence[str] | Callable[[], Awaitable[Sequence[str]]]


class Question(ModalScreen[bool]):
    """Asks yes or no; ``lines`` say what would be done."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "answer(True)", "Yes"),
        Binding("n,escape,q", "answer(False)", "No"),
        Binding("left,right,up,down", "app.focus_next", show=False),
    ]

    def __init__(self, question: str, lines: Iterable[str] = ()) -> None:
        super().__init__()
        self._question = question
        self._lines = [*lines]

    def compose(self) -> ComposeResult:
        """Show the question, what it comes to, and two buttons of which 'No' has the focus."""
        with Vertical(classes="box"):
            yield Static(shown(self._question, "bold", wraps=True), markup=False)
            if self._lines:
                with VerticalScroll(classes="plan", can_focus=False):
                    yield Static(Text("\n").join(map(as_line, self._lines)), markup=False)
            with Horizontal(classes="buttons"):
                yield Button("Yes (y)", id="yes", compact=True)
                yield Button("No (n)", id="no", compact=True)

    def on_mount(self) -> None:
        """Have the harmless answer at hand."""
        self.query_one("#no").focus()

    def on_button_pressed(self, event: Button.Pressed) -> None:
        """Answer as the button has it."""
        self.dismiss(event.button.id == "yes")

    def action_answer(self, answer: bool) -> None:
        """Answer by a key."""
        self.dismiss(answer)


class AskedLine(ModalScreen[str]):
    """Asks for a line; "" where there is to be none."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "leave", "Leave")]

    def __init__(self, question: str, hint: str, known: Known) -> None:
        """``known`` is what the line may be, or what asks for that; what fits is offered."""
        super().__init__()
        self._question = question
        self._hint = hint
        self._known = known

    def compose(self) -> ComposeResult:
        """Show the question and a field."""
        with Vertical(classes="box"):
            yield Static(shown(self._question, "bold", wraps=True), markup=False)
            yield Input(compact=True)
            yield Static(shown(self._hint, "dim", wraps=True), markup=False)

    async def on_mount(self) -> None:
        """Find out what to offer; a field shows as it is what it is given."""
        if isinstance(self._known, Sequence):
            self._offer(self._known)
        else:
            self.run_worker(self._ask(self._known))

    async def _ask(self, known: Callable[[], Awaitable[Sequence[str]]]) -> None:
        self._offer(await known())

    def _offer(self, known: Sequence[str]) -> None:
        offered = sorted(filter(str.isprintable, known))
        self.query_one(Input).suggester = SuggestFromList(offered)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Take the line."""
        self.dismiss(event.value.strip())

    def action_leave(self) -> None:
        """Take none."""
        self.dismiss("")
