"""What a baked file says of itself: of which model and which LoRAs it is made."""

from __future__ import annotations

import json
from collections.abc import Iterable

from engine.block_weights import format_block_weights
from engine.errors import EngineError
from engine.proof.contents import FileContents
from engine.protocol.refs import LoraRef
from engine.switch.version import MERGE_VERSION
from engine.words.course import STEADY

RECIPE_KEY = "loraswitch.recipe"


def require_steady(stack: Iterable[LoraRef]) -> None:
    """Raise `EngineError` for a member whose strength changes over the steps of a picture."""
    for ref in stack:
        if ref.course != STEADY:
            raise EngineError(
                f"{ref.name}: its strength changes over the steps of a picture, and a file has one "
                "strength; give it one."
            )


def recipe(model: str, base: str, stack: Iterable[LoraRef], contents: FileContents) -> str:
    """As JSON: the model's name and fingerprint, and each LoRA with its content and strengths."""
    members = [
        {
            "name": ref.name,
            "content": contents.lora(ref.path),
            "unet": ref.unet,
            "text_encoder": ref.text_encoder,
            "text_encoder_2": ref.text_encoder_2_strength,
            "blocks": format_block_weights(ref.blocks),
        }
        for ref in stack
    ]
    return json.dumps({"model": model, "base": base, "stack": members, "merge": MERGE_VERSION})
