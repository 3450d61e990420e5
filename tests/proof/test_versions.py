"""Reminders: what is computed otherwise than before needs another version.

Where one of these fails after a change that was meant to change weights or pictures, raise the
constant and write the new numbers here. Where it was not meant, the change is wrong.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image

from engine.checkpoint import open_checkpoint
from engine.demo import DEMO_MODEL
from engine.generate.run import GeneratedPicture, generate
from engine.generate.version import LOOP_VERSION
from engine.lora.families import LowRank
from engine.protocol.request import GenerateRequest
from engine.switch.fingerprint import fingerprint
from engine.switch.merge import merge_weight
from engine.switch.plan import Term
from engine.switch.version import MERGE_VERSION


def waves(*shape: int) -> torch.Tensor:
    """Numbers that are the same with every PyTorch."""
    places = torch.arange(torch.Size(shape).numel(), dtype=torch.float64)
    return torch.sin(places * 0.7).reshape(shape).to(torch.float32)


def test_the_merge() -> None:
    base, live = waves(4, 6).half(), torch.zeros(4, 6, dtype=torch.float16)
    adapter = LowRank(waves(4, 2), waves(2, 6), 0.5)
    merge_weight(live, base, [Term(adapter, 0.8, None), Term(adapter, 0.3, None)])  # type: ignore[arg-type]
    sums = live.double().sum(0).tolist()
    assert (MERGE_VERSION, [round(x, 4) for x in sums]) == (
        2,
        [-0.0671, 0.7153, 1.161, 1.0605, 0.4619, -0.3547],
    )


def test_fingerprints() -> None:
    assert fingerprint(torch.arange(20_000)) == -6263081548007324046


COLOURS = [
    124, 111, 191, 185, 138, 211, 136, 113, 148, 127, 118, 194,
    101, 111, 185, 122, 146, 198, 115, 114, 169, 115, 120, 207,
    154, 78, 232, 145, 79, 239, 153, 110, 251, 140, 90, 249,
    126, 94, 245, 136, 94, 253, 143, 126, 253, 132, 107, 251,
]  # fmt: skip
"""Of the quarters of four pictures; another demo model has others."""


def test_the_loop(tmp_path: Path) -> None:
    pipe = open_checkpoint(DEMO_MODEL, device="cpu", dtype=torch.float32).pipeline
    colours = []

    def keep(picture: GeneratedPicture) -> None:
        small = picture.image.resize((2, 2), Image.Resampling.BOX)
        colours.extend(np.asarray(small).reshape(-1).tolist())

    for sampler in ("DPM++ 2M", "Euler a"):
        request = GenerateRequest(
            "a (red:1.3) star, [blue:green:0.5] AND a heart", tmp_path, "grey", 7, 3, 5.0, 64, 64,
            sampler, batch=2, variation_strength=0.2, variation_seed=3,
        )  # fmt: skip
        generate(pipe, request, cancelled=lambda: False, on_step=lambda *_: None, on_picture=keep)
    assert LOOP_VERSION == 1
    np.testing.assert_allclose(colours, COLOURS, atol=2)
