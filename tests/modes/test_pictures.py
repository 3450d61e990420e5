"""In every mode a switch reaches the weights that run: its pictures are those without offload."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from engine.modes.place import place
from engine.protocol.modes import Mode

from .conftest import Arrange, Drawing, Moves, open_drawing

TOUR = ((), ("neon",), ("styles/ink", "neon"), ())


def in_mode(mode: Mode) -> Arrange:
    return lambda pipe: place(pipe, mode, "cpu")


@pytest.fixture(scope="module")
def expected(
    tiny_checkpoint: Path, tiny_loras: Path, tmp_path_factory: pytest.TempPathFactory
) -> list[np.ndarray]:
    """The tour's pictures without any offload: the base, two stacks, and the base again."""
    drawing = open_drawing(tiny_checkpoint, tiny_loras, tmp_path_factory.mktemp("pictures"))
    pictures = drawing.tour(TOUR)
    assert not np.array_equal(pictures[0], pictures[1])
    assert not np.array_equal(pictures[1], pictures[2])
    return pictures


def assert_same(pictures: list[np.ndarray], expected: list[np.ndarray]) -> None:
    for number, (picture, wanted) in enumerate(zip(pictures, expected, strict=True)):
        assert np.array_equal(picture, wanted), TOUR[number]


def test_tiled(load: Callable[..., Drawing], expected: list[np.ndarray]) -> None:
    assert_same(load(in_mode("tiled")).tour(TOUR), expected)


def test_model_offload(
    load: Callable[..., Drawing], expected: list[np.ndarray], moves: Moves
) -> None:
    drawing = load(in_mode("model-offload"))
    before = moves.networks
    assert_same(drawing.tour(TOUR), expected)
    assert moves.networks >= before + 4 * 4, "every network goes there for every picture"
    assert not drawing.switcher.verify().different


def test_encoder_offload(
    load: Callable[..., Drawing], expected: list[np.ndarray], moves: Moves
) -> None:
    drawing = load(in_mode("encoder-offload"))
    before = moves.networks
    assert_same(drawing.tour(TOUR), expected)
    assert moves.networks == before, "the UNet and the VAE stay"
    assert moves.visiting
    assert not drawing.switcher.verify().different


def test_group_offload(
    load: Callable[..., Drawing], expected: list[np.ndarray], moves: Moves
) -> None:
    drawing = load(in_mode("group-offload"))
    assert_same(drawing.tour(TOUR), expected)
    assert moves.tensors > 1000
    assert not drawing.switcher.verify().different


def test_group_offload_with_a_stream(
    load: Callable[..., Drawing],
    expected: list[np.ndarray],
    moves: Moves,
    stream_offload: Arrange,
) -> None:
    drawing = load(stream_offload)
    assert_same(drawing.tour(TOUR), expected)
    assert moves.tensors > 1000
    assert not drawing.switcher.verify().different


@pytest.mark.parametrize("mode", ["encoder-offload", "model-offload", "group-offload", "stream"])
def test_offload_that_begins_under_a_live_stack(
    load: Callable[..., Drawing],
    expected: list[np.ndarray],
    stream_offload: Arrange,
    mode: Any,
) -> None:
    drawing = load()
    drawing.switch("neon")
    (stream_offload if mode == "stream" else in_mode(mode))(drawing.pipe)
    assert np.array_equal(drawing.picture(), expected[1])
    assert_same(drawing.tour(TOUR[2:]), expected[2:])


def break_once(pipe: Any, call: int) -> None:
    """Let a layer that LoRAs change run out of memory at a call, while it is on the device."""
    layer = pipe.unet.mid_block.attentions[0].transformer_blocks[0].attn1.to_v
    forward, calls = layer.forward, iter(range(call + 1))

    def fail(*arguments: Any) -> Any:
        if next(calls, None) == call:
            raise torch.OutOfMemoryError
        return forward(*arguments)

    layer.forward = fail


@pytest.mark.parametrize("call", [0, 3])
@pytest.mark.parametrize("mode", ["model-offload", "group-offload", "stream"])
def test_a_run_that_broke_off_leaves_nothing_behind(
    load: Callable[..., Drawing],
    expected: list[np.ndarray],
    stream_offload: Arrange,
    mode: Any,
    call: int,
) -> None:
    def arrange(pipe: Any) -> None:
        break_once(pipe, call)
        (stream_offload if mode == "stream" else in_mode(mode))(pipe)

    drawing = load(arrange)
    with pytest.raises(torch.OutOfMemoryError):
        # The user's own run, which does not tidy up as `generate` does.
        drawing.pipe("a fox", width=64, height=64, num_inference_steps=4, output_type="latent")
    drawing.switch("neon")
    assert np.array_equal(drawing.picture(), expected[1])
    drawing.switch()
    assert not drawing.switcher.verify().different
    assert np.array_equal(drawing.picture(), expected[0])


def test_large_pictures_are_decoded_in_tiles(load: Callable[..., Drawing]) -> None:
    """Tiles change a picture a little at their edges, and the mode alone decides of them."""
    side = 704
    whole, tiled, offloaded = (
        load(in_mode(mode)).tour(((), ("neon",)), side)
        for mode in ("resident", "tiled", "model-offload")
    )
    for before, after in ((whole[0], whole[1]), (tiled[0], tiled[1])):
        assert not np.array_equal(before, after)
    assert not np.array_equal(tiled[1], whole[1])
    assert np.array_equal(tiled[1], offloaded[1])
    difference = np.abs(tiled[1].astype(int) - whole[1].astype(int)).mean()
    change = np.abs(whole[1].astype(int) - whole[0].astype(int)).mean()
    assert difference < change / 2
