"""Every sampler draws a picture with a model that was trained, and so does every schedule.

Most schedules are the usual one of a sampler; the others are drawn with DPM++ 2M.
"""

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
from engine.sampling.registry import SAMPLER_FUNCTIONS
from engine.sampling.schedules import SCHEDULE_FUNCTIONS
from engine.words.sampler_names import USUAL_SCHEDULE

# Two names of one function are drawn once.
SAMPLERS = {function: name for name, function in SAMPLER_FUNCTIONS.items()}.values()
SCHEDULES = {function: name for name, function in SCHEDULE_FUNCTIONS.items()}.values()
PAIRS = [
    # Without guidance CFG++ is the plain sampler.
    *((sampler, "Automatic") for sampler in SAMPLERS if "CFG++" not in sampler),
    *(("DPM++ 2M", schedule) for schedule in SCHEDULES if schedule not in USUAL_SCHEDULE.values()),
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
        steps=3,
        cfg_scale=1.0,
        width=96,
        height=96,
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
