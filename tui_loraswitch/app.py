"""The terminal app: carries keys to the control, and events to the panes."""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from typing import Any, ClassVar

from textual import events, on
from textual.app import App, SystemCommand
from textual.binding import BindingType
from textual.message_pump import MessagePump
from textual.notifications import SeverityLevel
from textual.screen import Screen
from textual.worker import WorkerFailed

from engine.demo import vocabulary
from engine.errors import EngineError
from engine.events import CommandFailed, Event, GenerationFinished, ModelLoaded, PictureSaved
from engine.library.entry import LibraryEntry
from engine.library.text import clean_line
from engine.refs import LoraRef
from tui_loraswitch.background import in_background
from tui_loraswitch.control import Control
from tui_loraswitch.dialogs import choose_model, edit_settings, show_help, type_strength
from tui_loraswitch.hang_up import HangUp
from tui_loraswitch.highlight import Highlight
from tui_loraswitch.images.terminal import TerminalImages
from tui_loraswitch.key_order import KeyOrder
from tui_loraswitch.keys import APP_BINDINGS
from tui_loraswitch.messages import (
    EngineReported,
    EntryHighlighted,
    LibraryFound,
    LibraryReread,
    ProblemNoticed,
    PromptChanged,
    PromptLeft,
    ReadingTaken,
    ScanProgressed,
)
from tui_loraswitch.palette import key_commands
from tui_loraswitch.panes.library import FilterInput
from tui_loraswitch.panes.log_lines import LogLine
from tui_loraswitch.panes.lora_list import LoraList
from tui_loraswitch.panes.stack import StackList
from tui_loraswitch.remembering import Remembering
from tui_loraswitch.screens.main import MainScreen
from tui_loraswitch.services import Services
from tui_loraswitch.session_like import SessionLike
from tui_loraswitch.settings import AppSettings
from tui_loraswitch.text import plural
from tui_loraswitch.theme import INK
from tui_loraswitch.ui_state import RememberedState

log = logging.getLogger(__name__)

CLOSE_SECONDS = 1.5
"""How long the engine may take to end before the app ends without it."""


class LoraSwitchApp(App[None]):
    """SDXL with a library of LoRAs, in a terminal.

    `images` is what `detect_image_protocol` found before the app took the terminal over.
    """

    TITLE = "loraswitch"
    CSS = "Toast { max-width: 64; }"
    BINDINGS: ClassVar[list[BindingType]] = APP_BINDINGS

    def __init__(
        self,
        settings: AppSettings,
        session: SessionLike | None = None,
        images: TerminalImages | None = None,
    ) -> None:
        super().__init__()
        # Every animation step and every blink is bytes over SSH.
        self.animation_level = "none"
        self.register_theme(INK)
        self.engine_stopped = False
        """True when the engine's thread has ended; else the process must be ended hard."""
        self.fault: BaseException | None = None
        """What ended the app though it should not."""
        self._settings = settings
        self._services = Services(settings, self.post_message, session)
        remembered = RememberedState.of(settings)
        self.control = Control(lambda: self._services.session, settings, remembered.load())
        plain = TerminalImages("off" if settings.image_protocol == "off" else "halfcell")
        self.main = MainScreen(images or plain, settings.block_weights)
        self._remembering = Remembering(self, self._services, remembered)
        self._remembering.restore()
        self._highlight = Highlight(self, self._show_details, self.control.prefetch)
        self._key_order = KeyOrder(super().on_event, self._key_path)
        self._hang_up: HangUp | None = None
        self._shown: object = None
        self._is_closing = False

    def get_default_screen(self) -> Screen[Any]:
        """The panes."""
        return self.main

    async def on_event(self, event: events.Event) -> None:
        """Put keys in order; everything else goes its way."""
        if isinstance(event, events.Key) and not event.is_forwarded:
            self._key_order.put(event)
        else:
            await super().on_event(event)

    def _key_path(self) -> list[MessagePump]:
        """All that a key may set to work, from the focused widget up to the app."""
        return list((self.focused or self.screen).ancestors_with_self)

    def on_load(self) -> None:
        """Take the signals, before the terminal is taken."""
        if threading.current_thread() is threading.main_thread():
            keyboard = None if self.is_headless else sys.__stdin__
            terminal = keyboard.fileno() if keyboard is not None else None
            self._hang_up = HangUp(self._end_without_screen, self.exit, terminal)

    def on_mount(self) -> None:
        """Show what is remembered; start the rest when the first frame is out."""
        self.run_worker(self._key_order.run(), name="keys")
        self.call_after_refresh(self._start)

    def on_unmount(self) -> None:
        """Signals are no longer ours."""
        if self._hang_up is not None:
            self._hang_up.forget()

    def _start(self) -> None:
        self.show_state()
        self._services.start()

    def report(self, event: Event) -> None:
        """Take an event from the engine, on any thread."""
        self._services.report(event)

    # What others report.

    @on(EngineReported)
    def _follow_engine(self, message: EngineReported) -> None:
        event, waited = message.event, self.control.waiting
        self.control.receive(event)
        self.main.receive(event)
        match event:
            case ModelLoaded(model=model, notes=notes):
                self._services.follow_model(model)
                for note in notes:
                    self._toast(note, "information")
                self.show_state()
            case CommandFailed(message=words, unexpected=unexpected):
                title = "Unexpected fault; the log file has the details" if unexpected else ""
                if not event.cancelled:
                    self._toast(words, "error", title)
                if event.command == "load" and not self.control.models.is_loading:
                    self.main.log_pane.write(LogLine("info", self.control.models.advice))
                    if waited:
                        self._warn(f"not drawn without it: {plural(waited, 'waiting picture')}")
            case PictureSaved():
                self._remembering.keep()
            case GenerationFinished(warnings=warnings) if warnings:
                self._toast("\n".join(warnings), "warning")
        self._show_control()

    @on(ReadingTaken)
    def _show_reading(self, message: ReadingTaken) -> None:
        self.main.gauges.show_reading(message.reading)

    @on(ScanProgressed)
    def _show_scan(self, message: ScanProgressed) -> None:
        self.main.library.show_progress(message.done, message.total)

    @on(LibraryFound)
    def _show_library(self, message: LibraryFound) -> None:
        by_name, names = message.by_name, message.names
        self.control.prompt_loras.know(by_name.entries, message.is_complete, names)
        self.main.library.show_entries(by_name, message.is_complete)

    @on(LibraryReread)
    def _say_what_changed(self, message: LibraryReread) -> None:
        self.main.log_pane.write(LogLine("info", f"library read again: {message.words}"))

    @on(ProblemNoticed)
    def _note_problem(self, message: ProblemNoticed) -> None:
        self._warn(message.problem)

    @on(EntryHighlighted)
    def _follow_highlight(self, message: EntryHighlighted) -> None:
        self._highlight.follow(message.entry)

    def _show_details(self, entry: LibraryEntry | None) -> None:
        if not self.main.details.is_attached:
            return  # the timer was late: the app is closing
        refused = self.control.refused.get(entry.path, "") if entry else ""
        self.main.details.show_entry(entry, refused)

    @on(PromptChanged)
    def _take_prompt(self, message: PromptChanged) -> None:
        self.control.state = replace(
            self.control.state, prompt=message.prompt, negative_prompt=message.negative_prompt
        )

    @on(PromptLeft)
    def _leave_prompt(self) -> None:
        self.main.library.focus_target().focus()

    @on(LoraList.Activated)
    def _choose(self, message: LoraList.Activated) -> None:
        self.attempt(partial(self.control.choose, message.entry))

    @on(LoraList.Toggled)
    def _toggle(self, message: LoraList.Toggled) -> None:
        self.attempt(partial(self.control.toggle, message.entry))

    @on(StackList.Removed)
    def _remove(self, message: StackList.Removed) -> None:
        self.attempt(partial(self.control.remove, message.ref, message.is_tagged))

    @on(StackList.Weighed)
    def _weigh(self, message: StackList.Weighed) -> None:
        weighed = replace(message.ref, blocks=message.blocks)
        self.attempt(partial(self.control.change, weighed, message.is_tagged))

    # What keys do.

    def action_base(self) -> None:
        """Go back to the base model."""
        self.attempt(self.control.base)

    def action_strength(self, delta: float) -> None:
        """Change the strength of the highlighted member of the stack."""
        part = self.main.stack.part
        self.attempt(lambda: self.control.adjust(delta, self._member(), part))

    def action_type_strength(self) -> None:
        """Type the strength of the highlighted member of the stack."""
        self.attempt(lambda: type_strength(self, self._member()))

    def _member(self) -> LoraRef:
        """The member of the stack that is meant by where the cursor is."""
        return self.control.member(*self.main.highlighted_member)

    def action_generate(self, new_seed: bool = False) -> None:
        """Draw a picture."""
        if self.attempt(partial(self.control.generate, new_seed)):
            self.show_state()
            self.main.show_pane("picture", take_focus=False)
        elif self.control.model is not None and not self.control.state.prompt.strip():
            self.action_edit_prompt()

    def action_cancel(self) -> None:
        """Stop drawing or loading."""
        self.attempt(self.control.cancel)

    def action_models(self) -> None:
        """Choose another model."""
        choose_model(self, self._services)

    def action_load_again(self) -> None:
        """Load the model again that could not be loaded."""
        self.attempt(self.control.load_again)

    def action_rescan(self) -> None:
        """Read the library's folders again."""
        if not self._services.rescan():
            self._toast("The library is being read.", "warning")
            return
        # What was refused may be another file now.
        self.control.refused.clear()
        self._show_control()

    def action_verify(self) -> None:
        """Compare the base with its fingerprints."""
        if self.attempt(self.control.verify):
            self.main.status.show_busy("verifying")

    def action_move_backup(self) -> None:
        """Move the backups to the next place."""
        if self.attempt(self.control.move_backup):
            self.main.status.show_busy("moving the backup")

    def action_insert_trigger(self) -> None:
        """Put the highlighted LoRA's trigger words into the prompt."""
        entry = self.main.library.highlighted

        def insert(entry: LibraryEntry) -> None:
            insertion = self.control.insert_trigger(entry)
            self.show_state()
            self.main.show_pane("prompt", take_focus=False)
            self.main.prompt.show_insertion(entry.name, insertion)

        if entry is not None:
            self.attempt(partial(insert, entry))

    def action_edit_prompt(self, negative: bool = False) -> None:
        """Write the prompt or the negative prompt."""
        self.main.show_pane("prompt", take_focus=False)
        self.main.prompt.edit(negative)

    def action_find(self) -> None:
        """Write into the library's filter."""
        self.main.query_one(FilterInput).focus()

    def action_settings(self) -> None:
        """Edit steps, sampler, seed, size."""
        edit_settings(self, self._services)

    def action_pane(self, name: str) -> None:
        """Show one of the panes on the right."""
        self.main.show_pane(name)

    def action_turn_pane(self, count: int) -> None:
        """Show the next or previous pane on the right."""
        self.main.turn_pane(count)

    def action_help(self) -> None:
        """Show the keys."""
        show_help(self)

    async def action_quit(self) -> None:
        """Keep prompt and settings, end the engine, leave."""
        if not self._is_closing:
            self._is_closing = True
            self._remembering.keep()
            await in_background(self.stop_engine)
            self.exit()

    def _end_without_screen(self) -> None:
        """Keep prompt and settings and end the engine, on any thread."""
        self._is_closing = True
        self._remembering.keep()
        self.stop_engine()

    @property
    def signal(self) -> int | None:
        """The signal that ended the app."""
        return self._hang_up.signal if self._hang_up is not None else None

    def _handle_exception(self, error: Exception) -> None:
        """Let a fault end the app; its details go into the log, and nothing of them to the screen.

        Textual would print the values of local variables, whatever a stranger has put there.
        """
        self.fault = error.error if isinstance(error, WorkerFailed) else error
        log.critical("the app failed", exc_info=self.fault)
        super()._handle_exception(error)
        self._exit_renderables.clear()

    def stop_engine(self, timeout: float = CLOSE_SECONDS) -> bool:
        """End what runs beside the screen; True when the engine's thread has ended in time.

        Also for the caller of `run`, after the app has ended by an error; may be called again.
        """
        self.engine_stopped = self._services.stop(timeout)
        return self.engine_stopped

    def get_system_commands(self, screen: Screen[Any]) -> Iterable[SystemCommand]:
        """The actions of all keys, for the command palette."""
        for node in (self, self.main.library, self.main.stack.focus_target()):
            yield from key_commands(self, node)
        yield SystemCommand("Theme", "Choose other colours", self.action_change_theme)

    # Helpers.

    def attempt(self, wish: Callable[[], object]) -> bool:
        """Do what was asked, or say why not; True when it was done."""
        try:
            wish()
        except EngineError as error:
            self._toast(str(error), "warning")
            return False
        self._show_control()
        return True

    def _show_control(self) -> None:
        """Show stack, refusals and queue as they are now, where they differ from what is shown."""
        if self._remembering.follow_model():
            self.show_state(is_other=True)
        control = self.control
        self.main.status.show_queue(control.queued, control.waiting, bool(control.cancelled))
        shown = (self.control.stack.view, dict(self.control.refused))
        if shown != self._shown:
            self._shown = shown
            self.main.library.show_refused(self.control.refused)
            self.main.show_stack(self.control.stack.view)

    def show_state(self, is_other: bool = False) -> None:
        """Show prompt and settings as they are now; `is_other`: even over what is being typed."""
        state, model = self.control.state, self.control.model
        self.main.prompt.show_texts(state.prompt, state.negative_prompt, is_other)
        self.main.prompt.show_settings(state, model.default_size if model else None)
        self.main.prompt.show_hint(vocabulary.in_short() if model and model.is_demo else "")

    def _toast(self, words: str, severity: SeverityLevel, title: str = "") -> None:
        self.notify(clean_line(words), title=title, severity=severity, markup=False)

    def _warn(self, words: str) -> None:
        self.main.log_pane.write(LogLine("warning", clean_line(words)))
