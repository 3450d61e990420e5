"""What the engine, the library and the gauges report, on its way to the panes."""

from __future__ import annotations

from textual import on

from engine.library.entry import LibraryEntry
from engine.protocol.log import LogLine
from tui_loraswitch.app.app_base import AppBase
from tui_loraswitch.panes.messages import (
    DiskLookedAt,
    EngineAnswered,
    EngineAttached,
    EngineLost,
    EntryHighlighted,
    LibraryChanged,
    LibraryFound,
    OlderHostFound,
    ProblemNoticed,
    ReadingTaken,
    ScanProgressed,
    ViewChanged,
)


class Reports(AppBase):
    """Carries what others report to the control and the panes."""

    @on(EngineAttached)
    def _greet_engine(self, message: EngineAttached) -> None:
        self.following.attach(message.view)

    @on(ViewChanged)
    def _follow_engine(self, message: ViewChanged) -> None:
        self.following.follow(message.view, message.taken)
        self.stack_likeness.follow(message.view.wanted)

    @on(EngineAnswered)
    def _take_answer(self, message: EngineAnswered) -> None:
        self.following.take_answer(message.answer)

    @on(EngineLost)
    def _miss_engine(self, message: EngineLost) -> None:
        self.following.lose(message.reason, message.starts_again)

    @on(OlderHostFound)
    def _meet_older_host(self, message: OlderHostFound) -> None:
        from tui_loraswitch.app.older_host import say_older

        say_older(self, message, self.services.replace_host)

    @on(ReadingTaken)
    def _show_reading(self, message: ReadingTaken) -> None:
        self.main.gauges.show_reading(message.reading)

    @on(ScanProgressed)
    def _show_scan(self, message: ScanProgressed) -> None:
        self.main.library.show_progress(message.done, message.total)

    @on(LibraryFound)
    def _show_library(self, message: LibraryFound) -> None:
        if not self.shows_panes:
            return
        if message.names is not None:
            self.control.prompt_loras.know(message.names, message.is_complete)
        self.main.library.show_index(message.index, message.is_complete)

    @on(LibraryChanged)
    def _say_what_changed(self, message: LibraryChanged) -> None:
        if not self.shows_panes:
            return
        what = "library read again" if message.was_asked else "library"
        self.main.log_pane.write(LogLine("info", f"{what}: {message.words}"))

    @on(DiskLookedAt)
    def _go_on(self, message: DiskLookedAt) -> None:
        message.then()

    @on(ProblemNoticed)
    def _note_problem(self, message: ProblemNoticed) -> None:
        if self.shows_panes:
            self.warn(message.problem)

    @on(EntryHighlighted)
    def _follow_highlight(self, message: EntryHighlighted) -> None:
        self.highlight.follow(message.entry)
        self.auditioning.look_again()

    def show_details(self, entry: LibraryEntry | None) -> None:
        """Show what is known of a LoRA."""
        if not self.main.details.is_attached:
            return  # the timer was late: the app is closing
        self.main.details.show_entry(entry, self.control.why_refused(entry) if entry else "")
