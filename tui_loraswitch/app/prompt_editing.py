"""The prompt editor opened, and what it gives put in the place of the prompts."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from msgspec import structs

from tui_loraswitch.app.app_base import AppBase
from tui_loraswitch.app.state_undo import note_state
from tui_loraswitch.panes.background import in_background

if TYPE_CHECKING:
    from tui_loraswitch.screens.prompt_editor import Prompts


def edit_prompts(app: AppBase) -> None:
    """Edit the prompt and the negative prompt on the whole screen."""
    from tui_loraswitch.control.prompt_completion import MOST, Completion
    from tui_loraswitch.screens.prompt_editor import PromptEditor, Prompts

    control = app.control
    completion = Completion(partial(app.main.library.view.matching, most=MOST))

    async def read_folders() -> None:
        folders = control.settings.embeddings, control.settings.wildcards
        await in_background(completion.read_folders, *folders)

    def take(prompts: Prompts | None) -> None:
        if prompts is None:
            return
        before = control.state
        control.state = structs.replace(
            before, prompt=prompts.prompt, negative_prompt=prompts.negative_prompt
        )
        note_state(app, "writing the prompt", before)
        control.share_draft()
        app.show_state(is_other=True)
        if prompts.draws:
            app.call_later(app.run_action, "generate")

    app.run_worker(read_folders(), exit_on_error=False)
    now = Prompts(control.state.prompt, control.state.negative_prompt)
    app.push_screen(PromptEditor(now, control.prompt_loras.why_unknown, completion.suggest), take)
