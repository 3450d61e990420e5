"""Names of folders and files for pictures, from patterns such as `[date]/[seed]-[lora]`."""

from __future__ import annotations

import hashlib
import re
import time
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from engine.errors import EngineError
from engine.protocol.making import Making
from engine.protocol.request import GenerateRequest
from engine.words.lora_tags import split_tags
from engine.words.plain_number import plain_number

DEFAULT = "[number]-[seed]"
_FIELD = re.compile(r"\[([a-zA-Z_]+)(?:<([^<>]*)>|:([^\[\]]*))?\]")
_ONLY_IF_TAKEN = "\0"
_PARTS = re.compile(r"(\[[a-zA-Z_]+(?:<[^<>]*>|:[^\[\]]*)?\]|\0)")
_BAD = re.compile(r'[\x00-\x1f\x7f-\x9f/\\:*?"<>|]')
_MOST_OF_FIELD = 100
_MOST_OF_NAME = 180
"""Bytes, below the 255 that file systems take, with room for a number and an ending."""
_MOST_FOLDERS = 8
_MOST_PATTERN = 1000
_MOST_WORDS = 8
_RESERVED = re.compile(r"(?:con|prn|aux|nul|com[0-9]|lpt[0-9])", re.IGNORECASE)


@dataclass(frozen=True)
class Drawn:
    """What the fields of a pattern are filled with."""

    making: Making
    model: str
    at: float
    """Seconds since 1970."""
    width: int
    height: int


def check_pattern(pattern: str) -> None:
    """Raise `EngineError` for a pattern with a field that there is not, or that leads elsewhere."""
    for field in _FIELD.finditer(pattern):
        if field[1].lower() != "number" and field[1].lower() not in _FIELDS:
            names = ", ".join(f"[{name}]" for name in ("number", *_FIELDS))
            raise EngineError(f"File names have no field {field[0][:80]}. Choose from {names}.")
    parts = PurePosixPath(pattern).parts
    if pattern.startswith(("/", "~")) or ".." in parts:
        raise EngineError(
            f"The file names “{pattern[:80]}” lead out of the output folder: write them without "
            "/ or ~ at the start and without .. in between."
        )
    if "[" in _FIELD.sub("", pattern) or any("/" in field[0] for field in _FIELD.finditer(pattern)):
        raise EngineError(
            f"The file names “{pattern[:80]}” have a [ that begins no field, or a field with a / "
            "in it."
        )
    if any("[number]" in part.lower() for part in parts[:-1]):
        raise EngineError("[number] counts files: it stands in their names, not in a folder's.")
    if "\0" in pattern or len(pattern) > _MOST_PATTERN:
        raise EngineError("These are no names for files: they are too long, or have a NUL in them.")
    if len(parts) > _MOST_FOLDERS:
        raise EngineError(f"File names may have at most {_MOST_FOLDERS - 1} folders.")


class FileNames:
    """The folders and names that a checked pattern gives to pictures; an empty one is the usual.

    A name that is taken by another file is told from it by the next number, which stands at the
    end where the pattern has none.
    """

    def __init__(self, pattern: str) -> None:
        parts = [part for part in (pattern or DEFAULT).split("/") if part.strip()] or [DEFAULT]
        *self._folders, self._last = parts
        if "[number]" not in self._last.lower():
            self._last += _ONLY_IF_TAKEN
        # Of names like these, whatever stands in the other fields.
        form = "".join(_number_or_any(part) for part in _PARTS.split(self._last))
        self._form = re.compile(rf"{form}\.(?:png|jpg|webp)", re.DOTALL)

    def folder(self, drawn: Drawn) -> Path:
        """The folder, below that of the pictures."""
        return Path(*(_safe(_filled(part, drawn, 1)) for part in self._folders))

    def name(self, drawn: Drawn, number: int) -> str:
        """The name without its ending."""
        name = _filled(self._last, drawn, number)
        if len(name.encode("utf-8", "replace")) <= _MOST_OF_NAME:
            return _safe(name)
        # What is cut off must not be the number, by which names differ.
        return f"{_safe(name)}-{number}"

    def number_of(self, name: str) -> int:
        """The number in another file's name, 0 where it has none."""
        found = self._form.fullmatch(name)
        return max((int(each) for each in found.groups() if each), default=0) if found else 0


def _number_or_any(part: str) -> str:
    """A part of a pattern as a regular expression for names that it made."""
    if part.lower() == "[number]":
        return "([0-9]{1,9})"
    return ".*" if _FIELD.fullmatch(part) or part == _ONLY_IF_TAKEN else re.escape(part)


def _filled(part: str, drawn: Drawn, number: int) -> str:
    def value(field: re.Match[str]) -> str:
        fill = _FIELDS[field[1].lower()]
        text = fill(drawn, field[2] or field[3] or "")
        return _BAD.sub("_", text)[:_MOST_OF_FIELD].strip()

    numbers = {"[number]": f"{number:05}", _ONLY_IF_TAKEN: f"-{number}" if number > 1 else ""}
    return "".join(
        numbers[piece.lower()] if piece.lower() in numbers else _FIELD.sub(value, piece)
        for piece in _PARTS.split(part)
    )


def _safe(name: str) -> str:
    """A name that every file system takes: one part, neither hidden nor a device's."""
    name = _BAD.sub("_", unicodedata.normalize("NFC", name)).strip(" .")
    name = name.encode("utf-8", "replace")[:_MOST_OF_NAME].decode("utf-8", "ignore").strip(" .")
    return f"{name}_" if not name or _RESERVED.fullmatch(name) else name


_Fill = Callable[[Drawn, str], str]
"""Gets what stands behind the field's name, if anything does."""


def _time(form: str) -> _Fill:
    def written(drawn: Drawn, own: str) -> str:
        try:
            return time.strftime(own or form, time.localtime(drawn.at))
        except ValueError:
            return time.strftime(form, time.localtime(drawn.at))

    return written


def _of_request(name: str) -> _Fill:
    def written(drawn: Drawn, _: str) -> str:
        value = getattr(drawn.making.picture, name)
        return plain_number(value) if isinstance(value, float) else str(value)

    return written


def _words(request: GenerateRequest) -> list[str]:
    prompt, _ = split_tags(request.prompt)
    return re.findall(r"[^\W_]+", prompt)


def _prompt_words(drawn: Drawn, count: str) -> str:
    most = int(count) if count.isascii() and count.isdigit() and len(count) < 4 else _MOST_WORDS
    return "_".join(_words(drawn.making.picture)[:most]) or "no_words"


def _loras(drawn: Drawn, _: str) -> str:
    return "+".join(dict.fromkeys(ref.name for ref in drawn.making.stack)) or "base"


def _first_lora(drawn: Drawn, _: str) -> str:
    return next((ref.name for ref in drawn.making.stack), "base")


def _strength(drawn: Drawn, _: str) -> str:
    return next((plain_number(ref.unet) for ref in drawn.making.stack), "0")


def _prompt_hash(drawn: Drawn, _: str) -> str:
    return hashlib.sha256(drawn.making.picture.prompt.encode("utf-8", "replace")).hexdigest()[:8]


_FIELDS: Mapping[str, _Fill] = {
    "date": _time("%Y-%m-%d"),
    "time": _time("%H-%M-%S"),
    "datetime": _time("%Y%m%d%H%M%S"),
    "seed": _of_request("seed"),
    "variation_seed": _of_request("variation_seed"),
    "steps": _of_request("steps"),
    "cfg": _of_request("cfg_scale"),
    "sampler": _of_request("sampler"),
    "scheduler": _of_request("schedule"),
    "schedule": _of_request("schedule"),
    "clip_skip": _of_request("clip_skip"),
    "width": lambda drawn, _: str(drawn.width),
    "height": lambda drawn, _: str(drawn.height),
    "model": lambda drawn, _: drawn.model,
    "model_name": lambda drawn, _: drawn.model,
    "lora": _first_lora,
    "loras": _loras,
    "strength": _strength,
    "prompt": lambda drawn, _: " ".join(_words(drawn.making.picture)) or "no_words",
    "prompt_words": _prompt_words,
    "prompt_hash": _prompt_hash,
    "batch_number": lambda drawn, _: str(drawn.making.index + 1),
}
"""A form or a count may follow the name: `[date<%d.%m.>]`, `[prompt_words:3]`."""
