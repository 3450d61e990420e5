"""Opening the dialogs, and passing on what was chosen in them."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from engine.block_weights import BlockWeights
from engine.protocol.commands import Command
from engine.protocol.refs import LoraRef
from tui_loraswitch.app.state_undo import note_state
from tui_loraswitch.config.ui_state import UiState

if TYPE_CHECKING:
    from tui_loraswitch.app.app_base import AppBase
    from tui_loraswitch.app.services import Services


def choose_model(app: AppBase, services: Services) -> None:
    """Offer the models in the model folders, and have the chosen one loaded."""
    from tui_loraswitch.screens.models import ModelsScreen, ModelWish

    control = app.control

    def load(wish: ModelWish | None) -> None:
        if wish is None:
            return
        if control.predict(wish.path, wish.prediction) and wish.path is not None:
            services.remember("predictions", control.settings.remembered_predictions)
        app.attempt(partial(control.load, wish.path))

    screen = ModelsScreen(
        control.wanted_model,
        is_loaded=control.view.model is not None,
        predictions=control.settings.predictions,
    )
    app.push_screen(screen, load)
    services.find_models(control.last_file, screen.post_message, screen.closed)


def edit_settings(app: AppBase, services: Services, field: str = "steps") -> None:
    """Edit steps, sampler, seed and size of the next picture, `field` first."""
    from tui_loraswitch.screens.settings import SettingsScreen

    def take(state: UiState | None) -> None:
        if state is None:
            return
        is_new = state.empty_negative != app.control.state.empty_negative
        # The demo is for trying things out: it changes nothing of real work.
        if is_new and app.control.wanted_model is not None:
            services.remember("empty_negative", state.empty_negative)
        before, app.control.state = app.control.state, state
        note_state(app, "the settings", before)
        app.control.share_draft()
        app.show_state()
        if state != before:
            # A folded screen shows there what has been chosen.
            app.main.show_pane("prompt", take_focus=False)

    model = app.control.view.model
    size = model.default_size if model else None
    app.push_screen(SettingsScreen(app.control.state, size, field), take)


def type_strength(app: AppBase, ref: LoraRef) -> None:
    """Edit the strengths of a member of the stack."""
    from tui_loraswitch.screens.strength import StrengthScreen

    def change(changed: LoraRef | None) -> None:
        if changed is not None:
            app.attempt(partial(app.control.change, changed))

    app.push_screen(StrengthScreen(ref), change)


def weigh_blocks(app: AppBase, ref: LoraRef, is_tagged: bool) -> None:
    """Edit the block weights of a member of the stack; those in a tag are edited there."""
    from tui_loraswitch.screens.block_weights import BlockWeightsScreen

    def weigh(blocks: BlockWeights | None) -> None:
        if blocks is not None:
            app.attempt(partial(app.control.change, replace(ref, blocks=blocks), is_tagged))

    if is_tagged:
        weigh(ref.blocks)  # nothing to edit here: the answer says where
    else:
        app.push_screen(BlockWeightsScreen(ref, app.control.settings.block_weights), weigh)


def show_jobs(app: AppBase) -> None:
    """Show the queue, to reorder, drop and pause."""
    from tui_loraswitch.screens.jobs import JobsScreen

    def send(command: Command) -> None:
        app.attempt(partial(app.control.send, command))

    app.push_screen(JobsScreen(app.control.view, app.view_changed, send))


def ask(app: AppBase, words: str, answers: Mapping[str, Callable[[], object]]) -> None:
    """Let the user choose what to do."""
    from tui_loraswitch.screens.question import QuestionScreen

    async def answer(chosen: str | None) -> None:
        done = answers[chosen]() if chosen is not None else None
        if inspect.isawaitable(done):
            await done

    app.push_screen(QuestionScreen(words, tuple(answers)), answer)


def choose_theme(app: AppBase) -> None:
    """Choose the colours; where the config file names a theme, it names the new one then."""
    from tui_loraswitch.screens.themes import ThemeScreen

    before = app.theme

    def take(name: str | None) -> None:
        app.theme = name or before
        if app.control.settings.theme and name is not None:
            app.services.remember("theme", name)

    app.push_screen(ThemeScreen(sorted(app.available_themes), before), take)


def show_help(app: AppBase) -> None:
    """Show the keys of the focused pane and of the app, or those of a screen that has its own."""
    from tui_loraswitch.screens.help import HasHelp, HelpScreen

    screen = app.screen
    if screen is app.main:
        app.push_screen(HelpScreen(app.main.focused_title, app.main.active_bindings, app))
    elif isinstance(screen, HasHelp):
        app.push_screen(HelpScreen(screen.HELP_TITLE, screen.active_bindings, app))
