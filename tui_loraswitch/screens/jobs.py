"""The queue screen: the pictures that are not drawn yet, to reorder, drop and pause."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.signal import Signal
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from engine.protocol.commands import (
    CancelAll,
    CancelJob,
    Command,
    MoveJob,
    PauseQueue,
    RetryJob,
)
from engine.protocol.jobs import Job
from engine.protocol.text import stack_words
from engine.protocol.view import EngineView
from engine.words.clean import clean_line
from tui_loraswitch.look.theme import FAINT, MUTED
from tui_loraswitch.screens.framed import Framed
from tui_loraswitch.screens.list_dialog import ListDialog
from tui_loraswitch.screens.options import Options

_PROMPT_WIDTH, _SEED_WIDTH, _COUNT_WIDTH, _STACK_WIDTH = 30, 12, 6, 19
"""Together with the sign and three spaces as wide as the dialog."""
_SIGNS = {
    "running": ("▸", "$text-primary"),
    "waiting": ("○", FAINT),
    "set aside": ("!", "$text-error"),
}


class JobsScreen(ListDialog[None]):
    """Shows the queue of an engine and follows it; each key sends one command."""

    DEFAULT_CSS = """
    JobsScreen {
        & OptionList { min-height: 1; max-height: 60vh; }
        & #job-note { height: auto; max-height: 4; padding-top: 1; color: $text-muted; }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,Q", "dismiss(None)", "close", id="jobs.close",
                tooltip="Leave the queue as it is"),
        Binding("d,delete", "drop", "drop", id="jobs.drop",
                tooltip="Drop the highlighted picture; one that is being drawn is stopped"),
        Binding("K,shift+up", "move(-1)", "earlier", id="jobs.earlier",
                tooltip="Draw the highlighted picture earlier"),
        Binding("J,shift+down", "move(1)", "later", id="jobs.later",
                tooltip="Draw the highlighted picture later"),
        Binding("p", "pause", "pause", id="jobs.pause",
                tooltip="Stop after the picture that is being drawn, or go on"),
        Binding("t", "retry", "try again", id="jobs.retry",
                tooltip="Put a picture that was set aside back into the queue"),
        Binding("X", "drop_all", "drop all", id="jobs.drop-all",
                tooltip="Stop drawing and drop all that wait"),
    ]  # fmt: skip

    def __init__(
        self, view: EngineView, changes: Signal[EngineView], send: Callable[[Command], object]
    ) -> None:
        super().__init__()
        self._view = view
        self._changes = changes
        self._send = send

    def compose(self) -> ComposeResult:
        """The list, and the whole prompt of the highlighted picture."""
        with Framed("d drops · K J move · p pauses · Escape closes"):
            yield Options(id="job-list", markup=False)
            yield Static(id="job-note", markup=False)

    def on_mount(self) -> None:
        """Show what is known already, and what comes."""
        self.show_view(self._view)
        self._changes.subscribe(self, self.show_view)

    def show_view(self, view: EngineView) -> None:
        """Follow the engine; the cursor stays on its picture."""
        highlighted = self._highlighted
        is_new = view.jobs is not self._view.jobs or not self._list.option_count
        self._view = view
        paused = " · paused" if view.paused else ""
        self.query_one(Vertical).border_title = f"Queue {len(view.jobs)}{paused}"
        if is_new:
            self._list.clear_options()
            self._list.add_options(Option(_row(job)) for job in view.jobs)
            places = {job.id: number for number, job in enumerate(view.jobs)}
            if places:
                self._list.highlighted = places.get(highlighted.id, 0) if highlighted else 0
        self._show_note()

    @on(OptionList.OptionHighlighted)
    def follow_cursor(self) -> None:
        """Show the whole prompt of the picture under the cursor."""
        self._show_note()

    def action_drop(self) -> None:
        """Drop the highlighted picture."""
        if (job := self._highlighted) is not None:
            self._send(CancelJob(job.id))

    def action_drop_all(self) -> None:
        """Drop all."""
        self._send(CancelAll())

    def action_move(self, by: int) -> None:
        """Change places with the neighbour; the picture that is being drawn stays where it is."""
        jobs, job = self._view.jobs, self._highlighted
        if job is None or job.state == "running":
            return
        place = jobs.index(job) + by
        if not 0 <= place < len(jobs) or jobs[place].state == "running":
            return
        following = jobs[place + 1 :] if by > 0 else jobs[place:]
        self._send(MoveJob(job.id, following[0].id if following else None))

    def action_pause(self) -> None:
        """Stop after the running picture, or go on."""
        self._send(PauseQueue(not self._view.paused))

    def action_retry(self) -> None:
        """Put what was set aside back."""
        if (job := self._highlighted) is not None and job.state == "set aside":
            self._send(RetryJob(job.id))

    @property
    def _list(self) -> OptionList:
        return self.query_one(OptionList)

    @property
    def _highlighted(self) -> Job | None:
        number = self._list.highlighted
        jobs = self._view.jobs
        return jobs[number] if number is not None and number < len(jobs) else None

    def _show_note(self) -> None:
        job = self._highlighted
        if job is None:
            words = "Nothing is waiting: g draws a picture, A draws again and again."
        else:
            words = job.reason or clean_line(job.request.prompt, 300)
        self.query_one("#job-note", Static).update(Content(clean_line(words)))


def _row(job: Job) -> Content:
    request = job.request
    count = "again" if job.forever else f"{job.drawn}/{request.batch}" if request.batch > 1 else ""
    prompt = Content(clean_line(request.prompt, 200))
    stack = Content.styled(stack_words(job.stack) if job.stack else "base", MUTED)
    return Content.assemble(
        (f"{_SIGNS[job.state][0]} ", _SIGNS[job.state][1]),
        prompt.truncate(_PROMPT_WIDTH, ellipsis=True, pad=True),
        (f"{request.seed:>{_SEED_WIDTH}}", MUTED),
        (f"{count:>{_COUNT_WIDTH}}  ", MUTED),
        stack.truncate(_STACK_WIDTH, ellipsis=True),
    )
