"""Prompts of before: with the arrow keys at the prompt's edges, and by a search."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import structs

from engine.errors import EngineError
from tui_loraswitch.app.app_base import AppBase
from tui_loraswitch.app.state_undo import note_state
from tui_loraswitch.panes.background import in_background

if TYPE_CHECKING:
    from engine.store.prompts import StoredPrompt
    from tui_loraswitch.control.prompt_history import PromptHistory


def turn_prompt(app: AppBase, history: PromptHistory, by: int) -> None:
    """Show the prompt before or after the one that is shown."""
    from engine.store.prompts import StoredPrompt

    async def turn() -> None:
        state = app.control.state
        written = StoredPrompt(state.prompt, state.negative_prompt)
        history.follow(written)
        if not history.is_begun:
            if by < 0 or (prompts := await _read(app)) is None:
                return
            history.begin(prompts, written)
        shown = history.turn(by)
        if shown is not None:
            _take(app, shown)
            app.main.prompt.show_place(history.words, shown.prompt)

    app.run_worker(turn(), group="prompts", exclusive=True)


def search_prompts(app: AppBase) -> None:
    """Offer all prompts of before."""
    from tui_loraswitch.screens.prompt_search import PromptSearch

    def take(prompt: StoredPrompt | None) -> None:
        if prompt is not None:
            _take(app, prompt)

    async def show() -> None:
        if (prompts := await _read(app)) is not None:
            app.push_screen(PromptSearch(prompts), take)

    app.run_worker(show(), group="prompts", exclusive=True)


async def _read(app: AppBase) -> list[StoredPrompt] | None:
    from tui_loraswitch.control.prompt_history import read_history

    try:
        return await in_background(read_history, app.control.settings.store_path)
    except EngineError as error:
        app.toast(str(error), "warning")
        return None


def _take(app: AppBase, prompt: StoredPrompt) -> None:
    before = app.control.state
    app.control.state = structs.replace(
        before, prompt=prompt.prompt, negative_prompt=prompt.negative_prompt
    )
    note_state(app, "taking a prompt of before", before)
    app.show_state(is_other=True)
