"""The modes on a real GPU: real moves, real streams, memory that is really spared."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from engine.checkpoint import open_checkpoint
from engine.modes.place import load_device, place, visitors
from engine.protocol.modes import MODES, OFFLOADED, Mode

from .conftest import Drawing

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]

TOUR = ((), ("neon",), ("styles/ink", "neon"), ())


@pytest.mark.parametrize("mode", MODES)
def test_a_switch_reaches_the_gpu_in_every_mode(
    tiny_checkpoint: Path, tiny_loras: Path, tmp_path: Path, mode: Mode
) -> None:
    def draw(mode: Mode) -> list[np.ndarray]:
        pipe = open_checkpoint(
            tiny_checkpoint,
            device=load_device(mode, "cuda:0"),
            dtype=torch.float32,
            visitors=visitors(mode),
        ).pipeline
        place(pipe, mode, "cuda:0")
        drawing = Drawing(pipe, tiny_loras, tmp_path)
        pictures = drawing.tour(TOUR)
        assert not drawing.switcher.verify().different
        for part in OFFLOADED[mode]:
            assert all(p.device.type == "cpu" for p in getattr(pipe, part).parameters())
        return [picture.astype(int) for picture in pictures]

    expected, pictures = draw("resident"), draw(mode)
    for picture, wanted in zip(pictures, expected, strict=True):
        # Merged on the CPU or on the GPU, sums are rounded in another order.
        assert np.abs(picture - wanted).mean() < np.abs(expected[1] - expected[0]).mean() / 20
    assert np.array_equal(pictures[0], pictures[-1])
