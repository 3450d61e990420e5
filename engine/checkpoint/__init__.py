"""Checkpoints: opening an SDXL model with no network."""

from engine.checkpoint.open import Checkpoint, open_checkpoint

__all__ = ["Checkpoint", "open_checkpoint"]
