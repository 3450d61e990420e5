"""What every part of the app may use: the control, the panes, and ways to say something."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from textual.app import App
from textual.notifications import Notify, SeverityLevel
from textual.signal import Signal

from engine.demo import vocabulary
from engine.errors import EngineError
from engine.protocol.log import Kind, LogLine
from engine.protocol.view import EngineView
from engine.words.clean import clean_line

if TYPE_CHECKING:
    from tui_loraswitch.app.audition import Auditioning
    from tui_loraswitch.app.engine_link import EngineLink
    from tui_loraswitch.app.following import Following
    from tui_loraswitch.app.highlight import Highlight
    from tui_loraswitch.app.main_screen import MainScreen
    from tui_loraswitch.app.rescuing import Rescuing
    from tui_loraswitch.app.services import Services
    from tui_loraswitch.app.stack_likeness import StackLikeness
    from tui_loraswitch.app.undo import Undo
    from tui_loraswitch.control.cell_task import CellTask
    from tui_loraswitch.control.control import Control
    from tui_loraswitch.images.budget import PictureBudget


CLOSE_SECONDS = 1.5
"""How long the engine may take to end before the app ends without it."""


_LONGEST_TOAST = 400
_MOST_TOASTS = 3
_KINDS: dict[SeverityLevel, Kind] = {
    "information": "info",
    "warning": "warning",
    "error": "failure",
}


class AppBase(App[None]):
    """The app without its keys: those of one subject are a subclass in a file of their own.

    `LoraSwitchApp` has them all among its bases, and makes what is declared here.
    """

    control: Control
    """Wishes and settings; what it is asked may raise `EngineError`."""
    main: MainScreen
    """The panes."""
    services: Services
    """What works beside the screen."""
    stack_likeness: StackLikeness
    undo: Undo
    """What can be taken back."""
    link: EngineLink
    view_changed: Signal[EngineView]
    """The engine is another than before."""
    following: Following
    auditioning: Auditioning
    rescuing: Rescuing
    highlight: Highlight
    picture_budget: PictureBudget
    """The bytes a second that pictures may take."""
    sweep_task: CellTask | None = None
    """The sweep, tour or previews that were begun last."""
    engine_stopped = False
    """True when the engine's thread has ended; else the process must be ended hard."""

    def stop_engine(self, timeout: float = CLOSE_SECONDS) -> bool:
        """End what runs beside the screen; True when this process's engine has ended in time.

        Also for the caller of `run`, after the app has ended by an error; may be called again.
        """
        self.engine_stopped = self.services.stop(timeout)
        return self.engine_stopped

    @property
    def shows_panes(self) -> bool:
        """Whether the panes are there; what the library tells may come while the app closes."""
        return bool(self.main.is_attached and self.main.library.query("#lora-list"))

    def attempt(self, wish: Callable[[], object]) -> bool:
        """Do what was asked, or say why not; True when it was done."""
        try:
            wish()
        except EngineError as error:
            self.toast(str(error), "warning")
            return False
        return True

    async def attempt_slow(self, wish: Awaitable[object]) -> bool:
        """The same for what takes a while, and is awaited beside the screen."""
        try:
            await wish
        except EngineError as error:
            self.toast(str(error), "warning")
            return False
        return True

    def show_state(self, is_other: bool = False) -> None:
        """Show prompt and settings as they are now; `is_other`: even over what is being typed."""
        state, model = self.control.state, self.control.view.model
        self.main.prompt.show_texts(state.prompt, state.negative_prompt, is_other)
        self.main.prompt.show_settings(state, model.default_size if model else None)
        self.main.prompt.show_hint(vocabulary.in_short() if model and model.is_demo else "")

    def on_notify(self, message: Notify) -> None:
        """What is said again stands there once, and few at a time cover the screen."""
        shown = list(self._notifications)
        others = [one for one in shown if one.message != message.notification.message]
        for one in shown:
            if one not in others[1 - _MOST_TOASTS :]:
                self._unnotify(one, refresh=False)

    def toast(self, words: str, severity: SeverityLevel, title: str = "") -> None:
        """Say something in a corner of the screen for a while, and in the log for good."""
        words = clean_line(words, _LONGEST_TOAST)
        self.notify(words, title=title, severity=severity, markup=False)
        self.main.log_pane.write(LogLine(_KINDS[severity], words))

    def warn(self, words: str) -> None:
        """Say something in the log pane, as a warning."""
        self.main.log_pane.write(LogLine("warning", clean_line(words)))
