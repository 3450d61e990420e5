"""Keys for the model and its memory."""

from __future__ import annotations

from tui_loraswitch.app.app_base import AppBase
from tui_loraswitch.app.dialogs import choose_model


class ModelKeys(AppBase):
    """Which model is loaded, where its backups lie, whether its base is untouched."""

    def action_models(self) -> None:
        """Choose another model."""
        choose_model(self, self.services)

    def action_load_again(self) -> None:
        """Load the model again that could not be loaded, with another engine if that is gone."""
        if self.link.engine is None and self.link.place is not None:
            self.services.start_engine()
        else:
            self.attempt(self.control.load_again)

    def action_unload(self) -> None:
        """Give the model's memory back; stack and queue stay."""
        self.attempt(self.control.unload)

    def action_verify(self) -> None:
        """Compare the base with its fingerprints."""
        self.attempt(self.control.verify)

    def action_move_backup(self) -> None:
        """Move the backups to the next place."""
        self.attempt(self.control.move_backup)
