"""Draw a contact sheet: the base and each LoRA of the demo, one row each, the same prompts."""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from PIL import Image

from engine.checkpoint import open_checkpoint
from engine.demo import DEMO_LORAS, DEMO_MODEL
from engine.generate.run import GeneratedPicture, generate
from engine.protocol.refs import LoraRef
from engine.protocol.request import GenerateRequest
from engine.switch.switcher import LoraSwitcher

PROMPTS = (
    "a large red star on a blue background",
    "a small white cat on a green background, hills",
    "a large yellow house on a blue background, hills",
    "a large orange fish on a teal background, waves",
    "a red heart on the left and a yellow star on the right on a white background",
    "a pink flower on a purple background",
    "a white sun on a pink background, mountains",
    "a black boat on a blue background, waves",
)
FEW_STEPS = "speed/four_steps"


def main(out: Path, loras: Path, *, height: int, seed: int) -> None:
    """Write the sheet; pictures are scaled to `height` pixels."""
    checkpoint = open_checkpoint(DEMO_MODEL, device="cpu", dtype=torch.float32)
    pipe, side = checkpoint.pipeline, checkpoint.default_size
    switcher = LoraSwitcher(pipe.unet, pipe.text_encoder, pipe.text_encoder_2)
    rows: list[list[Image.Image]] = []
    for path in (None, *sorted(loras.rglob("*.safetensors"))):
        switcher.apply([LoraRef(path)] if path else [])
        few = path is not None and FEW_STEPS in str(path)
        row: list[GeneratedPicture] = []
        for prompt in PROMPTS:
            request = GenerateRequest(
                prompt,
                out.parent,
                seed=seed,
                width=side,
                height=side,
                steps=4 if few else 20,
                sampler="LCM" if few else "DPM++ 2M",
                cfg_scale=1.0 if few else 6.0,
            )
            generate(
                pipe,
                request,
                cancelled=lambda: False,
                on_step=lambda step, total, preview: None,
                on_picture=row.append,
            )
        rows.append([picture.image.resize((height, height)) for picture in row])
    sheet = Image.new("RGB", (height * len(PROMPTS), height * len(rows)))
    for y, images in enumerate(rows):
        for x, image in enumerate(images):
            sheet.paste(image, (x * height, y * height))
    sheet.save(out)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--loras", type=Path, default=DEMO_LORAS)
    parser.add_argument("--height", type=int, default=144)
    parser.add_argument("--seed", type=int, default=3)
    args = parser.parse_args()
    main(args.out, args.loras, height=args.height, seed=args.seed)
