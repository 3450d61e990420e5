"""Many prompts, one a line: with sd-scripts' options, or as JSON; read within bounds."""

from __future__ import annotations

import argparse
import itertools
import math
import os
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from msgspec import structs

from engine.files.json_text import parse_json
from engine.files.regular_file import read_regular
from tui_loraswitch.commands.lora_names import parse_wanted
from tui_loraswitch.commands.outcome import UsageError
from tui_loraswitch.commands.picture_options import (
    known_noise,
    known_sampler,
    known_schedule,
    known_size,
)
from tui_loraswitch.config.config import expanded
from tui_loraswitch.control.wanted_lora import TEXT_ENCODER_2, WantedLora

LONGEST_LINE = 2 << 20
"""Bytes: a prompt and a negative prompt of the greatest length, in JSON's escapes."""
LARGEST_FILE = 256 << 20
MOST_SEEDS = 100
"""Seeds of one line."""

_READ_AT_ONCE = 1 << 16
_OPTION = re.compile(r"(?:^|\s)--([A-Za-z_]+)(?=\s|$)")
_JSON = re.compile(r'\{\s*["}]')
"""How a line of JSON begins; a prompt may begin with `{red|blue}`."""

Options = dict[str, Any]
"""What a line says of a picture, by the names of `generate`'s own options."""


def lines_of_file(path: Path) -> list[bytes]:
    """The lines of a regular file; raises `FileFormatError` for anything else."""
    return read_regular(path, LARGEST_FILE).split(b"\n")


def lines_of_pipe(descriptor: int) -> Iterator[bytes]:
    """Each line as soon as it is whole; of one that is too long, only its beginning.

    Nothing is read ahead beyond what has arrived, so whoever writes can wait for an answer.
    """
    line = bytearray()
    while data := os.read(descriptor, _READ_AT_ONCE):
        *ends, rest = data.split(b"\n")
        for end in ends:
            yield bytes(line + end)
            line.clear()
        if len(line) <= LONGEST_LINE:
            line += rest
    if line:
        yield bytes(line)


def read_line(data: bytes, loras: Sequence[WantedLora]) -> list[Options]:
    """What one line asks for: one picture, or one for each of its seeds; nothing for a comment.

    `loras` are those of the command line, whose strengths `--am` gives. Raises `UsageError`.
    """
    if len(data) > LONGEST_LINE:
        raise UsageError(f"the line is longer than {LONGEST_LINE:,} bytes")
    try:
        text = data.decode("utf-8-sig").strip()
    except UnicodeDecodeError as error:
        raise UsageError(f"the line is no UTF-8 text ({error.reason})") from error
    if not text or text.startswith("#"):
        return []
    return [_of_json(text)] if _JSON.match(text) else _of_words(text, loras)


# One prompt with sd-scripts' options.


def _of_words(text: str, loras: Sequence[WantedLora]) -> list[Options]:
    prompt, *rest = _OPTION.split(text)
    options: Options = {"prompt": prompt.strip()}
    seeds: tuple[int, ...] = ()
    for name, value in zip(rest[::2], map(str.strip, rest[1::2]), strict=True):
        match name.lower():
            case "n":
                options["negative"] = value
            case "d":
                seeds = _numbers(name, value, int)
            case "am":
                options["lora"] = _multiplied(loras, _numbers(name, value, float))
            case "w" | "h" | "s" | "l" as known:
                key, kind = _WORDS[known]
                options[key] = _number(name, value, kind)
            case _:
                raise UsageError(
                    f"“--{name[:40]}” is not known here; known are --n, --w, --h, --s, --d, --l "
                    "and --am (a prompt with such words in it can be written as JSON)"
                )
    if len(seeds) > MOST_SEEDS:
        raise UsageError(f"--d has {len(seeds):,} seeds; at most {MOST_SEEDS} are drawn for a line")
    if len(seeds) > 1:
        return [{**options, "seed": seed, "batch": 1} for seed in seeds]
    return [{**options, "seed": seeds[0]} if seeds else options]


_WORDS: dict[str, tuple[str, Callable[[str], float]]] = {
    "w": ("width", int),
    "h": ("height", int),
    "s": ("steps", int),
    "l": ("cfg", float),
}


def _numbers(name: str, value: str, kind: Callable[[str], Any]) -> tuple[Any, ...]:
    return tuple(_number(name, part, kind) for part in value.split(","))


def _number(name: str, value: str, kind: Callable[[str], Any]) -> Any:
    try:
        number = kind(value)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        what = "whole number" if kind is int else "number"
        given = f"“{value.strip()[:40]}”" if value.strip() else "nothing"
        raise UsageError(f"--{name} takes a {what}, not {given}")
    return number


def _multiplied(loras: Sequence[WantedLora], strengths: Sequence[float]) -> list[WantedLora]:
    """The command line's LoRAs at other strengths; the last one counts for those that are left."""
    if len(strengths) > len(loras):
        raise UsageError(
            f"--am has {len(strengths)} numbers, and the command names {len(loras)} with --lora"
        )
    given = itertools.chain(strengths, itertools.repeat(strengths[-1]))
    return [_at(lora, strength) for lora, strength in zip(loras, given, strict=False)]


def _at(lora: WantedLora, strength: float) -> WantedLora:
    fields = tuple(field for field in lora.fields if field[0] != TEXT_ENCODER_2)
    return structs.replace(lora, unet=strength, text_encoder=strength, fields=fields)


# One table of JSON.


def _of_json(text: str) -> Options:
    try:
        table = parse_json(text)
    except ValueError as error:
        raise UsageError(f"the line is no JSON ({error})") from error
    if "prompt" not in table:
        raise UsageError("the line has no “prompt”")
    options: Options = {}
    for name, value in table.items():
        if name not in _FIELDS:
            raise UsageError(f"“{name[:40]}” is not known here; known are {', '.join(_FIELDS)}")
        key, read = _FIELDS[name]
        try:
            options[key] = read(value)
        except (argparse.ArgumentTypeError, ValueError, OverflowError) as error:
            raise UsageError(f"“{name}”: {error}") from error
    return options


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("this is to be a text")
    return value


def _whole(value: object) -> int:
    _require_read(value)
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError("this is to be a whole number")
    return value


def _real(value: object) -> float:
    _require_read(value)
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise ValueError("this is to be a number")
    return float(value)


def _require_read(value: object) -> None:
    """Of a number that is too long or too large, JSON's reader makes infinity."""
    if isinstance(value, float) and math.isinf(value):
        raise ValueError("a number as large as this is not read")


def _loras(value: object) -> list[WantedLora]:
    if not isinstance(value, list):
        raise ValueError('this is to be a list, such as ["neon:0.8", "ink"]')
    return [_lora(_text(each)) for each in value]


def _lora(text: str) -> WantedLora:
    try:
        return parse_wanted(text)
    except ValueError as error:
        raise ValueError(f"“{text[:40]}” names no LoRA") from error


_FIELDS: dict[str, tuple[str, Callable[[object], Any]]] = {
    "prompt": ("prompt", _text),
    "negative_prompt": ("negative", _text),
    "seed": ("seed", _whole),
    "steps": ("steps", _whole),
    "cfg_scale": ("cfg", _real),
    "width": ("width", _whole),
    "height": ("height", _whole),
    "size": ("size", lambda value: known_size(_text(value))),
    "sampler": ("sampler", lambda value: known_sampler(_text(value))),
    "schedule": ("schedule", lambda value: known_schedule(_text(value))),
    "batch": ("batch", _whole),
    "clip_skip": ("clip_skip", _whole),
    "noise": ("noise", lambda value: known_noise(_text(value))),
    "variation_seed": ("variation_seed", _whole),
    "variation_strength": ("variation_strength", _real),
    "loras": ("lora", _loras),
    "init": ("init", lambda value: expanded(_text(value))),
    "denoising": ("denoising", _real),
    "inpaint": ("inpaint", lambda value: expanded(_text(value))),
    "hires": ("hires", _real),
    "hires_steps": ("hires_steps", _whole),
    "hires_prompt": ("hires_prompt", _text),
    "hires_loras": ("hires_lora", _loras),
}
