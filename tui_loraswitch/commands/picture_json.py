"""Pictures that were drawn, and what with, as plain data for JSON."""

from __future__ import annotations

from typing import Any

from engine.protocol.events import GenerationFinished, PictureSaved
from engine.protocol.refs import LoraRef


def picture_as_json(picture: PictureSaved) -> dict[str, Any]:
    """Where a picture lies, its seed and its size."""
    return {
        "path": str(picture.path),
        "seed": picture.seed,
        "width": picture.width,
        "height": picture.height,
    }


def member_as_json(ref: LoraRef) -> dict[str, Any]:
    """A member of a stack with all its strengths."""
    return {
        "name": ref.name,
        "path": str(ref.path),
        "unet": ref.unet,
        "text_encoder": ref.text_encoder,
        "text_encoder_2": ref.text_encoder_2_strength,
        "blocks": dict(ref.blocks),
    }


def warnings_of(finished: GenerationFinished) -> list[str]:
    """What of the LoRAs is not used, and what was noticed while drawing."""
    return [*(text for lora in finished.loras for text in lora.warnings), *finished.warnings]
