"""The denoiser against its formulas: x0 of both predictions, guidance, regions, and steps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from diffusers import EulerDiscreteScheduler

from engine.generate.at_once import Room
from engine.generate.denoise import Denoiser, Region
from engine.generate.encode import PromptEmbeddings, encode_texts
from engine.generate.guidance import Guidance
from engine.generate.noise_levels import timestep_of, training_sigmas
from engine.sampling import sample, sigmas
from tests.generate.conftest import SDXL_SCHEDULER

LEVELS = training_sigmas({})


def test_levels_are_the_schedulers() -> None:
    own = EulerDiscreteScheduler(**SDXL_SCHEDULER).alphas_cumprod.double()
    assert torch.allclose(LEVELS, ((1 - own) / own).sqrt(), rtol=1e-4)
    assert float(LEVELS[-1]) == pytest.approx(14.6146, rel=1e-5)
    linear = {"beta_schedule": "linear", "beta_start": 1e-4, "beta_end": 0.02}
    own = EulerDiscreteScheduler(**linear).alphas_cumprod.double()
    assert torch.allclose(training_sigmas(linear), ((1 - own) / own).sqrt(), rtol=1e-3)


def test_zero_terminal_snr_ends_where_a1111_and_comfyui_end() -> None:
    levels = training_sigmas({"rescale_betas_zero_snr": True})
    theirs = EulerDiscreteScheduler(**SDXL_SCHEDULER, rescale_betas_zero_snr=True).alphas_cumprod
    own = theirs.double()[:-1]
    assert torch.allclose(levels[:-1], ((1 - own) / own).sqrt(), rtol=1e-3)
    assert float(levels[-1]) == pytest.approx(4518.76, rel=1e-5)


def test_timesteps_lie_between_the_trained_ones_by_the_logarithm() -> None:
    trained = torch.tensor([0, 1, 500, 998, 999])
    assert torch.allclose(timestep_of(LEVELS[trained], LEVELS), trained.double(), atol=1e-6)
    middle = (LEVELS[500] * LEVELS[501]).sqrt()
    assert float(timestep_of(middle, LEVELS)) == pytest.approx(500.5)
    beyond = torch.tensor([1e-6, 1e6])
    assert timestep_of(beyond, LEVELS).tolist() == [0, 999]


@pytest.fixture(scope="module")
def texts(pipe: Any) -> tuple[PromptEmbeddings, ...]:
    return encode_texts(pipe, ("a red fox", "cat", "a red cat"))


@pytest.fixture
def make(pipe: Any) -> Callable[..., Denoiser]:
    """A denoiser of the tiny pipeline; keywords override."""

    def build(*regions: Region, **settings: Any) -> Denoiser:
        usual = {"cfg_scale": 4.0, "steps": 3, "calls": 3, "room": Room(99), "levels": LEVELS}
        return Denoiser(pipe, regions, **{**usual, **settings})

    return build


def everywhere(*prompts: PromptEmbeddings, negative: PromptEmbeddings | None = None) -> Region:
    guidance = Guidance(tuple((prompt, 1.0) for prompt in prompts), negative)
    return Region(lambda _: guidance)


def noisy(count: int = 2) -> torch.Tensor:
    return 5 * torch.randn(count, 4, 8, 8, generator=torch.Generator().manual_seed(3))


def by_hand(pipe: Any, text: PromptEmbeddings, x: torch.Tensor, timestep: int) -> torch.Tensor:
    """x0 of noisy latents at a trained timestep, one by one."""
    sigma = float(LEVELS[timestep])
    found = []
    for latents in x.split(1):
        with torch.no_grad():
            (output,) = pipe.unet(
                latents / (sigma**2 + 1) ** 0.5,
                timestep,
                encoder_hidden_states=text.states,
                added_cond_kwargs={
                    "text_embeds": text.pooled,
                    "time_ids": torch.tensor([[64.0, 64, 0, 0, 64, 64]]),
                },
                return_dict=False,
            )
        if pipe.scheduler.config.prediction_type == "epsilon":
            found.append(latents - sigma * output)
        else:
            scale = (sigma**2 + 1) ** 0.5
            found.append(latents / scale**2 - sigma / scale * output)
    return torch.cat(found)


def at(timestep: int, count: int = 2) -> torch.Tensor:
    return LEVELS[timestep].float().repeat(count)


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
def test_x0_with_and_without_guidance(
    pipe: Any, make: Any, texts: Any, monkeypatch: pytest.MonkeyPatch, prediction: str
) -> None:
    scheduler = EulerDiscreteScheduler(**SDXL_SCHEDULER, prediction_type=prediction)
    monkeypatch.setattr(pipe, "scheduler", scheduler)
    x = noisy()
    fox, cat = (by_hand(pipe, text, x, 700) for text in texts[:2])
    assert torch.allclose(make(everywhere(texts[0]))(x, at(700)), fox, atol=1e-4)
    guided = make(everywhere(texts[0], negative=texts[1]))(x, at(700))
    assert torch.allclose(guided, cat + 4 * (fox - cat), atol=1e-3)
    pair = make(everywhere(texts[0], negative=texts[1]), wants_pair=True)(x, at(700))
    assert torch.equal(pair[0], guided)
    assert torch.allclose(pair[1], cat, atol=1e-4)


def test_prompts_joined_by_and_count_by_their_weights(pipe: Any, make: Any, texts: Any) -> None:
    x = noisy()
    fox, cat, both = (by_hand(pipe, text, x, 400) for text in texts)
    guidance = Guidance(((texts[0], 0.7), (texts[2], -0.2)), texts[1])
    joined = make(Region(lambda _: guidance))(x, at(400))
    assert torch.allclose(joined, cat + 4 * (0.7 * (fox - cat) - 0.2 * (both - cat)), atol=1e-3)


def test_each_region_is_drawn_by_itself_and_joined_by_its_mask(
    pipe: Any, make: Any, texts: Any
) -> None:
    x = noisy()
    left = torch.zeros(1, 1, 8, 8)
    left[..., :4] = 1
    soft = torch.full((1, 1, 8, 8), 0.5)
    told: list[tuple[int, int]] = []
    one, other = (everywhere(text, negative=texts[1]) for text in (texts[0], texts[2]))
    denoiser = make(
        Region(one.guidance, left),
        Region(other.guidance, 1 - left),
        before_call=lambda step, region: told.append((step, region)),
    )
    joined = denoiser(x, at(300))
    assert torch.equal(joined[..., :4], make(one)(x, at(300))[..., :4])
    assert torch.equal(joined[..., 4:], make(other)(x, at(300))[..., 4:])
    denoiser(x, at(200))
    assert told == [(0, 0), (0, 1), (1, 0), (1, 1)]
    blended = make(Region(one.guidance, soft), Region(other.guidance, 3 * soft))(x, at(300))
    expected = 0.25 * make(one)(x, at(300)) + 0.75 * make(other)(x, at(300))
    assert torch.allclose(blended, expected, atol=1e-4)


@pytest.mark.parametrize(
    ("sampler", "steps"),
    [("Euler", [0, 1, 2, 3]), ("Heun", [0, 0, 1, 1, 2, 2, 3])],
)
def test_steps_are_told_for_every_call(
    make: Any, texts: Any, sampler: str, steps: list[int]
) -> None:
    """Samplers that call twice in a step stay in it for both."""
    told: list[tuple[int, int]] = []
    asked: list[int] = []

    def guidance(call: int) -> Guidance:
        asked.append(call)
        return Guidance(((texts[0 if call < 2 else 2], 1.0),))

    denoiser = make(
        Region(guidance),
        steps=4,
        calls=len(steps),
        before_call=lambda step, region: told.append((step, region)),
    )
    sample(sampler, denoiser, noisy(1), sigmas("Uniform", 4, sampler), (1,))
    assert told == [(step, 0) for step in steps]
    assert asked == list(range(len(steps)))


def test_where_memory_runs_out_it_goes_on_with_half(
    pipe: Any, make: Any, texts: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    x = noisy(3)
    region = everywhere(texts[0], negative=texts[1])
    expected = make(region)(x, at(600, 3))
    tried: list[int] = []
    forward = pipe.unet.forward

    def small(sample: torch.Tensor, *rest: Any, **options: Any) -> Any:
        tried.append(len(sample))
        if len(sample) > 2:
            raise torch.OutOfMemoryError
        return forward(sample, *rest, **options)

    monkeypatch.setattr(pipe.unet, "forward", small)
    room = Room(99)
    assert torch.allclose(make(region, room=room)(x, at(600, 3)), expected, atol=1e-4)
    assert tried == [6, 3, 1, 1, 1, 1, 1, 1]
    assert room.rows == 1


@pytest.mark.parametrize("error", [torch.OutOfMemoryError, RuntimeError("another"), ValueError])
def test_what_cannot_be_halved_is_raised(
    pipe: Any, make: Any, texts: Any, monkeypatch: pytest.MonkeyPatch, error: Any
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr(pipe.unet, "forward", fail)
    with pytest.raises((torch.OutOfMemoryError, RuntimeError, ValueError)):
        make(everywhere(texts[0]))(noisy(1), at(600, 1))
