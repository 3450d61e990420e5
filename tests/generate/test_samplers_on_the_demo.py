"""Every sampler, and every schedule, draws a picture with a model that was trained."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from engine.checkpoint import Checkpoint, open_checkpoint
from engine.demo import DEMO_MODEL
from engine.generate.encode import EmbeddingsCache
from engine.generate.run import generate
from engine.protocol.request import GenerateRequest
from engine.sampling import SAMPLERS, SCHEDULES

PAIRS = [
    *((sampler, "Automatic") for sampler in SAMPLERS),
    *(("Euler", schedule) for schedule in SCHEDULES),
    *(("DPM++ 2M", schedule) for schedule in SCHEDULES),
]


@pytest.fixture(scope="module")
def demo() -> tuple[Checkpoint, EmbeddingsCache]:
    """The demo, and a place for the embeddings of the one prompt."""
    return open_checkpoint(DEMO_MODEL, device="cpu", dtype=torch.float32), EmbeddingsCache()


@pytest.mark.parametrize(("sampler", "schedule"), PAIRS)
def test_every_pair_draws_a_picture(
    demo: tuple[Checkpoint, EmbeddingsCache], tmp_path: Path, sampler: str, schedule: str
) -> None:
    model, cache = demo
    request = GenerateRequest(
        prompt="a large red circle on a white background",
        output=tmp_path,
        seed=3,
        steps=4,
        cfg_scale=1.0,
        width=model.default_size,
        height=model.default_size,
        sampler=sampler,
        schedule=schedule,
        preview_every=0,
    )
    pictures: list[Any] = []
    report = generate(
        model.pipeline,
        request,
        cancelled=lambda: False,
        on_step=lambda *_: None,
        on_picture=pictures.append,
        embeddings_cache=cache,
    )
    assert report.warnings == (), "the latents or the picture were not finite"
    pixels = np.asarray(pictures[0].image, dtype=float)
    contrast = pixels.std(axis=(0, 1)).mean()
    roughness = np.abs(np.diff(pixels, axis=1)).mean() / contrast
    assert contrast > 10, "one colour all over"
    assert roughness < 0.5, "noise, whose neighbours differ as much as any two pixels"
