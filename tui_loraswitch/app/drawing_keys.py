"""Keys that draw, and those of the queue."""

from __future__ import annotations

from functools import partial

from tui_loraswitch.app.app_base import AppBase
from tui_loraswitch.app.dialogs import edit_settings, show_jobs


class DrawingKeys(AppBase):
    """Pictures, their settings, and the queue."""

    def action_generate(self, new_seed: bool = False) -> None:
        """Draw a picture."""
        if self.attempt(partial(self.control.generate, new_seed)):
            self.control.share_draft()
            self.show_state()
            self.main.show_pane("picture", take_focus=False)
        elif not self.control.state.prompt.strip():
            self.main.edit_prompt()

    def action_generate_again_and_again(self) -> None:
        """Draw with new seeds until that is stopped."""
        if self.attempt(partial(self.control.generate, new_seed=True, forever=True)):
            self.show_state()
            self.main.show_pane("picture", take_focus=False)

    def action_jobs(self) -> None:
        """Show the queue."""
        show_jobs(self)

    def action_cancel(self) -> None:
        """Stop drawing or loading."""
        self.attempt(self.control.cancel)

    def action_settings(self) -> None:
        """Edit steps, sampler, seed, size."""
        edit_settings(self, self.services)
