"""How pictures are drawn while the cursor moves through the list, as the config file says it."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

from msgspec import Struct

KIB_PER_SECOND = 40.0
MOST_STEPS = 100


class AuditionSettings(Struct, frozen=True):
    """The table `[audition]`."""

    steps: int = 4
    size: int = 0
    """Of the longer side in pixels; 0: half of what the model was trained on."""
    lora: Path | None = None
    """A LoRA for few steps (Lightning, LCM, DMD2), beside the stack."""
    sampler: str = ""
    """Empty: that of the settings; so it is with `cfg_scale` 0."""
    cfg_scale: float = 0.0
    kib_per_second: float = KIB_PER_SECOND
    """What pictures in half cells may take of the line."""


USUAL = AuditionSettings()


def read_audition(table: Any, path_of: Callable[[str], Path]) -> AuditionSettings:
    """Read the table; raises ValueError with what it must be, as the end of a sentence."""
    if not isinstance(table, dict):
        raise ValueError("a table, such as [audition] with steps = 4 below it")
    values: dict[str, Any] = {}
    for key, value in table.items():
        match key:
            case "steps" if type(value) is int and 1 <= value <= MOST_STEPS:
                values[key] = value
            case "size" if type(value) is int and 0 <= value <= 2048:
                values[key] = value
            case "lora" if isinstance(value, str) and value:
                values[key] = path_of(value)
            case "sampler" if isinstance(value, str):
                values[key] = value
            case "cfg_scale" | "kib_per_second" if _is_number(value):
                values[key] = float(value)
            case _:
                raise ValueError(
                    f"steps (1 to {MOST_STEPS}), size (in pixels, 0: half the model's), lora (a "
                    "file), sampler, cfg_scale and kib_per_second; one of them is none of these, "
                    "or has another value"
                )
    return AuditionSettings(**values)


def _is_number(value: object) -> bool:
    return type(value) in (int, float) and 0 < value < math.inf  # type: ignore[operator]
