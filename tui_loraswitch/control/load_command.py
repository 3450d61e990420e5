"""The command that opens a model as the settings say."""

from __future__ import annotations

from pathlib import Path

from engine.protocol.commands import Load
from tui_loraswitch.config.settings import AppSettings


def load_command(settings: AppSettings, model: Path | None) -> Load:
    """Open `model` (None: the demo, which keeps the VAE that it was made with)."""
    return Load(
        model,
        settings.device,
        settings.dtype,
        settings.backup,
        vae=settings.vae if model else None,
        mode=settings.mode,
        compiled=settings.compiled,
        graphs=settings.graphs,
        parts_from=settings.parts_from if model else None,
        prediction=settings.predictions.get(model),
        vae_dtype=settings.vae_dtype,
    )
