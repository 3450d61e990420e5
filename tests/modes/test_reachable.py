"""Where a write to the parameters would be lost, a switch is refused with the reason."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from diffusers.hooks import apply_group_offloading

from engine.errors import EngineError

from .conftest import Drawing


def test_offload_to_disk_is_refused_whenever_it_begins(
    load: Callable[..., Drawing], tmp_path: Path
) -> None:
    drawing = load()
    drawing.switch("neon")
    apply_group_offloading(
        drawing.pipe.unet,
        onload_device=torch.device("cpu"),
        offload_type="leaf_level",
        offload_to_disk_path=str(tmp_path / "offload"),
    )
    for act in (lambda: drawing.switch(), drawing.switcher.verify):
        with pytest.raises(EngineError, match="offloaded to disk"):
            act()


def test_weights_that_leave_for_the_meta_device_later_are_refused(
    load: Callable[..., Drawing],
) -> None:
    drawing = load()
    drawing.pipe.text_encoder_2.to("meta")
    with pytest.raises(EngineError, match="text_encoder_2 is offloaded layer by layer"):
        drawing.switch("neon")


@pytest.mark.parametrize("wrapped", [False, True])
def test_weights_frozen_into_compiled_code_are_refused(
    load: Callable[..., Drawing], wrapped: bool
) -> None:
    def arrange(pipe: object) -> None:
        if wrapped:
            pipe.unet = torch.compile(pipe.unet)  # type: ignore[attr-defined]

    drawing = load(arrange)
    drawing.switch("neon")
    from torch._inductor import config

    with config.patch(freezing=True):
        if not wrapped:
            drawing.switch()
            drawing.pipe.unet.compile()
        with pytest.raises(EngineError, match="frozen"):
            drawing.switch("styles/ink")
