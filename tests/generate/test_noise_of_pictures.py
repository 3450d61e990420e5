"""Whose noise a seed stands for, and variations of it: in requests, batches and pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from engine.generate.picture_noise import PictureNoise
from engine.protocol.request import GenerateRequest
from engine.sampling import sigmas

TABLE = sigmas("Karras", 4)


def request(**settings: Any) -> GenerateRequest:
    usual = {"seed": 7, "width": 64, "height": 64, "sampler": "Euler a"}
    return GenerateRequest("a fox", Path(), **{**usual, **settings})


def test_the_cpus_noise_is_that_of_its_generator() -> None:
    generator = torch.Generator("cpu").manual_seed(7)
    noise = PictureNoise(request(), TABLE)
    assert torch.equal(noise.initial[0], torch.randn(4, 8, 8, generator=generator))
    for _ in range(2):
        assert torch.equal(noise.later(3, 2)[0], torch.randn(4, 8, 8, generator=generator))


def test_a_gpus_noise_is_cudas() -> None:
    """The first normals of CUDA's generator with the seed 0."""
    noise = PictureNoise(request(seed=0, noise="GPU"), TABLE)
    first = noise.initial.flatten()[:6].tolist()
    assert first == pytest.approx([-0.9247, -0.4253, -2.6438, 0.1452, -0.1209, -0.5797], abs=1e-4)


def test_comfyui_begins_as_the_cpu_and_goes_on_as_a_gpu() -> None:
    comfy, cpu, gpu = (
        PictureNoise(request(noise=name), TABLE) for name in ("ComfyUI", "CPU", "GPU")
    )
    assert torch.equal(comfy.initial, cpu.initial)
    assert torch.equal(comfy.later(3, 2), gpu.initial)


def test_a_variation_turns_towards_the_other_seeds_noise() -> None:
    def initial(**settings: Any) -> torch.Tensor:
        return PictureNoise(request(**settings), TABLE).initial

    own, other = initial(), initial(seed=9)
    assert torch.equal(initial(variation_seed=9), own)
    assert torch.allclose(initial(variation_seed=9, variation_strength=1), other, atol=1e-5)
    between = initial(variation_seed=9, variation_strength=0.3)
    assert (between - own).norm() < (between - other).norm()
    assert float(between.std()) == pytest.approx(1, abs=0.1)


def test_a_batch_counts_up_one_of_the_seeds() -> None:
    plain = request(batch=3, seed=5)
    assert [plain.picture(i).seed for i in range(3)] == [5, 6, 7]
    varied = request(batch=3, seed=5, variation_seed=20, variation_strength=0.1)
    pictures = [varied.picture(i) for i in range(3)]
    assert [(p.seed, p.variation_seed, p.batch) for p in pictures] == [
        (5, 20, 1),
        (5, 21, 1),
        (5, 22, 1),
    ]
    assert varied.without_first(2) == request(
        batch=1, seed=5, variation_seed=22, variation_strength=0.1
    )
    assert plain.without_first(2) == request(batch=1, seed=7)


def test_seeds_are_drawn_where_they_count() -> None:
    drawn = iter((11, 12))
    assert request(seed=-1).with_seeds(lambda: next(drawn)).seed == 11
    varied = request(variation_strength=0.5).with_seeds(lambda: next(drawn))
    assert (varied.seed, varied.variation_seed) == (7, 12)
    assert request().with_seeds(pytest.fail) == request()


@pytest.mark.parametrize("noise", ["CPU", "GPU", "ComfyUI"])
@pytest.mark.parametrize("sampler", ["Euler a", "DPM++ 2M SDE"])
def test_pictures_of_a_batch_have_their_own_noise(
    draw: Any, request_of: Any, noise: str, sampler: str
) -> None:
    settings = {"noise": noise, "sampler": sampler, "steps": 2}
    varied = {"variation_seed": 3, "variation_strength": 0.4}
    batch = draw(request_of(batch=2, **settings, **varied))
    assert [(picture.seed, picture.variation_seed) for picture in batch] == [(7, 3), (7, 4)]
    (alone,) = draw(request_of(**settings, variation_seed=4, variation_strength=0.4))
    pixels = [np.asarray(picture.image, float) for picture in (*batch, alone)]
    assert np.abs(pixels[1] - pixels[2]).max() <= 1
    assert np.abs(pixels[0] - pixels[1]).max() > 2
