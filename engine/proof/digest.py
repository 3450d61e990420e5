"""Digests of what determines a picture's pixels: the effective weights, and the request.

They are SHA-256 of canonical JSON, in hex. Files count by their content, never by name or place.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, Protocol

from engine.generate.version import LOOP_VERSION
from engine.protocol.refs import LoraRef
from engine.protocol.request import GenerateRequest
from engine.switch.version import MERGE_VERSION

NOT_IN_PIXELS = frozenset(
    ("output", "preview_every", "lora_names", "batch", "embeddings", "picture_format", "file_names")
)
"""Fields of a request that change no pixel. Folders of embeddings count by what is named of them.

All other fields count, those that are new too.
"""


class Contents(Protocol):
    """Hex digests of what is in files. Each may raise `EngineError` for one that cannot be read."""

    def lora(self, path: Path) -> str:
        """Of all in a LoRA's file that the weights depend on."""
        ...

    def file(self, path: Path) -> str:
        """Of another file, such as a mask."""
        ...

    def embeddings(self, request: GenerateRequest) -> Mapping[str, str]:
        """Of the textual inversions in the request's folders that its prompts name, by name."""
        ...


def content_key(
    model: str, stack: Iterable[LoraRef], request: GenerateRequest, contents: Contents
) -> str:
    """One digest for all that determines the pixels of a picture, the machine apart.

    `model` is `ModelInfo.fingerprint`. Raises `ValueError` as `request_digest` does.
    """
    weights = weights_digest(model, stack, contents)
    return joined_key(weights, request_digest(request, contents), LOOP_VERSION)


def joined_key(weights: str, request: str, loop: int) -> str:
    """`content_key` of the digests that a certificate has."""
    return _digest({"weights": weights, "request": request, "loop": loop})


def weights_digest(model: str, stack: Iterable[LoraRef], contents: Contents) -> str:
    """The digest of the effective weights: the base's and what a stack makes of them.

    The order of the stack does not count, nor do members without strength.
    """
    return _digest({"base": model, "stack": _stack(stack, contents), "merge": MERGE_VERSION})


def request_digest(request: GenerateRequest, contents: Contents) -> str:
    """The digest of the request for one picture.

    Raises `ValueError` for several pictures, and for a seed that is yet to be drawn.
    """
    if request.batch != 1 or -1 in (request.seed, request.counting_seed):
        raise ValueError("the digest is of one picture, whose seed is known")
    settings = {
        field.name: _plain(getattr(request, field.name), contents)
        for field in fields(request)
        if field.name not in NOT_IN_PIXELS
    }
    if not request.variation_strength:
        del settings["variation_seed"]
    settings["embeddings"] = dict(contents.embeddings(request))
    return _digest(settings)


def files_of(request: GenerateRequest) -> Iterator[Path]:
    """The files of a request whose content counts, LoRAs apart."""
    for field in fields(request):
        if field.name not in NOT_IN_PIXELS:
            yield from _paths(getattr(request, field.name))


def _paths(value: Any) -> Iterator[Path]:
    """All paths in a value, those of LoRAs apart."""
    if isinstance(value, Path):
        yield value
    elif isinstance(value, tuple):
        yield from (path for item in value for path in _paths(item))
    elif is_dataclass(value) and not isinstance(value, LoraRef):
        yield from (path for field in fields(value) for path in _paths(getattr(value, field.name)))


def _stack(stack: Iterable[LoraRef], contents: Contents) -> list[Any]:
    members = [_member(ref, contents) for ref in stack if ref.counts]
    return sorted(members, key=_json)


def _member(ref: LoraRef, contents: Contents) -> dict[str, Any]:
    others = {f.name: _plain(getattr(ref, f.name), contents) for f in fields(ref)[1:]}
    return {
        **others,
        "content": contents.lora(ref.path),
        "text_encoder_2": _plain(ref.text_encoder_2_strength, contents),
        "blocks": {name: _plain(factor, contents) for name, factor in ref.blocks if factor != 1},
    }


def _plain(value: Any, contents: Contents) -> Any:
    """A value as JSON has it, equal for equal values."""
    if isinstance(value, Path):
        return contents.file(value)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, tuple):
        if value and all(isinstance(item, LoraRef) for item in value):
            return _stack(value, contents)
        return [_plain(item, contents) for item in value]
    if is_dataclass(value):
        return {f.name: _plain(getattr(value, f.name), contents) for f in fields(value)}
    if value is None or isinstance(value, str | int | float):
        return value
    raise TypeError(f"a digest of {type(value).__name__} is not defined")


def _digest(value: Mapping[str, Any]) -> str:
    return hashlib.sha256(_json(value).encode()).hexdigest()


def _json(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))
