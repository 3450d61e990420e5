"""Samplers and schedules by the names people know; needs no torch."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from engine.errors import EngineError

SAMPLERS = (
    "Euler", "Euler a", "Heun", "DPM++ 2M", "DPM++ 2M SDE", "DPM++ SDE", "DPM++ 3M SDE",
    "DPM++ 2M SDE Heun", "DPM++ 2S a", "DPM2", "DPM2 a", "DPM fast", "DPM adaptive", "LMS", "DDIM",
    "DDIM CFG++", "PLMS", "UniPC", "UniPC BH2", "Restart", "LCM", "TCD", "DDPM", "DEIS", "IPNDM",
    "HeunPP2", "ER SDE", "Res Multistep", "Res Multistep a", "Euler CFG++", "Euler a CFG++",
    "DPM++ 2M CFG++", "DPM++ 2S a CFG++",
)  # fmt: skip

SCHEDULES = (
    "Automatic", "Uniform", "Karras", "Exponential", "Beta", "SGM Uniform", "Simple",
    "Polyexponential", "DDIM", "KL Optimal", "Align Your Steps", "Turbo", "Linear Quadratic",
)  # fmt: skip
"""Each goes with each sampler; `Automatic` is what the sampler is usually run with."""

USUAL_SCHEDULE: Mapping[str, str] = MappingProxyType(
    {
        "DPM++ 2M": "Karras",
        "DPM++ SDE": "Karras",
        "DPM++ 2M SDE": "Exponential",
        "DPM++ 2M SDE Heun": "Exponential",
        "DPM++ 2S a": "Karras",
        "DPM++ 3M SDE": "Exponential",
        "DPM2": "Karras",
        "DPM2 a": "Karras",
        "Restart": "Karras",
        "DDIM": "DDIM",
        "DDIM CFG++": "DDIM",
        "PLMS": "DDIM",
        "UniPC": "SGM Uniform",
        "UniPC BH2": "SGM Uniform",
        "TCD": "Simple",
    }
)
"""What `Automatic` means in A1111; for the samplers that are not here, Uniform."""

MOST_STEPS = 500


def check_names(sampler: str, schedule: str) -> None:
    """Raise `EngineError` naming what there is, unless both are known."""
    if sampler not in SAMPLERS:
        raise EngineError(f"There is no sampler “{sampler}”. Choose one of {', '.join(SAMPLERS)}.")
    if schedule not in SCHEDULES:
        raise EngineError(
            f"There is no schedule “{schedule}”. Choose one of {', '.join(SCHEDULES)}."
        )
