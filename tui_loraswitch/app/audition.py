"""Auditions: what the cursor is on is drawn at once, and in full where it rests."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.timer import Timer

from engine.errors import EngineError
from engine.library.entry import LibraryEntry
from engine.protocol.commands import Audition, AuditionAhead, KeepAudition
from engine.protocol.events import Auditioned, CommandFailed, EventMessage
from engine.protocol.text import stack_words
from engine.words.clean import clean_line
from tui_loraswitch.app.audition_ahead import further
from tui_loraswitch.control.audition import full_look, quick_look

if TYPE_CHECKING:
    from tui_loraswitch.app.app_base import AppBase

REST_SECONDS = 2.0
"""How long nothing moves before the full picture is drawn."""
AHEAD_SECONDS = 1.0
"""Where a picture takes longer, its steps do too, and what is asked for next would wait for one."""


class Auditioning:
    """Asks for pictures to look at, and shows the newest one that comes."""

    def __init__(self, app: AppBase) -> None:
        self._app = app
        self.is_on = False
        self._quick: Audition | None = None
        """What was asked for last while something moved."""
        self._shown: Audition | None = None
        """What was asked for last."""
        self._asked = ""
        """The command that did."""
        self._is_answered = False
        self._seen: Audition | None = None
        """What the picture that is shown was asked for with."""
        self._before: Audition | None = None
        """What was asked for before `_quick`."""
        self._seconds = 0.0
        """How long the last quick picture took that was drawn."""
        self._row, self._direction = 0, 1
        """Of the list, and where the cursor came from."""
        self._timer: Timer | None = None

    def keep(self) -> None:
        """Have the picture that is shown saved among the pictures; raises `EngineError`."""
        seen = self._seen
        if not self.is_on or seen is None or seen.request is None:
            raise EngineError("No picture of an audition is shown: a begins one.")
        self._app.control.send(KeepAudition(seen.request, seen.stack))

    def toggle(self) -> None:
        """Turn it on, or off: then the stack that was chosen is live."""
        self.is_on = not self.is_on
        self._quick = self._seen = self._before = None
        self._app.main.picture.say_audition(self.is_on)
        if self.is_on:
            self._app.main.show_pane("picture", take_focus=False)
            self.look_again()
            return
        self._stop_timer()
        self._app.attempt(lambda: self._app.control.send(Audition(None)))

    def look_again(self) -> None:
        """Draw what the cursor is on now, if it is another picture than before."""
        if not self.is_on:
            return
        control = self._app.control
        try:
            quick = quick_look(control, self._entry, control.settings.audition)
            if quick is None or quick == self._quick:
                return
            self._before, self._quick = self._quick, quick
            self._follow_cursor()
            self._ask(quick)
        except EngineError as error:
            self._say(error)
            return
        self._stop_timer()
        self._timer = self._app.set_timer(REST_SECONDS, self._look_closer)

    def take(self, answer: EventMessage) -> None:
        """Show a picture that has come, if it is the newest."""
        if not self.is_on or answer.answers != self._asked or self._shown is None:
            return
        self._is_answered = True
        match answer.event:
            case Auditioned() as picture:
                self._show(picture)
            case CommandFailed(message=message, cancelled=False):
                self._app.main.picture.say_no_audition(clean_line(message))

    def _show(self, picture: Auditioned) -> None:
        """Show the picture of what was asked for last."""
        shown = self._seen = self._shown
        assert shown is not None, "asked for"
        request = shown.request
        assert request is not None, "asked for"
        words = stack_words(shown.stack)
        facts = f"{request.steps} steps · {request.sampler} · seed {request.seed}"
        is_full = shown is not self._quick
        self._app.main.picture.show_audition(picture.path, words, facts, is_full)
        if is_full:
            return
        self._seconds = picture.seconds if picture.is_new else self._seconds
        if self._seconds <= AHEAD_SECONDS:
            self._draw_ahead()

    def _draw_ahead(self) -> None:
        """Have what is likely next drawn: the next strength, or the next row."""
        control, before, now = self._app.control, self._before, self._quick
        likely = further(before, now) if before is not None and now is not None else None
        if likely is None:
            entry = self._app.main.library.lora_beside(self._direction)
            if entry is None:
                return
            try:
                likely = quick_look(control, entry, control.settings.audition)
            except EngineError:
                return  # whoever goes there is told
        if likely is not None and likely.request is not None and likely != now:
            control.send(AuditionAhead(likely.request, likely.stack))

    def _follow_cursor(self) -> None:
        before, self._row = self._row, self._app.main.library.cursor
        if before != self._row:
            self._direction = 1 if self._row > before else -1

    @property
    def _entry(self) -> LibraryEntry | None:
        return self._app.main.library.highlighted

    def _ask(self, audition: Audition) -> None:
        self._asked = self._app.control.send(audition)
        self._shown, self._is_answered = audition, False
        if audition is self._quick:
            self._app.main.picture.say_auditioning(stack_words(audition.stack))

    def _look_closer(self) -> None:
        """Ask for the full picture: nothing has moved for a while."""
        if not self._is_answered:
            self._timer = self._app.set_timer(REST_SECONDS, self._look_closer)
            return
        try:
            if (full := full_look(self._app.control, self._entry)) is not None:
                self._ask(full)
        except EngineError as error:
            self._say(error)

    def _say(self, error: EngineError) -> None:
        """Say why there is no picture of what the cursor is on."""
        self._quick = self._shown = self._seen = self._before = None
        self._stop_timer()
        self._app.main.picture.say_no_audition(clean_line(str(error)))

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.stop()
            self._timer = None
