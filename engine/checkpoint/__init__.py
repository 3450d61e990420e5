"""Checkpoints: opening an SDXL model with no network."""

from engine.checkpoint.open import Checkpoint, check_checkpoint, open_checkpoint

__all__ = ["Checkpoint", "check_checkpoint", "open_checkpoint"]
