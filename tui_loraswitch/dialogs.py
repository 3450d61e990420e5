"""Opening the dialogs, and passing on what was chosen in them."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from engine.refs import LoraRef
from tui_loraswitch.screens.help import HelpScreen
from tui_loraswitch.ui_state import UiState

if TYPE_CHECKING:
    from tui_loraswitch.app import LoraSwitchApp
    from tui_loraswitch.services import Services


def choose_model(app: LoraSwitchApp, services: Services) -> None:
    """Offer the models in the model folders, and have the chosen one loaded."""
    from tui_loraswitch.screens.models import ModelsScreen, ModelWish

    control, models = app.control, app.control.models

    def load(wish: ModelWish | None) -> None:
        if wish is None:
            return
        if control.predict(wish.path, wish.prediction) and wish.path is not None:
            services.remember("predictions", control.settings.remembered_predictions)
        app.attempt(partial(control.load, wish.path))

    screen = ModelsScreen(
        models.wanted,
        is_loaded=models.loaded is not None,
        predictions=control.settings.predictions,
    )
    app.push_screen(screen, load)
    services.find_models(models.last_file, screen.post_message, screen.closed)


def edit_settings(app: LoraSwitchApp, services: Services) -> None:
    """Edit steps, sampler, seed and size of the next picture."""
    from tui_loraswitch.screens.settings import SettingsScreen

    def take(state: UiState | None) -> None:
        if state is None:
            return
        is_new = state.empty_negative != app.control.state.empty_negative
        # The demo is for trying things out: it changes nothing of real work.
        if is_new and app.control.models.wanted is not None:
            services.remember("empty_negative", state.empty_negative)
        app.control.state = state
        app.show_state()

    model = app.control.model
    app.push_screen(SettingsScreen(app.control.state, model.default_size if model else None), take)


def type_strength(app: LoraSwitchApp, ref: LoraRef) -> None:
    """Edit the strengths of a member of the stack."""
    from tui_loraswitch.screens.strength import StrengthScreen

    def change(changed: LoraRef | None) -> None:
        if changed is not None:
            app.attempt(partial(app.control.change, changed))

    app.push_screen(StrengthScreen(ref), change)


def show_help(app: LoraSwitchApp) -> None:
    """Show the keys of the focused pane and of the app, unless a dialog is open."""
    if app.screen is app.main:
        app.push_screen(HelpScreen(app.main.focused_title, app.main.active_bindings, app))
