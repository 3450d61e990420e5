"""Samplers and schedules by the names people know, and which go together; needs no torch."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from engine.errors import EngineError

SCHEDULES = ("Automatic", "Uniform", "Karras", "Exponential", "Beta", "SGM Uniform")
"""`Automatic` is what the sampler is usually run with, else the model's own spacing of steps."""

_TIMESTEPS = ("Automatic", "Uniform", "SGM Uniform")
_OWN = ("Automatic",)

SUPPORTED: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "Euler": SCHEDULES,
        "Euler a": _TIMESTEPS,
        "Heun": SCHEDULES,
        "DPM++ 2M": SCHEDULES,
        "DPM++ 2M SDE": SCHEDULES,
        "DPM++ SDE": SCHEDULES,
        "DPM2": SCHEDULES,
        "DPM2 a": SCHEDULES,
        "LMS": SCHEDULES,
        "DDIM": _TIMESTEPS,
        "UniPC": SCHEDULES,
        "LCM": _OWN,
        "TCD": _OWN,
    }
)
"""The schedules each sampler can take; LCM and TCD bring the steps they were distilled for."""

SAMPLERS = tuple(SUPPORTED)

USUAL_SCHEDULE: Mapping[str, str] = MappingProxyType(
    {
        "DPM++ 2M": "Karras",
        "DPM++ 2M SDE": "Exponential",
        "DPM++ SDE": "Karras",
        "DPM2": "Karras",
        "DPM2 a": "Karras",
    }
)
"""What `Automatic` means for samplers that are rarely run otherwise (as in A1111)."""

ZERO_SNR_SAMPLERS = ("Euler", "Euler a", "DPM++ 2M", "DPM++ 2M SDE", "DDIM", "UniPC", "LCM", "TCD")
"""Samplers that can start from pure noise, as models with zero terminal SNR need."""

MOST_STEPS: Mapping[str, int] = MappingProxyType({"LCM": 50, "TCD": 50})
"""Step limits of distilled samplers; the others take up to `MOST_STEPS_OF_ALL`."""

MOST_STEPS_OF_ALL = 500


def check_pair(sampler: str, schedule: str) -> None:
    """Raise `EngineError` naming what there is, unless the sampler can take the schedule."""
    if sampler not in SUPPORTED:
        raise EngineError(f"There is no sampler “{sampler}”. Choose one of {', '.join(SAMPLERS)}.")
    if schedule not in SCHEDULES:
        raise EngineError(
            f"There is no schedule “{schedule}”. Choose one of {', '.join(SCHEDULES)}."
        )
    if schedule not in SUPPORTED[sampler]:
        raise EngineError(
            f"{sampler} cannot take the schedule {schedule}. "
            f"It supports {', '.join(SUPPORTED[sampler])}."
        )
