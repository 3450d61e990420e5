"""What the app needs of the engine: commands in, events out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from engine.generate.request import GenerateRequest
from engine.modes.names import ModeChoice
from engine.prediction import Prediction
from engine.refs import LoraRef
from engine.reports import BackupChoice, Tier
from tui_loraswitch.settings import AppSettings


class SessionLike(Protocol):
    """The engine's commands; each returns at once, its outcome arrives as an event."""

    def load(
        self,
        model: Path | None,
        device: str | None = None,
        dtype: str | None = None,
        backup: BackupChoice = "auto",
        vae: Path | None = None,
        mode: ModeChoice = "auto",
        compiled: bool = False,
        parts_from: Path | None = None,
        prediction: Prediction | None = None,
    ) -> None:
        """Open a checkpoint; None opens the embedded demo."""

    def switch(self, stack: Sequence[LoraRef]) -> None:
        """Make `stack` live; an empty one is the base."""

    def generate(self, request: GenerateRequest, stack: Sequence[LoraRef] | None = None) -> None:
        """Draw pictures, or refuse to when `stack` is given and not what is live."""

    def cancel(self) -> None:
        """Stop the running generation or load within one step, and drop those that wait."""

    def set_backup(self, tier: Tier) -> None:
        """Move the backups to another memory."""

    def verify(self) -> None:
        """Compare the base with its fingerprints."""

    def prefetch(self, ref: LoraRef) -> None:
        """Read a LoRA ahead, because a switch to it is likely."""

    def close(self, timeout: float) -> bool:
        """End the engine thread; True when it ended within `timeout` seconds."""


def load_model(session: SessionLike, settings: AppSettings, model: Path | None) -> None:
    """Have a model opened as the settings say; the demo keeps the VAE it was made with."""
    session.load(
        model,
        settings.device,
        settings.dtype,
        settings.backup,
        vae=settings.vae if model else None,
        mode=settings.mode,
        compiled=settings.compiled,
        parts_from=settings.parts_from if model else None,
        prediction=settings.predictions.get(model),
    )
