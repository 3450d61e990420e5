"""CFG++: written in the paper's own space, and what is known without a reference."""

import math

import pytest
import torch
from torch import Tensor

from engine.sampling import sample, sigmas
from tests.sampling.test_samplers import SHAPE, bent, draws, gaussian, off, start

CFG_PP = ("DDIM CFG++", "Euler CFG++", "Euler a CFG++", "DPM++ 2M CFG++", "DPM++ 2S a CFG++")


def pair(x: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor]:
    level = sigma.view(-1, 1, 1, 1)
    unconditional = gaussian(x, level)
    return unconditional + 0.6 * (bent(x, level) - unconditional), unconditional


@pytest.mark.parametrize("sampler", ["DDIM CFG++", "Euler CFG++"])
@pytest.mark.parametrize("schedule", ["Karras", "DDIM", "SGM Uniform"])
def test_ddim_with_cfg_pp_as_the_paper_writes_it(sampler: str, schedule: str) -> None:
    levels = sigmas(schedule, 20, sampler=sampler)
    ours = sample(sampler, pair, start(levels), levels, noise=draws())
    alphas = 1 / (1 + levels.double() ** 2)
    x = start(levels).double() * alphas[0].sqrt()
    for now, then, level in zip(alphas, alphas[1:], levels, strict=False):
        batch = torch.full((SHAPE[0],), float(level), dtype=torch.float64)
        guided, unconditional = pair(x / now.sqrt(), batch)
        eps = (x - now.sqrt() * unconditional) / (1 - now).sqrt()
        x = then.sqrt() * guided + (1 - then).sqrt() * eps
    assert off(ours, x) <= 1e-5


def test_2m_with_cfg_pp_as_comfyui_draws_it() -> None:
    levels = sigmas("Karras", 20, sampler="DPM++ 2M CFG++")
    ours = sample("DPM++ 2M CFG++", pair, start(levels), levels, noise=draws())
    x, old = start(levels).double(), None
    s = levels.double().tolist()
    for i in range(20):
        guided, unconditional = pair(x, torch.full((SHAPE[0],), s[i], dtype=torch.float64))
        if old is None or s[i + 1] == 0:
            mix = -s[i + 1] / s[i] * unconditional
        else:
            h = math.log(s[i] / s[i + 1])
            r = math.log(s[i - 1] / s[i]) / h
            mix = -math.exp(-h) * unconditional - math.expm1(-h) / (2 * r) * (guided - old)
        x = guided + mix + s[i + 1] / s[i] * x
        old = unconditional
    assert off(ours, x) <= 1e-5


@pytest.mark.parametrize(
    ("sampler", "plain"),
    [("Euler CFG++", "Euler"), ("Euler a CFG++", "Euler a"), ("DPM++ 2M CFG++", "DPM++ 2M"),
     ("DPM++ 2S a CFG++", "DPM++ 2S a")],
)  # fmt: skip
def test_without_guidance_it_is_the_plain_sampler(sampler: str, plain: str) -> None:
    levels = sigmas("Karras", 12)

    def one(x: Tensor, sigma: Tensor) -> Tensor:
        return gaussian(x, sigma.view(-1, 1, 1, 1))

    with_pair = sample(sampler, lambda x, s: (one(x, s), one(x, s)), start(levels), levels,
                       noise=draws())  # fmt: skip
    assert off(with_pair, sample(plain, one, start(levels), levels, noise=draws()).double()) < 1e-5


@pytest.mark.parametrize("sampler", CFG_PP)
def test_the_last_step_gives_the_guided_picture(sampler: str) -> None:
    levels = sigmas("Karras", 1)
    x = start(levels)
    ours = sample(sampler, pair, x, levels, noise=draws())
    torch.testing.assert_close(ours, pair(x, levels[:1].expand(SHAPE[0]))[0])
