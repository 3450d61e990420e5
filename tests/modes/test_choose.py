"""From free bytes to a mode, at the borders; what cannot fit is refused with numbers."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest

from engine.errors import EngineError
from engine.modes.choose import (
    VAE_BYTES_PER_PIXEL,
    choose_mode,
    device_need,
    device_weights,
    require_fit,
)
from engine.modes.size import ModelBytes
from engine.protocol.modes import MODES, OFFLOADED, Mode

GIB = 2**30
SDXL = ModelBytes(
    unet=2 * 2_567_463_684,
    text_encoder=2 * 123_060_480,
    text_encoder_2=2 * 694_659_840,
    vae=4 * 83_653_863,
)
"""In float16, with the VAE in float32."""


@pytest.mark.parametrize(
    ("card", "mode"),
    [
        (80, "resident"),
        (24, "resident"),
        (12, "tiled"),
        (8, "encoder-offload"),
        (7, "model-offload"),
        (6, "group-offload"),
        (2, "group-offload"),
    ],
)
def test_cards_get_their_mode(card: int, mode: Mode) -> None:
    """A card's desktop and PyTorch's own context take some of it."""
    assert choose_mode(int(0.92 * card * GIB), SDXL) == mode


@pytest.mark.parametrize(("mode", "next_mode"), [*pairwise(MODES)])
def test_borders_are_exact(mode: Mode, next_mode: Mode) -> None:
    need = device_need(mode, SDXL)
    assert choose_mode(need, SDXL) == mode
    assert choose_mode(need - 1, SDXL) == next_mode


def test_each_mode_needs_less_than_the_one_before() -> None:
    needs = [device_need(mode, SDXL) for mode in MODES]
    assert needs == sorted(needs, reverse=True)
    assert len(set(needs)) == len(MODES)
    for mode in MODES:
        assert device_weights(mode, SDXL) < device_need(mode, SDXL)


def test_the_least_of_the_allowed_modes_is_taken_when_none_fits() -> None:
    assert choose_mode(0, SDXL) == "group-offload"
    assert choose_mode(0, SDXL, ("resident", "tiled")) == "tiled"


def test_a_vae_in_bfloat16_needs_half() -> None:
    half = replace(SDXL, vae=SDXL.vae // 2, vae_itemsize=2)
    saved = device_need("resident", SDXL) - device_need("resident", half)
    assert saved == SDXL.vae // 2 + 2 * VAE_BYTES_PER_PIXEL * SDXL.pixels
    assert choose_mode(int(0.92 * 12 * GIB), half) == "resident", "tiled with one in float32"


def test_beside_the_unet_there_is_room_for_a_tile_and_for_a_text_encoder() -> None:
    half = replace(SDXL, vae=SDXL.vae // 2, vae_itemsize=2)
    tile = 4 * VAE_BYTES_PER_PIXEL * 512 * 512
    assert device_need("encoder-offload", SDXL) == SDXL.unet + SDXL.vae + tile
    assert device_need("encoder-offload", half) == half.unet + half.vae + half.text_encoder_2


def test_small_pictures_need_no_tiles() -> None:
    small = ModelBytes(10, 10, 10, 10, pixels=128 * 128)
    assert device_need("tiled", small) == device_need("resident", small)


@pytest.mark.parametrize("mode", MODES)
def test_weights_that_do_not_fit_are_refused_at_the_byte(mode: Mode) -> None:
    weights = device_weights(mode, SDXL)

    def require(free: int) -> None:
        require_fit("xl", mode, SDXL, free=free, free_host=64 * GIB, device="cuda:0")

    require(weights)
    with pytest.raises(EngineError, match=f"{weights / GIB:.1f} GiB of cuda:0 in the mode {mode}"):
        require(weights - 1)


def test_a_refusal_names_the_mode_that_fits() -> None:
    half = replace(SDXL, vae=SDXL.vae // 2, vae_itemsize=2)
    for model, free, fitting in ((SDXL, 6.2, "model-offload"), (half, 6.3, "encoder-offload")):
        with pytest.raises(
            EngineError, match=f"{free} GiB are free: it fits in the mode {fitting}"
        ):
            require_fit(
                "xl", "tiled", model, free=int(free * GIB), free_host=64 * GIB, device="cuda:0"
            )
    with pytest.raises(EngineError, match="run it on the CPU"):
        require_fit("xl", "tiled", SDXL, free=GIB // 4, free_host=64 * GIB, device="cuda:0")
    with pytest.raises(EngineError, match="in the type that its file is in"):
        require_fit(
            "xl", "tiled", SDXL, free=GIB, free_host=GIB, device="cpu", modes=("resident", "tiled")
        )


@pytest.mark.parametrize("mode", MODES)
def test_offloaded_weights_need_main_memory(mode: Mode) -> None:
    def require(free_host: int) -> None:
        require_fit("xl", mode, SDXL, free=24 * GIB, free_host=free_host, device="cuda:0")

    resting = SDXL.of(OFFLOADED[mode])
    require(resting)
    if resting:
        with pytest.raises(EngineError, match=f"{resting / GIB:.1f} GiB of main memory"):
            require(resting - 1)
