"""Latents become a picture also where memory is short."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch

from engine.generate.decode import decode, encode

LATENTS = torch.randn(1, 4, 16, 16, generator=torch.Generator().manual_seed(1))
WORDS = "There was not enough memory to decode the picture at once; it was decoded in tiles."


class Full:
    """A VAE without room for a picture in one piece."""

    def __init__(self, vae: Any, error: BaseException, tiles_fit: bool = True) -> None:
        self.tries: list[bool] = []
        self._decode, self._vae = vae.decode, vae
        self._error, self._tiles_fit = error, tiles_fit

    def __call__(self, latents: torch.Tensor, **options: Any) -> Any:
        self.tries.append(self._vae.use_tiling)
        if not (self._vae.use_tiling and self._tiles_fit):
            raise self._error
        return self._decode(latents, **options)


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 4.00 GiB"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: can't allocate"),
        MemoryError(),
    ],
)
def test_a_picture_without_room_is_decoded_in_tiles_and_that_is_said(
    pipe: Any, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    full = Full(pipe.vae, error)
    monkeypatch.setattr(pipe.vae, "decode", full)
    picture, warning = decode(pipe, LATENTS)
    assert warning == WORDS
    assert full.tries == [False, True]
    assert not pipe.vae.use_tiling, "the next picture is tried at once again"
    monkeypatch.undo()
    pipe.vae.enable_tiling()
    in_tiles, nothing = decode(pipe, LATENTS)
    pipe.vae.disable_tiling()
    assert nothing is None
    assert np.array_equal(np.asarray(picture), np.asarray(in_tiles))


def test_without_room_for_tiles_it_fails_and_the_vae_is_as_it_was(
    pipe: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    error = torch.OutOfMemoryError("CUDA out of memory")
    full = Full(pipe.vae, error, tiles_fit=False)
    monkeypatch.setattr(pipe.vae, "decode", full)
    with pytest.raises(torch.OutOfMemoryError):
        decode(pipe, LATENTS)
    assert full.tries == [False, True]
    assert not pipe.vae.use_tiling


def test_where_tiles_are_the_mode_they_are_not_tried_twice(
    pipe: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = Full(pipe.vae, torch.OutOfMemoryError("CUDA out of memory"), tiles_fit=False)
    monkeypatch.setattr(pipe.vae, "decode", full)
    monkeypatch.setattr(pipe.vae, "use_tiling", True)
    with pytest.raises(torch.OutOfMemoryError):
        decode(pipe, LATENTS)
    assert full.tries == [True]


def test_another_fault_is_not_taken_for_want_of_memory(
    pipe: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = Full(pipe.vae, RuntimeError("CUDA error: an illegal memory access was encountered"))
    monkeypatch.setattr(pipe.vae, "decode", full)
    with pytest.raises(RuntimeError, match="illegal memory access"):
        decode(pipe, LATENTS)
    assert full.tries == [False]


def test_what_a_vae_in_bfloat16_gives_is_rounded_to_pixels_alone(
    pipe: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its range of -1 to 1 becomes 0 to 255 in float32, in which half a step of a pixel counts."""
    monkeypatch.setattr(pipe, "vae", copy.deepcopy(pipe.vae).to(torch.bfloat16))
    values = torch.linspace(-1, 1, 3 * 64 * 64).to(torch.bfloat16).reshape(1, 3, 64, 64)
    monkeypatch.setattr(pipe.vae, "decode", lambda latents, return_dict: (values,))
    image, warning = decode(pipe, LATENTS)
    wanted = ((values.double() / 2 + 0.5) * 255).round()[0].permute(1, 2, 0)
    assert warning is None
    assert np.array_equal(np.asarray(image), wanted.numpy().astype(np.uint8))


def test_a_vae_in_bfloat16_does_what_one_in_float32_does(
    pipe: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    image, _ = decode(pipe, LATENTS)
    latents, _ = encode(pipe, image)
    monkeypatch.setattr(pipe, "vae", copy.deepcopy(pipe.vae).to(torch.bfloat16))
    half_image, warning = decode(pipe, LATENTS)
    half_latents, _ = encode(pipe, image)
    assert warning is None
    assert half_latents.dtype == torch.float32
    assert pipe.vae.dtype == torch.bfloat16
    pixels, half_pixels = (np.asarray(each).astype(int) for each in (image, half_image))
    assert 0 < abs(pixels - half_pixels).max() < 0.1 * np.ptp(pixels)
    assert 0 < (latents - half_latents).abs().max() < 0.1 * latents.abs().max()
