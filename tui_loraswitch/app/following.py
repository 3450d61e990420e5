"""What the app does about its engine: when it attaches, changes, answers, and is lost."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from engine.protocol.commands import Audition, AuditionAhead, Draw, KeepAudition
from engine.protocol.events import (
    CommandFailed,
    EventMessage,
    GenerationFinished,
    ModelInfo,
    ModelLoaded,
)
from engine.protocol.log import LogLine
from engine.protocol.view import EngineView
from engine.words.clean import clean_line
from tui_loraswitch.app.dialogs import ask
from tui_loraswitch.app.remembering import Remembering
from tui_loraswitch.app.services import Services

if TYPE_CHECKING:
    from tui_loraswitch.app.app_base import AppBase


class Following:
    """Carries the engine's view to the control and the panes, and says what the user must know."""

    def __init__(self, app: AppBase, services: Services, remembering: Remembering) -> None:
        self._app = app
        self._services = services
        self._remembering = remembering

    def attach(self, view: EngineView) -> None:
        """Show an engine that is there now, and see that it has a model."""
        from engine.host.logout import logout_warning

        app = self._app
        self._services.watch_process(app.link.status.get("pid"))
        if app.link.place is not None and (warning := logout_warning()) is not None:
            app.warn(warning)
        self.follow(view, is_new=True)
        if view.model is None and view.working != "load":
            if app.attempt(partial(app.control.load, app.control.wanted_model)):
                app.main.status.show_away("starting")  # until the load has begun
        elif app.control.settings.model_is_named and view.model is not None:
            self._offer_named_model(view.model)

    def _offer_named_model(self, model: ModelInfo) -> None:
        """Ask before the host's model, which others may be using, is replaced by the named one."""
        app, named = self._app, self._app.control.settings.model
        if (None if model.is_demo else model.path) != named:
            name = clean_line(named.stem, 60) if named else "the demo"
            load = partial(app.attempt, partial(app.control.load, named))
            words = f"The host has {clean_line(model.name, 60)} open."
            ask(app, words, {f"open {name}": load, "keep it": lambda: None})

    def follow(self, view: EngineView, taken: str | None = None, *, is_new: bool = False) -> None:
        """Show what the engine is like now; `taken` is the command that it has taken in.

        `is_new` says that it is another engine, which counts its events anew.
        """
        app, before = self._app, self._app.control.view
        if view.seq < before.seq and not is_new:
            return  # a later one has overtaken it
        app.control.follow(view, taken)
        app.main.show_view(view)
        app.view_changed.publish(view)
        app.auditioning.look_again()
        if view.model is not None and view.model is not before.model:
            if view.working != "draw":  # a job's own comes and goes with it
                self._services.follow_model(view.model)
            app.show_state()
        app.rescuing.follow(view.pictures, () if is_new else before.pictures)
        if view.pictures and view.pictures[-1:] != before.pictures[-1:]:
            self._remembering.keep()
        if self._remembering.follow_model():
            app.show_state(is_other=True)
        is_news = view.draft is not before.draft and not app.main.prompt.is_edited
        if is_news and app.control.take_draft():
            app.show_state()

    def take_answer(self, answer: EventMessage) -> None:
        """Say how a command of this screen has ended, where the log does not say it all."""
        app = self._app
        asked = app.control.asked.pop(answer.answers or "", None)
        if asked is None or isinstance(asked, AuditionAhead):
            return
        if isinstance(asked, Audition):
            app.auditioning.take(answer)
            return
        match answer.event:
            case ModelLoaded(notes=notes):
                for note in notes:
                    app.toast(note, "information")
            case CommandFailed() as failed:
                if isinstance(asked, Draw) and not failed.cancelled:
                    app.run_worker(self._say_not_drawn(asked, failed), group="not drawn")
                elif not failed.cancelled:
                    self._say_failed(failed)
                if failed.command == "load" and not app.control.loads:
                    app.main.log_pane.write(LogLine("info", app.control.advice))
            case GenerationFinished(pictures=pictures, warnings=warnings):
                if isinstance(asked, KeepAudition):
                    app.toast(f"Kept: {clean_line(pictures[0].path.name, 60)}.", "information")
                # Those that have trouble with their place are asked about.
                troubles = {picture.trouble for picture in pictures}
                if others := [words for words in warnings if words not in troubles]:
                    app.toast("\n".join(others), "warning")

    async def _say_not_drawn(self, draw: Draw, failed: CommandFailed) -> None:
        if not await self._app.rescuing.draw_elsewhere(draw):
            self._say_failed(failed)

    def _say_failed(self, failed: CommandFailed) -> None:
        fault = "Unexpected fault; the log file has the details" if failed.unexpected else ""
        self._app.toast(failed.message, "error", fault)

    def lose(self, reason: str, starts_again: bool) -> None:
        """Say that the engine is gone, and what becomes of it."""
        app, reason = self._app, clean_line(reason)
        app.control.lose()
        if starts_again:
            app.main.status.show_away("starting the engine again")
            words = f"The engine is gone ({reason}). It is started again, with stack and queue."
            app.toast(words, "warning")
        else:
            app.main.status.show_away("no engine")
            app.toast(f"There is no engine: {reason}", "error")
            app.warn(f"there is no engine: {reason} · L starts one")
