"""A second pass over the enlarged picture."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from engine.errors import CancelledError, EngineError
from engine.protocol.passes import UPSCALERS, HiresPass


class Latents:
    """What the VAE decodes and the UNet is given, first pictures alone."""

    def __init__(self, pipe: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        self.decoded: list[torch.Tensor] = []
        self.given: list[torch.Tensor] = []
        decode, forward = pipe.vae.decode, pipe.unet.forward

        def decoding(latents: torch.Tensor, **options: Any) -> Any:
            self.decoded.append(latents.double() * 0.13025)
            return decode(latents, **options)

        def drawing(rows: torch.Tensor, *rest: Any, **options: Any) -> Any:
            self.given.append(rows[0].double())
            return forward(rows, *rest, **options)

        monkeypatch.setattr(pipe.vae, "decode", decoding)
        monkeypatch.setattr(pipe.unet, "forward", drawing)


def test_the_second_pass_begins_with_the_enlarged_latents_and_fresh_noise(
    pipe: Any, draw: Any, request_of: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = Latents(pipe, monkeypatch)
    settings = {"steps": 4, "schedule": "Karras", "cfg_scale": 1}
    draw(request_of(**settings))
    (first,) = seen.decoded
    seen.given.clear()
    hires = HiresPass(1.5, 0.5, "Latent (nearest-exact)", steps=3)
    (picture,) = draw(request_of(**settings, hires=hires))
    assert picture.image.size == (96, 96)
    assert len(seen.given) == 4 + 3
    assert [len(latents[0]) for latents in seen.given] == [8] * 4 + [12] * 3
    # A1111 draws the steps asked for, of a schedule that is longer by the strength: 3 / 0.5.
    low, high = 0.0291675 ** (1 / 7), 14.614642 ** (1 / 7)
    sigma = np.linspace(high, low, 6)[3] ** 7
    places = (np.arange(12) + 0.5) * 8 / 12
    larger = first[0][:, places.astype(int)][:, :, places.astype(int)]
    noise = torch.randn(1, 4, 12, 12, generator=torch.Generator().manual_seed(7))[0].double()
    wanted = (larger + noise * sigma) / math.sqrt(sigma**2 + 1)
    assert (seen.given[4] - wanted).norm() / wanted.norm() < 1e-5


def test_every_upscaler_draws(draw: Any, request_of: Any) -> None:
    pictures = {
        draw(request_of(steps=1, hires=HiresPass(1.25, 0.5, name)))[0].image.tobytes()
        for name in UPSCALERS
    }
    # Antialiasing makes a linear difference only where something is made smaller.
    assert len(pictures) == len(UPSCALERS) - 1


def test_its_own_prompt_and_steps(draw: Any, request_of: Any) -> None:
    def bytes_of(**hires: Any) -> bytes:
        return draw(request_of(steps=2, hires=HiresPass(**hires)))[0].image.tobytes()

    plain = bytes_of()
    assert plain == bytes_of(prompt="a red fox", steps=2)
    assert plain != bytes_of(prompt="a blue cat " * 9)
    assert plain != bytes_of(negative_prompt="a blue cat " * 9)
    assert plain != bytes_of(steps=3)


def test_prompt_editing_goes_on_from_one(draw: Any, request_of: Any) -> None:
    """`1.5` is the middle of the second pass, as in A1111; 0.5 was in the first."""
    first = draw(request_of(prompt="[a red fox:a cat:1.5]", steps=2))[0].image.tobytes()
    assert first == draw(request_of(steps=2))[0].image.tobytes()
    hires = HiresPass(1.5)
    edited, all_fox, all_cat = (
        draw(request_of(prompt=prompt, steps=2, hires=hires))[0].image.tobytes()
        for prompt in ("[a red fox:a cat:1.5]", "a red fox", "[a red fox:a cat:1.0]")
    )
    assert len({edited, all_fox, all_cat}) == 3


def test_both_passes_are_counted_shown_and_stopped(draw: Any, request_of: Any) -> None:
    seen: list[Any] = []
    options = {
        "on_start": lambda seed, total: seen.append(total),
        "on_pass": lambda number: seen.append(f"pass {number}"),
        "on_step": lambda done, total, preview: seen.append((done, preview.width)),
    }
    draw(request_of(batch=2, steps=2, hires=HiresPass(1.5, steps=1)), **options)
    ends = ["pass 2", (5, 12), "pass 2", (6, 12)]
    assert seen[:4] == [6, "pass 1", (2, 8), (4, 8)]
    assert seen[4:] == [ends[0], ends[1], ends[3]]

    def stops(done: int, *_: object) -> None:
        nonlocal done_last
        done_last = done

    done_last = 0
    with pytest.raises(CancelledError):
        draw(
            request_of(steps=2, hires=HiresPass(1.5)),
            on_step=stops,
            cancelled=lambda: done_last == 3,
        )


def test_a_batch_equals_its_pictures_drawn_alone(draw: Any, request_of: Any) -> None:
    hires = HiresPass(1.5, upscaler="Lanczos")
    for picture in draw(request_of(batch=2, steps=2, sampler="Euler a", hires=hires)):
        (alone,) = draw(request_of(seed=picture.seed, steps=2, sampler="Euler a", hires=hires))
        difference = np.asarray(alone.image, float) - np.asarray(picture.image, float)
        assert np.abs(difference).max() <= 1


@pytest.mark.parametrize(
    ("hires", "words"),
    [
        (HiresPass(0.5), "enlarges"),
        (HiresPass(8.5), "enlarges"),
        (HiresPass(2, 0), "denoising strength"),
        (HiresPass(2, steps=-1), "second pass"),
        (HiresPass(2, upscaler="ESRGAN"), "ESRGAN"),  # type: ignore[arg-type]
    ],
)
def test_what_cannot_be_is_refused(
    draw: Any, request_of: Any, hires: HiresPass, words: str
) -> None:
    with pytest.raises(EngineError, match=words):
        draw(request_of(hires=hires))
    with pytest.raises(EngineError, match="a side of 16000"):
        draw(request_of(width=8000, hires=HiresPass(2)))
