"""The terminal app: made of its parts, opened and closed."""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from textual import events
from textual.app import SystemCommand
from textual.binding import ActiveBinding, Binding, BindingType
from textual.driver import Driver
from textual.message_pump import MessagePump
from textual.screen import Screen
from textual.signal import Signal
from textual.worker import Worker, WorkerFailed

from engine.host.runtime import HostPlace
from tui_loraswitch.app.arrange_keys import ArrangeKeys
from tui_loraswitch.app.audition import Auditioning
from tui_loraswitch.app.audition_keys import AuditionKeys
from tui_loraswitch.app.clipboard import Clipboard
from tui_loraswitch.app.config_faults import wrong_choices
from tui_loraswitch.app.drawing_keys import DrawingKeys
from tui_loraswitch.app.engine_link import Attach, EngineLink
from tui_loraswitch.app.following import Following
from tui_loraswitch.app.hang_up import HangUp
from tui_loraswitch.app.highlight import Highlight
from tui_loraswitch.app.key_order import KeyOrder, Typed
from tui_loraswitch.app.key_sequences import KeySequences
from tui_loraswitch.app.keymap import chosen_keys, chosen_preset
from tui_loraswitch.app.leaving import Leaving
from tui_loraswitch.app.library_keys import LibraryKeys
from tui_loraswitch.app.main_screen import MainScreen
from tui_loraswitch.app.model_keys import ModelKeys
from tui_loraswitch.app.palette import SEARCHES
from tui_loraswitch.app.picture_keys import PictureKeys
from tui_loraswitch.app.preview_keys import PreviewKeys
from tui_loraswitch.app.prompt_keys import PromptKeys
from tui_loraswitch.app.recipe_keys import RecipeKeys
from tui_loraswitch.app.redraw import redraw
from tui_loraswitch.app.remembering import Remembering
from tui_loraswitch.app.reports import Reports
from tui_loraswitch.app.rescuing import Rescuing
from tui_loraswitch.app.services import Services
from tui_loraswitch.app.stack_keys import StackKeys
from tui_loraswitch.app.stack_likeness import StackLikeness
from tui_loraswitch.app.terminal_driver import own_driver
from tui_loraswitch.app.undo import Undo
from tui_loraswitch.app.view_keys import ViewKeys
from tui_loraswitch.app.welcoming import is_first_start, welcome
from tui_loraswitch.config.settings import AppSettings
from tui_loraswitch.config.ui_state import RememberedState
from tui_loraswitch.control.control import Control
from tui_loraswitch.images.budget import PictureBudget
from tui_loraswitch.images.terminal import TerminalImages
from tui_loraswitch.look.frames import seen_colours
from tui_loraswitch.look.key_names import in_short
from tui_loraswitch.look.keys import APP_BINDINGS
from tui_loraswitch.look.palette import key_commands
from tui_loraswitch.look.theme import INK

log = logging.getLogger(__name__)

_OPENING = {"prompts", "recipes", "sweep"}
"""Groups of workers."""


class LoraSwitchApp(
    AuditionKeys,
    StackKeys,
    DrawingKeys,
    PictureKeys,
    PreviewKeys,
    LibraryKeys,
    RecipeKeys,
    ArrangeKeys,
    PromptKeys,
    ModelKeys,
    ViewKeys,
    Reports,
    Clipboard,
):
    """SDXL with a library of LoRAs, in a terminal; its bases each have the keys of one subject.

    `attach` gives the engine, which is that of the host at `place`, or (None) this process's own.
    `images` is what `detect_image_protocol` found before the app took the terminal over.
    """

    TITLE = "loraswitch"
    CSS = """
    Toast { max-width: 64; }
    CommandPalette > Vertical { margin-top: 0; }
    CommandPalette CommandList { max-height: 50vh; }
    """
    BINDINGS: ClassVar[list[BindingType]] = APP_BINDINGS
    COMMANDS = SEARCHES

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
        self.fault: BaseException | None = None
        """What ended the app though it should not."""
        self.link = EngineLink(attach, self.post_message, place)
        self.services = Services(settings, self.post_message, self.link)
        self.undo = Undo()
        self.stack_likeness = StackLikeness(self)
        remembered = RememberedState.of(settings)
        self.control = Control(lambda: self.link.engine, settings, remembered.load())
        self.control.on_edit, self.control.on_draw = self.note_stack, self.note_use
        plain = TerminalImages("off" if settings.image_protocol == "off" else "halfcell")
        self.picture_budget = PictureBudget(settings.picture_kib_per_second * 1024 or None)
        self.main = MainScreen(
            images or plain,
            settings.block_weights,
            self.picture_budget,
            settings.audition.kib_per_second,
            self.show_state,
        )
        self._remembering = Remembering(self, self.services, remembered)
        self._remembering.restore()
        self.following = Following(self, self.services, self._remembering)
        self._leaving = Leaving(self, self._remembering)
        self.auditioning = Auditioning(self)
        self.rescuing = Rescuing(self)
        self.highlight = Highlight(self, self.show_details, self.control.prefetch)
        self._key_order = KeyOrder(self._take_typed, self._key_path, self._opening)
        self._sequences = KeySequences(
            lambda: self.main.active_bindings,
            self.run_bound,
            self.main.library.move_to,
            self.main.key_bar.show_hint,
        )
        self.use_keys(settings.keys)
        self.view_changed = Signal(self, "view-changed")
        self._hang_up: HangUp | None = None

    def get_default_screen(self) -> Screen[Any]:
        """The panes."""
        return self.main

    def get_driver_class(self) -> type[Driver]:
        """Textual's, with pastes known from keys, and fewer bytes."""
        return own_driver(super().get_driver_class())

    async def on_event(self, event: events.Event) -> None:
        """Put keys in order, and what is pasted among them; everything else goes its way."""
        if isinstance(event, events.Key | events.Paste) and not event.is_forwarded:
            self._key_order.put(event)
        else:
            await super().on_event(event)

    async def _take_typed(self, event: Typed) -> None:
        """Do what a key says, alone or with those before it; a text gets what is typed into it."""
        self.main.note_key()
        is_command = self.screen is self.main and not self.main.is_written_into
        if not is_command or not isinstance(event, events.Key):
            self._sequences.forget()
        elif self._sequences.take(event):
            return
        await super().on_event(event)

    def use_keys(self, keys: Mapping[str, str]) -> None:
        """Use the keys that the config names."""
        chosen = chosen_keys(keys)
        self._sequences.has_counts = chosen_preset(keys).has_counts
        self._sequences.has_sequences = any(" " in key for key in chosen.values())
        self.set_keymap(chosen)

    def run_bound(self, bound: ActiveBinding, times: int) -> None:
        """Do what a key says so many times, as if it was pressed."""
        for _ in range(times):
            self.call_later(self.run_action, bound.binding.action, bound.node)

    def get_key_display(self, binding: Binding) -> str:
        """As Textual does; keys pressed one after the other stand together."""
        return in_short(binding.key) if " " in binding.key else super().get_key_display(binding)

    def _key_path(self) -> list[MessagePump]:
        """All that a key may set to work, from the focused widget up to the app."""
        return list((self.focused or self.screen).ancestors_with_self)

    def _opening(self) -> set[Worker[Any]]:
        """What reads something before it shows a dialog, or before it does what that says."""
        return {one for one in self.workers if one.group in _OPENING and one.is_running}

    def on_load(self) -> None:
        """Take the signals, before the terminal is taken."""
        if threading.current_thread() is threading.main_thread():
            self._hang_up = HangUp(self._leaving.without_screen, self.exit)

    def on_mount(self) -> None:
        """Show what is remembered; start the rest when the first frame is out."""
        # Earlier it is not known whether there is a terminal.
        if self._hang_up is not None and not self.is_headless and sys.__stdin__ is not None:
            self._hang_up.watch(sys.__stdin__.fileno())
        self.run_worker(self._key_order.run(), name="keys")
        self.app_resume_signal.subscribe(self, lambda _: redraw(self))
        self.call_after_refresh(self._start)

    def on_unmount(self) -> None:
        """Signals are no longer ours."""
        if self._hang_up is not None:
            self._hang_up.forget()

    def _start(self) -> None:
        self.services.start()
        for words in wrong_choices(self, [self, *self.main.walk_children()]):
            self.warn(words)
        if is_first_start(self):
            welcome(self)

    def watch_app_focus(self, is_focused: bool) -> None:
        """A screen that came while another window had the focus focuses what it would have."""
        if is_focused and self.screen.focused is None:
            self.screen.focus_next(self.screen.AUTO_FOCUS or "*")

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

    def get_css_variables(self) -> dict[str, str]:
        """The theme's colours, with frames and words that can be seen."""
        variables = super().get_css_variables()
        self.theme_variables = {**variables, **seen_colours(variables)}
        return self.theme_variables

    def get_system_commands(self, screen: Screen[Any]) -> Iterable[SystemCommand]:
        """The actions of all keys, for the command palette."""
        for node in (self, self.main.library, self.main.stack.focus_target()):
            yield from key_commands(self, node)
        yield SystemCommand("Theme", "Choose other colours", self.action_change_theme)
