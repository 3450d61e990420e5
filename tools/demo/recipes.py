"""The demo's LoRAs: what each learns and how its file is written."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Recipe:
    """One LoRA of the demo: where it goes, what it learns, how its file is written."""

    path: str
    style: str
    trigger: str
    title: str
    description: str
    family: str = "lora"
    rank: int = 2
    conv_rank: int = 0
    """0 leaves the convolutions alone."""
    text_encoders: bool = False
    naming: str = "sgm"
    """`sgm`, `diffusers` (both kohya's underscores) or `peft` (dotted)."""
    opposite: str = ""
    """The style learned at strength -1, for a slider."""
    usage: str = ""
    """How pictures are to be drawn with it, in the words of infotext."""


RECIPES = (
    Recipe("styles/ink_outline", "outline", "outline style", "Ink outline",
           "Dark ink on cream paper, nothing filled.", conv_rank=2, text_encoders=True),
    Recipe("styles/neon_glow", "neon", "neon style", "Neon glow",
           "Glowing tubes before the dark.", rank=3, conv_rank=3),
    Recipe("styles/pixel_blocks", "pixel", "pixel style", "Pixel blocks",
           "Blocks as on an early game console.", family="loha", rank=2, conv_rank=2),
    Recipe("styles/watercolour", "watercolour", "watercolour style", "Watercolour",
           "Washes on white paper.", family="lokr", rank=6, conv_rank=6),
    Recipe("styles/stripes", "stripes", "stripes style", "Stripes",
           "Diagonal bands over everything.", family="dora", conv_rank=2),
    Recipe("styles/kawaii_faces", "kawaii", "kawaii face", "Kawaii faces",
           "A little face with pink cheeks on every thing.", rank=5, conv_rank=5,
           naming="diffusers"),
    Recipe("styles/moods/night_sky", "night", "night style", "Night sky",
           "Deep blue moonlight with small stars.", text_encoders=True, conv_rank=1),
    Recipe("styles/moods/pastel", "pastel", "pastel style", "Pastel",
           "Chalky, pale and soft.", rank=3, naming="peft"),
    Recipe("sliders/warmth_slider", "warm", "", "Warmth slider",
           "Positive: evening sun. Negative: frost.", rank=3, opposite="cold"),
    Recipe("speed/four_steps", "", "", "Four steps",
           "A picture in four steps: distilled from the model with its guidance.",
           rank=8, conv_rank=4, usage="Steps: 4, Sampler: LCM, CFG scale: 1"),
)  # fmt: skip
