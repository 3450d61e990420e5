"""`loraswitch inspect PICTURE`: what a picture says of how it was made, in words and as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from engine.generate.infotext import Infotext
from engine.generate.picture_said import PictureSaid
from engine.protocol.making import Making, encode_making
from engine.words.plain_number import plain_number
from tui_loraswitch.commands.picture_json import member_as_json

_STARTS = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"RIFF")


def is_picture(path: Path) -> bool:
    """Whether a file begins as a PNG, JPEG or WebP does; False where it cannot be read."""
    try:
        if not path.is_file():
            return False
        with path.open("rb") as file:
            return file.read(8).startswith(_STARTS)
    except OSError:
        return False


def picture_fields(said: PictureSaid) -> Iterator[tuple[str, str]]:
    """Labels and values; empty ones are to be left out."""
    yield "kind", f"picture, {said.width}×{said.height}"
    yield "made by", said.making.program if said.making else said.program or "not told"
    if said.making is not None:
        yield from _of_making(said.making)
    elif said.info is not None:
        yield from _of_info(said.info)
    for note in said.notes:
        yield "note", note


def picture_as_json(path: Path, said: PictureSaid) -> dict[str, Any]:
    """All of it; `request` and `stack` are exact where loraswitch drew the picture."""
    making = said.making
    made: dict[str, Any] = json.loads(encode_making(making)) if making else {}
    stack = (
        [
            {**member_as_json(ref), "tensors_sha256": making.hash_of(ref) or None}
            for ref in making.stack
        ]
        if making
        else []
    )
    return {
        "path": str(path),
        "width": said.width,
        "height": said.height,
        "program": said.program or None,
        "request": made.get("request"),
        "index": made.get("index"),
        "stack": stack,
        "files": made.get("files", []),
        "certificate": made.get("certificate"),
        "settings": _settings(said.info),
        "infotext": said.infotext or None,
        "notes": list(said.notes),
    }


def _settings(info: Infotext | None) -> dict[str, Any] | None:
    """What the infotext, or another program's metadata, says."""
    if info is None:
        return None
    settings = {name: value for name, value in asdict(info).items() if value not in (None, (), "")}
    settings["loras"] = [str(tag) for tag in info.loras]
    for name in ("lora_hashes", "embedding_hashes", "extra"):
        settings[name] = dict(getattr(info, name))
    return settings


def _of_making(making: Making) -> Iterator[tuple[str, str]]:
    request = making.picture
    yield "prompt", request.prompt
    yield "negative", request.negative_prompt
    for ref in making.stack:
        strengths = plain_number(ref.unet)
        if (ref.text_encoder, ref.text_encoder_2_strength) != (ref.unet, ref.unet):
            strengths += f", text encoders {plain_number(ref.text_encoder)}"
        hash = making.hash_of(ref)
        yield "LoRA", f"{ref.name} {strengths}" + (f" ({hash[:12]})" if hash else "")
    for part in ("model", "vae"):
        for file in making.files:
            if file.key == part:
                yield part, file.name
    yield "seed", str(request.seed)
    yield (
        "settings",
        _facts(
            request.steps, request.sampler, request.schedule, request.cfg_scale, request.clip_skip
        ),
    )
    if (own := request.hires) is not None:
        yield "hires fix", _hires(own.scale, own.upscaler, own.denoising, own.steps)


def _of_info(info: Infotext) -> Iterator[tuple[str, str]]:
    yield "prompt", info.drawable_prompt
    yield "negative", info.negative_prompt
    for name, hash in info.lora_hashes:
        yield "LoRA", f"{name} ({hash})"
    yield "model", " ".join(filter(None, (info.model, info.model_hash and f"({info.model_hash})")))
    yield "seed", "" if info.seed is None else str(info.seed)
    yield (
        "settings",
        _facts(info.steps, info.sampler, info.schedule, info.cfg_scale, info.clip_skip),
    )
    if (own := info.hires) is not None:
        yield "hires fix", _hires(own.scale, own.upscaler, own.denoising, own.steps)
    yield "version", info.version or ""
    for name, value in info.extra:
        yield name, value


def _hires(
    scale: float | None, upscaler: str | None, denoising: float | None, steps: int | None
) -> str:
    facts = (
        f"×{plain_number(scale)}" if scale is not None else "",
        upscaler or "",
        f"denoising {plain_number(denoising)}" if denoising is not None else "",
        f"{steps} steps" if steps else "",
    )
    return " · ".join(filter(None, facts))


def _facts(
    steps: int | None,
    sampler: str | None,
    schedule: str | None,
    cfg_scale: float | None,
    clip_skip: int | None,
) -> str:
    facts = (
        f"{steps} steps" if steps is not None else "",
        " ".join(filter(None, (sampler, schedule if schedule != "Automatic" else ""))),
        f"CFG {plain_number(cfg_scale)}" if cfg_scale is not None else "",
        f"clip skip {clip_skip}" if clip_skip is not None and clip_skip > 2 else "",
    )
    return " · ".join(filter(None, facts))
