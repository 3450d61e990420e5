"""Checkpoints: opening an SDXL model with no network."""

from engine.checkpoint.open import (
    Checkpoint,
    CheckpointPlan,
    check_checkpoint,
    open_checkpoint,
    plan_checkpoint,
)

__all__ = [
    "Checkpoint",
    "CheckpointPlan",
    "check_checkpoint",
    "open_checkpoint",
    "plan_checkpoint",
]
