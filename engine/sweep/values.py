"""What a plan may say of a picture: the names, and how the value of each is read."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping

from engine.errors import EngineError
from engine.words.plain_number import plain_number
from engine.words.sampler_names import SAMPLERS, SCHEDULES
from engine.words.sampler_spellings import read_sampler, read_schedule

Value = str | int | float | tuple[str, ...] | tuple[int, int]
"""A value that was read. A LoRA is a tuple of names, since it may be a stack of them: an empty one
is the base. A size is width and height in pixels."""

Reader = Callable[[object], Value]
"""Reads one value, or raises ValueError with what is expected in its place."""

_SIZE = re.compile(r"\s*(\d{1,5})\s*[x×X*]\s*(\d{1,5})\s*")
_LONGEST = 200_000
"""Characters of a text, as of a prompt."""


def text(value: object) -> str:
    """Any text that is one."""
    if not isinstance(value, str):
        raise ValueError("a text in quotes")
    if len(value) > _LONGEST:
        raise ValueError(f"a text of at most {_LONGEST:,} characters")
    return value


def whole(value: object) -> int:
    """A whole number."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError("a whole number")
    return value


def seed(value: object) -> int:
    """A seed that is one: with a random one no cell would be the same in the next run."""
    number = whole(value)
    if number < 0:
        raise ValueError("a whole number from 0 (a random seed would differ in each run)")
    return number


def number(value: object) -> float:
    """A finite number."""
    if not isinstance(value, int | float) or isinstance(value, bool) or not _is_finite(value):
        raise ValueError("a number")
    return float(value)


def _is_finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number too large for a float
        return False


def size(value: object) -> tuple[int, int]:
    """`"512x768"`, `[512, 768]`, or one number for a square."""
    match value:
        case str() if found := _SIZE.fullmatch(value):
            return int(found[1]), int(found[2])
        case [int() as width, int() as height] if True not in value and False not in value:
            return width, height
        case int() if not isinstance(value, bool):
            return value, value
    raise ValueError('a size such as "512x768"')


def sampler(value: object) -> str:
    """A sampler in any program's spelling."""
    name = text(value)
    if read_sampler(name)[0] not in SAMPLERS:
        raise ValueError(f"one of the samplers {', '.join(SAMPLERS)}")
    return name


def schedule(value: object) -> str:
    """A schedule by its name."""
    name = read_schedule(text(value))
    if name not in SCHEDULES:
        raise ValueError(f"one of the schedules {', '.join(SCHEDULES)}")
    return name


def stack(value: object) -> tuple[str, ...]:
    """A LoRA's name, several as a stack, or an empty text for the base."""
    given = value if isinstance(value, list) else [value]
    names = [name for name in given if isinstance(name, str)]
    if len(names) < len(given):
        raise ValueError('the name of a LoRA, a list of names for a stack, or "" for the base')
    return tuple(name for name in names if name.strip())


READERS: Mapping[str, Reader] = {
    "prompt": text,
    "negative_prompt": text,
    "seed": seed,
    "steps": whole,
    "cfg_scale": number,
    "size": size,
    "width": whole,
    "height": whole,
    "sampler": sampler,
    "schedule": schedule,
    "clip_skip": whole,
    "noise": text,
    "variation_seed": seed,
    "variation_strength": number,
    "loras": stack,
    "lora": stack,
    "strength": number,
    "unet": number,
    "text_encoder": number,
    "blocks": text,
}
"""What may stand in a plan, the same for every cell."""

AXES = (
    "lora", "filter", "strength", "unet", "text_encoder", "blocks", "seed", "prompt", "sampler",
    "schedule", "steps", "cfg_scale", "size", "clip_skip", "variation_strength",
)  # fmt: skip
"""What may be swept."""

SPELLINGS: Mapping[str, str] = {"cfg": "cfg_scale", "negative": "negative_prompt"}
"""The names that options of the command line have for the same."""

BASE = "base"
"""What the label of a cell without a LoRA says."""


def label(name: str, value: Value) -> str:
    """A value as people read it."""
    match value:
        case (int() as width, int() as height):
            return f"{width}×{height}"
        case tuple():
            return " + ".join(map(str, value)) or BASE
        case float():
            return plain_number(value)
    return str(value)


def read(name: str, value: object) -> Value:
    """Read the value of a name. Raises `EngineError` with what is expected."""
    try:
        return READERS[name](value)
    except ValueError as error:
        raise EngineError(f"{name} is to be {error}, not {_quoted(value)}") from error


def _quoted(value: object) -> str:
    given = repr(value) if not isinstance(value, str) else f"“{value}”"
    return given if len(given) <= 60 else f"{given[:60]}…"
