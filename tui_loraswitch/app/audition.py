"""Auditions: what the cursor is on is drawn at once, and in full where it rests."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.timer import Timer

from engine.errors import EngineError
from engine.library.entry import LibraryEntry
from engine.protocol.commands import Audition, KeepAudition
from engine.protocol.events import Auditioned, CommandFailed, EventMessage
from engine.protocol.text import stack_words
from engine.words.clean import clean_line
from tui_loraswitch.control.audition import full_look, quick_look

if TYPE_CHECKING:
    from tui_loraswitch.app.app_base import AppBase

REST_SECONDS = 2.0
"""How long nothing moves before the full picture is drawn."""


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
        self._quick = self._seen = None
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
            self._quick = quick
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
            case Auditioned(path=path):
                request = self._shown.request
                assert request is not None, "asked for"
                words = stack_words(self._shown.stack)
                facts = f"{request.steps} steps · {request.sampler} · seed {request.seed}"
                is_full = self._shown is not self._quick
                self._seen = self._shown
                self._app.main.picture.show_audition(path, words, facts, is_full)
            case CommandFailed(message=message, cancelled=False):
                self._app.main.picture.say_no_audition(clean_line(message))

    @property
    def _entry(self) -> LibraryEntry | None:
        return self._app.main.library.highlighted

    def _ask(self, audition: Audition) -> None:
        self._asked = self._app.control.send(audition)
        self._shown, self._is_answered = audition, False

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
        self._quick = self._shown = self._seen = None
        self._stop_timer()
        self._app.main.picture.say_no_audition(clean_line(str(error)))

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.stop()
            self._timer = None
