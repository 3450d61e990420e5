"""Give the demo's LoRAs what people's files have beside them: previews, notes, Civitai's data."""

from __future__ import annotations

import json
import queue
import tempfile
from pathlib import Path
from typing import Any

from PIL import Image

from engine.demo import DEMO_LORAS
from engine.files.hashes import hash_file
from engine.protocol.commands import Draw, Load, SetStack
from engine.protocol.events import CommandFailed, Event, GenerationFinished
from engine.protocol.refs import LoraRef
from engine.protocol.request import GenerateRequest
from engine.session import Session
from tools.demo.recipes import RECIPES, Recipe
from tools.demo.scenes import SIZE

SUBJECTS = {
    "styles/ink_outline": "a large white bird on a white background",
    "styles/neon_glow": "a large pink heart on a purple background",
    "styles/pixel_blocks": "a large red heart on a blue background",
    "styles/watercolour": "a large blue flower on a pink background",
    "styles/stripes": "a large yellow star on a teal background",
    "styles/kawaii_faces": "a large yellow star on a pink background",
    "styles/moods/night_sky": "a large yellow moon on a blue background, hills",
    "styles/moods/pastel": "a large red heart on a blue background",
    "sliders/warmth_slider": "a white sun on a pink background, mountains",
    "speed/four_steps": "a large orange fish on a blue background",
}
MANY_STEPS: dict[str, Any] = {"steps": 24}
FEW_STEPS: dict[str, Any] = {"steps": 4, "sampler": "LCM", "cfg_scale": 1.0}


def main() -> None:
    """Draw each LoRA's preview with the demo model and write the sidecars of two of them."""
    events: queue.Queue[Event] = queue.Queue()
    session = Session(lambda message: events.put(message.event))
    session.send(Load(None, device="cpu"))
    with tempfile.TemporaryDirectory() as folder:
        for recipe in RECIPES:
            path = DEMO_LORAS / f"{recipe.path}.safetensors"
            session.send(SetStack((LoraRef(path),)))
            session.send(
                Draw(
                    GenerateRequest(
                        SUBJECTS[recipe.path],
                        Path(folder),
                        seed=3,
                        width=SIZE,
                        height=SIZE,
                        **(FEW_STEPS if recipe.usage else MANY_STEPS),
                    )
                )
            )
            picture = _wait(events).pictures[0].path
            with Image.open(picture) as image:
                # Bare pixels: what the program writes into its pictures is not for previews.
                image.convert("RGB").save(path.with_suffix(".preview.png"), optimize=True)
    session.close(timeout=10)
    _write_civitai_info(RECIPES[1])
    _write_a1111_json(RECIPES[0])


def _wait(events: queue.Queue[Event]) -> GenerationFinished:
    while not isinstance(event := events.get(timeout=120), GenerationFinished):
        if isinstance(event, CommandFailed):
            raise RuntimeError(event.message)
    return event


def _write_civitai_info(recipe: Recipe) -> None:
    """What Civitai's helper writes beside a download: `X.civitai.info`."""
    path = DEMO_LORAS / f"{recipe.path}.safetensors"
    hashes = hash_file(path)
    info = {
        "id": 1,
        "modelId": 1,
        "name": "v1.0",
        "baseModel": "SDXL 1.0",
        "description": f"<p>{recipe.description} For the loraswitch demo model.</p>",
        "trainedWords": [recipe.trigger, "glowing"],
        "model": {"name": recipe.title, "type": "LORA", "nsfw": False},
        "files": [
            {
                "name": path.name,
                "hashes": {"AutoV2": hashes.autov2.upper(), "SHA256": hashes.sha256.upper()},
            }
        ],
        "images": [],
    }
    path.with_suffix(".civitai.info").write_text(json.dumps(info, indent=2) + "\n")


def _write_a1111_json(recipe: Recipe) -> None:
    """What A1111's user metadata editor writes: `X.json`."""
    path = DEMO_LORAS / f"{recipe.path}.safetensors"
    card = {
        "description": recipe.description,
        "sd version": "SDXL",
        "activation text": recipe.trigger,
        "preferred weight": 0.9,
        "negative text": "",
        "notes": "Strengths above 1 make the lines thicker.",
    }
    path.with_suffix(".json").write_text(json.dumps(card, indent=4) + "\n")


if __name__ == "__main__":
    main()
