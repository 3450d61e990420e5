"""Keys that draw, and those of the queue."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from engine.errors import EngineError
from engine.words.clean import clean_line
from tui_loraswitch.app.app_base import AppBase
from tui_loraswitch.app.dialogs import edit_settings, show_jobs
from tui_loraswitch.app.state_undo import note_state
from tui_loraswitch.control.prompt_loras import UnknownLoraError


class DrawingKeys(AppBase):
    """Pictures, their settings, and the queue."""

    def action_generate(self, new_seed: bool = False, has_looked: bool = False) -> None:
        """Draw a picture; before an unknown LoRA is refused, there is a look at the disk."""
        try:
            self._draw(new_seed)
        except UnknownLoraError as error:
            if not has_looked and self.services.library is not None:
                again = partial(self.action_generate, new_seed, has_looked=True)
                self.services.look_at_disk(again)
            else:
                self.toast(str(error), "warning")
        except EngineError as error:
            self.toast(str(error), "warning")
            if not self.control.state.prompt.strip():
                self.main.edit_prompt()
        else:
            self.control.share_draft()
            self.show_state()
            self.main.show_pane("picture", take_focus=False)

    def action_generate_again_and_again(self) -> None:
        """Draw with new seeds until that is stopped."""
        if self.attempt(partial(self._draw, new_seed=True, forever=True)):
            self.show_state()
            self.main.show_pane("picture", take_focus=False)

    def _draw(self, new_seed: bool, forever: bool = False) -> None:
        """Ask for pictures, and say what of the prompt is not as it should be."""
        for note in self.control.generate(new_seed, forever):
            self.toast(note, "warning")

    def action_begin_with_picture(self) -> None:
        """Draw the picture that is shown anew, or no longer."""
        picture = self.main.picture.shown_file
        if picture is None and not self.control.state.start_picture:
            self.toast("No picture is shown that could be drawn anew.", "warning")
            return
        before = self.control.state
        begun = picture or Path(self.control.state.start_picture)
        name = clean_line(begun.stem, 40)
        if self.control.begin_with(begun):
            strength = f"denoising {self.control.state.denoising:g}"
            self.toast(
                f"{name} is drawn anew, {strength}: o changes that, I ends it.", "information"
            )
        else:
            self.toast("Pictures begin with noise alone again.", "information")
        note_state(self, "what pictures begin with", before)
        self.control.share_draft()
        self.show_state()

    def action_jobs(self) -> None:
        """Show the queue."""
        show_jobs(self)

    def action_cancel(self) -> None:
        """Stop drawing or loading."""
        self.attempt(self.control.cancel)

    def action_settings(self) -> None:
        """Edit steps, sampler, seed, size."""
        edit_settings(self, self.services)
