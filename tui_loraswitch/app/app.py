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
from textual.driver import Driver
from textual.message_pump import MessagePump
from textual.notifications import SeverityLevel
from textual.screen import Screen
from textual.signal import Signal
from textual.worker import WorkerFailed

from engine.demo import vocabulary
from engine.errors import EngineError
from engine.host.runtime import HostPlace
from engine.library.entry import LibraryEntry
from engine.protocol.log import LogLine
from engine.protocol.refs import LoraRef
from engine.protocol.view import EngineView
from engine.words.clean import clean_line
from tui_loraswitch.app.dialogs import (
    choose_model,
    edit_settings,
    show_help,
    show_jobs,
    type_strength,
    weigh_blocks,
)
from tui_loraswitch.app.engine_link import Attach, EngineLink
from tui_loraswitch.app.following import Following
from tui_loraswitch.app.hang_up import HangUp
from tui_loraswitch.app.highlight import Highlight
from tui_loraswitch.app.key_order import KeyOrder
from tui_loraswitch.app.keyboard import with_keyboard
from tui_loraswitch.app.leaving import Leaving
from tui_loraswitch.app.main_screen import MainScreen
from tui_loraswitch.app.remembering import Remembering
from tui_loraswitch.app.services import Services
from tui_loraswitch.config.settings import AppSettings
from tui_loraswitch.config.ui_state import RememberedState
from tui_loraswitch.control.control import Control
from tui_loraswitch.images.terminal import TerminalImages
from tui_loraswitch.look.keys import APP_BINDINGS
from tui_loraswitch.look.palette import key_commands
from tui_loraswitch.look.theme import INK
from tui_loraswitch.panes.library import FilterInput
from tui_loraswitch.panes.lora_list import LoraList
from tui_loraswitch.panes.messages import (
    EngineAnswered,
    EngineAttached,
    EngineLost,
    EntryHighlighted,
    LibraryFound,
    LibraryReread,
    OlderHostFound,
    ProblemNoticed,
    PromptChanged,
    PromptLeft,
    ReadingTaken,
    ScanProgressed,
    ViewChanged,
)
from tui_loraswitch.panes.stack import StackList

log = logging.getLogger(__name__)

CLOSE_SECONDS = 1.5
"""How long the engine may take to end before the app ends without it."""


class LoraSwitchApp(App[None]):
    """SDXL with a library of LoRAs, in a terminal.

    `attach` gives the engine, which is that of the host at `place`, or (None) this process's own.
    `images` is what `detect_image_protocol` found before the app took the terminal over.
    """

    TITLE = "loraswitch"
    CSS = "Toast { max-width: 64; }"
    BINDINGS: ClassVar[list[BindingType]] = APP_BINDINGS

    def __init__(
        self,
        settings: AppSettings,
        attach: Attach,
        images: TerminalImages | None = None,
        place: HostPlace | None = None,
    ) -> None:
        super().__init__()
        # Every animation step and every blink is bytes over SSH.
        self.animation_level = "none"
        self.register_theme(INK)
        self.engine_stopped = False
        """True when the engine's thread has ended; else the process must be ended hard."""
        self.fault: BaseException | None = None
        """What ended the app though it should not."""
        self.link = EngineLink(attach, self.post_message, place)
        self._services = Services(settings, self.post_message, self.link)
        remembered = RememberedState.of(settings)
        self.control = Control(lambda: self.link.engine, settings, remembered.load())
        plain = TerminalImages("off" if settings.image_protocol == "off" else "halfcell")
        self.main = MainScreen(images or plain, settings.block_weights)
        self._remembering = Remembering(self, self._services, remembered)
        self._remembering.restore()
        self._following = Following(self, self._services, self._remembering)
        self._leaving = Leaving(self, self._remembering)
        self._highlight = Highlight(self, self._show_details, self.control.prefetch)
        self._key_order = KeyOrder(super().on_event, self._key_path)
        self.view_changed: Signal[EngineView] = Signal(self, "view-changed")
        """The engine is another than before."""
        self._hang_up: HangUp | None = None

    def get_default_screen(self) -> Screen[Any]:
        """The panes."""
        return self.main

    def get_driver_class(self) -> type[Driver]:
        """Textual's, which knows pasted text from keys."""
        return with_keyboard(super().get_driver_class())

    async def on_event(self, event: events.Event) -> None:
        """Put keys in order, and what is pasted among them; everything else goes its way."""
        if isinstance(event, events.Key | events.Paste) and not event.is_forwarded:
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
            self._hang_up = HangUp(self._leaving.without_screen, self.exit, terminal)

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

    # What others report.

    @on(EngineAttached)
    def _greet_engine(self, message: EngineAttached) -> None:
        self._following.attach(message.view)

    @on(ViewChanged)
    def _follow_engine(self, message: ViewChanged) -> None:
        self._following.follow(message.view, message.taken)

    @on(EngineAnswered)
    def _take_answer(self, message: EngineAnswered) -> None:
        self._following.take_answer(message.answer)

    @on(EngineLost)
    def _miss_engine(self, message: EngineLost) -> None:
        self._following.lose(message.reason, message.starts_again)

    @on(OlderHostFound)
    def _meet_older_host(self, message: OlderHostFound) -> None:
        from tui_loraswitch.app.older_host import say_older

        say_older(self, message, self._services.replace_host)

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
        self.warn(message.problem)

    @on(EntryHighlighted)
    def _follow_highlight(self, message: EntryHighlighted) -> None:
        self._highlight.follow(message.entry)

    def _show_details(self, entry: LibraryEntry | None) -> None:
        if not self.main.details.is_attached:
            return  # the timer was late: the app is closing
        self.main.details.show_entry(entry, self.control.why_refused(entry) if entry else "")

    @on(PromptChanged)
    def _take_prompt(self, message: PromptChanged) -> None:
        self.control.state = replace(
            self.control.state, prompt=message.prompt, negative_prompt=message.negative_prompt
        )

    @on(PromptLeft)
    def _leave_prompt(self) -> None:
        self.control.share_draft()
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

    @on(StackList.Weighing)
    def _weigh(self, message: StackList.Weighing) -> None:
        weigh_blocks(self, message.ref, message.is_tagged)

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
            self.control.share_draft()
            self.show_state()
            self.main.show_pane("picture", take_focus=False)
        elif not self.control.state.prompt.strip():
            self.action_edit_prompt()

    def action_generate_again_and_again(self) -> None:
        """Draw with new seeds until that is stopped."""
        if self.attempt(partial(self.control.generate, new_seed=True, forever=True)):
            self.show_state()
            self.main.show_pane("picture", take_focus=False)

    def action_jobs(self) -> None:
        """Show the queue."""
        show_jobs(self)

    def action_unload(self) -> None:
        """Give the model's memory back; stack and queue stay."""
        self.attempt(self.control.unload)

    def action_cancel(self) -> None:
        """Stop drawing or loading."""
        self.attempt(self.control.cancel)

    def action_models(self) -> None:
        """Choose another model."""
        choose_model(self, self._services)

    def action_load_again(self) -> None:
        """Load the model again that could not be loaded, with another engine if that is gone."""
        if self.link.engine is None and self.link.place is not None:
            self._services.start_engine()
        else:
            self.attempt(self.control.load_again)

    def action_rescan(self) -> None:
        """Read the library's folders again."""
        if not self._services.rescan():
            self.toast("The library is being read.", "warning")

    def action_verify(self) -> None:
        """Compare the base with its fingerprints."""
        self.attempt(self.control.verify)

    def action_move_backup(self) -> None:
        """Move the backups to the next place."""
        self.attempt(self.control.move_backup)

    def action_insert_trigger(self) -> None:
        """Put the highlighted LoRA's trigger words into the prompt."""
        entry = self.main.library.highlighted

        def insert(entry: LibraryEntry) -> None:
            insertion = self.control.insert_trigger(entry)
            self.control.share_draft()
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
        """Leave; the engine ends too, unless somebody else needs it or it has work."""
        await self._leaving.quit()

    async def action_detach(self) -> None:
        """Leave, and let the engine go on."""
        if self.link.place is None:
            self.toast("This engine lives in the app and ends with it; q ends both.", "warning")
        else:
            await self._leaving.detach()

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
        """End what runs beside the screen; True when this process's engine has ended in time.

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
            self.toast(str(error), "warning")
            return False
        return True

    def show_state(self, is_other: bool = False) -> None:
        """Show prompt and settings as they are now; `is_other`: even over what is being typed."""
        state, model = self.control.state, self.control.view.model
        self.main.prompt.show_texts(state.prompt, state.negative_prompt, is_other)
        self.main.prompt.show_settings(state, model.default_size if model else None)
        self.main.prompt.show_hint(vocabulary.in_short() if model and model.is_demo else "")

    def toast(self, words: str, severity: SeverityLevel, title: str = "") -> None:
        """Say something in a corner of the screen for a while."""
        self.notify(clean_line(words), title=title, severity=severity, markup=False)

    def warn(self, words: str) -> None:
        """Say something in the log pane, as a warning."""
        self.main.log_pane.write(LogLine("warning", clean_line(words)))
