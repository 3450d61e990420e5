"""Noise: the numbers CUDA and A1111 draw, one picture as in a batch, and Brownian motions."""

import itertools

import pytest
import torch
import torchsde

from engine.errors import EngineError
from engine.sampling import sample, sigmas
from engine.sampling.noise import SOURCES, initial_noise, later_noise
from engine.sampling.registry import BROWNIAN
from tests.sampling.test_samplers import gaussian

SHAPE = (4, 6, 5)


def test_cuda_draws_of_seed_0_are_the_known_ones() -> None:
    """As A1111's documentation of its emulation prints them."""
    known = [-0.92466259, -0.42534415, -2.6438457, 0.14518388, -0.12086647, -0.57972564,
             -0.62285122, -0.32838709, -1.07454231, -0.36314407, -1.67105067,
             2.26550497]  # fmt: skip
    torch.testing.assert_close(
        initial_noise("GPU", [0], (3, 4, 1)).flatten(), torch.tensor(known), atol=2e-6, rtol=0
    )


def test_a_64_bit_seed_uses_all_its_bits() -> None:
    noises = [initial_noise("GPU", [seed], SHAPE) for seed in (7, 7 + 2**32, 7 + 2**63, 2**64 - 1)]
    for one, other in itertools.combinations(noises, 2):
        assert not torch.equal(one, other)
    assert all(abs(float(noise.std()) - 1) < 0.2 for noise in noises)


def test_the_cpu_generator_goes_on_after_the_initial_noise() -> None:
    generator = torch.Generator().manual_seed(7)
    drawn = [torch.randn(SHAPE, generator=generator) for _ in range(3)]
    torch.testing.assert_close(initial_noise("CPU", [7], SHAPE)[0], drawn[0])
    later = later_noise("CPU", "Euler a", [7], SHAPE, sigmas("Karras", 5))
    for expected, got in zip(drawn[1:], later, strict=False):  # type: ignore[arg-type]
        assert torch.equal(expected, got[0])


def test_comfyui_draws_a_batch_from_one_generator() -> None:
    whole = torch.randn((2, *SHAPE), generator=torch.Generator().manual_seed(7))
    assert torch.equal(initial_noise("ComfyUI", [7, 8], SHAPE), whole)
    later = later_noise("ComfyUI", "Euler a", [7, 8], SHAPE, sigmas("Karras", 5))
    first = next(iter(later))  # type: ignore[arg-type]
    assert torch.equal(first.flatten(), initial_noise("GPU", [7], (2, *SHAPE)).flatten())


@pytest.mark.parametrize("source", ["CPU", "GPU"])
@pytest.mark.parametrize("sampler", ["Euler a", "DPM++ 2M SDE", "DPM++ SDE"])
def test_a_seed_in_a_batch_draws_as_alone(source: str, sampler: str) -> None:
    levels = sigmas("Automatic", 6, sampler=sampler)

    def draw(seeds: list[int]) -> torch.Tensor:
        x = initial_noise(source, seeds, SHAPE) * levels[0]
        noise = later_noise(source, sampler, seeds, SHAPE, levels)
        return sample(sampler, lambda x, s: gaussian(x, s.view(-1, 1, 1, 1)), x, levels,
                      seeds=seeds, noise=noise)  # fmt: skip

    torch.testing.assert_close(draw([5, 2**63 + 1]), torch.cat([draw([5]), draw([2**63 + 1])]))


@pytest.mark.parametrize("sampler", sorted(BROWNIAN))
def test_without_noise_an_sde_draws_from_torchsdes_tree(sampler: str) -> None:
    """The tree spans the sigmas, its time runs up, and a way down counts as negative."""
    levels = sigmas("Automatic", 8, sampler=sampler)
    low, high = levels[-2], levels[0]
    trees = [torchsde.BrownianTree(low, torch.zeros(SHAPE), high, entropy=s) for s in (5, 6)]

    def noise(sigma: float, following: float) -> torch.Tensor:
        ends = torch.tensor([following, sigma])
        first, last = (round(min(max(float(e), float(low)), float(high)), 6) for e in ends)
        grown = torch.stack([tree(first, last) for tree in trees])
        return -grown / (ends[1] - ends[0]).sqrt()

    x = initial_noise("CPU", [5, 6], SHAPE) * levels[0]

    def model(x: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
        return gaussian(x, sigma.view(-1, 1, 1, 1))

    expected = sample(sampler, model, x, levels, noise=noise)
    got = sample(sampler, model, x, levels, seeds=(5, 6))
    assert torch.equal(got, sample(sampler, model, x, levels, seeds=(5, 6)))
    torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("source", SOURCES)
def test_a_variation_lies_between_both_noises(source: str) -> None:
    one, other = (initial_noise(source, [seed], SHAPE) for seed in (1, 2))
    torch.testing.assert_close(initial_noise(source, [1], SHAPE, [2], 1.0), other)
    half = initial_noise(source, [1], SHAPE, [2], 0.5)
    # Along a great circle the middle of two noises is their sum, brought to a length between.
    for column in range(SHAPE[2]):
        for channel in range(SHAPE[0]):
            a, b, c = (noise[0, channel, :, column] for noise in (one, other, half))
            angle = torch.acos((a @ b) / (a.norm() * b.norm()))
            torch.testing.assert_close(c, (a + b) / (2 * torch.cos(angle / 2)))


def test_what_cannot_be_drawn_is_refused() -> None:
    for arguments in (("Radio", [1]), ("CPU", [-1]), ("GPU", [2**64])):
        with pytest.raises(EngineError):
            initial_noise(*arguments, SHAPE)
    with pytest.raises(EngineError, match="variation"):
        initial_noise("CPU", [1, 2], SHAPE, [3], 0.5)
    levels = sigmas("Karras", 4)
    with pytest.raises(EngineError, match="3 seeds"):
        sample("Euler", lambda x, s: x, torch.zeros(1, *SHAPE), levels, seeds=(1, 2, 3))
