"""The loaded model as plain data for JSON."""

from __future__ import annotations

from typing import Any

from engine.protocol.events import ModelInfo


def model_as_json(model: ModelInfo) -> dict[str, Any]:
    """Which model it is, and what it runs on."""
    return {
        "name": model.name,
        "path": str(model.path),
        "device": model.device,
        "dtype": model.dtype,
        "vae_dtype": model.vae_dtype,
        "prediction": model.prediction,
    }
