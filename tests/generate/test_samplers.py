"""Every sampler with every schedule it claims, and equality with diffusers' own pipeline."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from diffusers import (
    DDIMScheduler,
    DPMSolverMultistepScheduler,
    DPMSolverSDEScheduler,
    EulerAncestralDiscreteScheduler,
    EulerDiscreteScheduler,
    HeunDiscreteScheduler,
    TCDScheduler,
)

from engine.errors import EngineError
from engine.generate.run import generate
from engine.generate.samplers import make_scheduler, seed_noise
from engine.words.sampler_names import (
    SAMPLERS,
    SCHEDULES,
    SUPPORTED,
    USUAL_SCHEDULE,
    ZERO_SNR_SAMPLERS,
)

# diffusers' schedulers meet numpy 2 with hundreds of thousands of these.
pytestmark = pytest.mark.filterwarnings(
    "ignore:__array_:DeprecationWarning", "ignore:Should have t"
)
PAIRS = [(sampler, schedule) for sampler in SAMPLERS for schedule in SUPPORTED[sampler]]
EPSILON = {"prediction_type": "epsilon", "timestep_spacing": "leading", "steps_offset": 1}
ZERO_SNR = {**EPSILON, "prediction_type": "v_prediction", "rescale_betas_zero_snr": True}


@pytest.mark.parametrize(("sampler", "schedule"), PAIRS)
def test_every_pair_draws(pipe: Any, request_of: Any, sampler: str, schedule: str) -> None:
    steps: list[Any] = []
    pictures: list[Any] = []
    report = generate(
        pipe,
        request_of(sampler=sampler, schedule=schedule, steps=2),
        cancelled=lambda: False,
        on_step=lambda *step: steps.append(step),
        on_picture=pictures.append,
    )
    assert report.warnings == (), "the latents or the picture were not finite"
    assert [done for done, _, _ in steps] == list(range(1, report.total_steps + 1))
    assert all(total == report.total_steps and preview for _, total, preview in steps)
    assert np.asarray(pictures[0].image).std() > 1


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_half_precision_stays_half(
    half_pipe: Any, request_of: Any, monkeypatch: pytest.MonkeyPatch, sampler: str
) -> None:
    """A scheduler that computes in float32 must not hand float32 latents to the UNet."""
    seen = set()
    unet = half_pipe.unet.forward

    def note_dtype(sample: torch.Tensor, *rest: Any, **options: Any) -> Any:
        seen.add(sample.dtype)
        return unet(sample, *rest, **options)

    monkeypatch.setattr(half_pipe.unet, "forward", note_dtype)
    report = generate(
        half_pipe,
        request_of(sampler=sampler, prompt="a (red:1.3) fox"),
        cancelled=lambda: False,
        on_step=lambda *_: None,
        on_picture=lambda _: None,
    )
    assert seen == {torch.float16}
    assert report.warnings == ()


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_each_schedule_has_its_own_table(sampler: str) -> None:
    """Settings that a scheduler does not know would pass unnoticed, and change nothing."""
    tables = {}
    for schedule in SUPPORTED[sampler]:
        scheduler = make_scheduler(sampler, schedule, EPSILON)
        scheduler.set_timesteps(8)
        table = scheduler.sigmas if hasattr(scheduler, "sigmas") else scheduler.timesteps
        tables[schedule] = tuple(table.tolist())
    usual = USUAL_SCHEDULE.get(sampler)
    assert usual is None or tables.pop("Automatic") == tables[usual]
    assert len(set(tables.values())) == len(tables)


@pytest.mark.parametrize("schedule", ["Karras", "Exponential", "Beta"])
@pytest.mark.parametrize("sampler", [s for s in SAMPLERS if "Karras" in SUPPORTED[s]])
def test_sigma_schedules_span_the_models_range(sampler: str, schedule: str) -> None:
    scheduler = make_scheduler(sampler, schedule, EPSILON)
    scheduler.set_timesteps(8)
    positive = scheduler.sigmas[scheduler.sigmas > 0]
    assert positive.max() == pytest.approx(14.6146, rel=1e-4)
    assert positive.min() == pytest.approx(0.0292, rel=1e-2) or schedule == "Beta"


def karras(scheduler: Any, **settings: Any) -> Any:
    return lambda config: scheduler.from_config(
        config, timestep_spacing="linspace", use_karras_sigmas=True, **settings
    )


BY_HAND = {
    ("Euler", "Automatic"): EulerDiscreteScheduler.from_config,
    ("Euler", "Karras"): karras(EulerDiscreteScheduler),
    ("Euler a", "SGM Uniform"): lambda config: EulerAncestralDiscreteScheduler.from_config(
        config, timestep_spacing="trailing"
    ),
    ("Heun", "Uniform"): lambda config: HeunDiscreteScheduler.from_config(
        config, timestep_spacing="linspace"
    ),
    ("DPM++ 2M", "Automatic"): karras(DPMSolverMultistepScheduler),
    ("DPM++ 2M SDE", "Karras"): karras(
        DPMSolverMultistepScheduler, algorithm_type="sde-dpmsolver++"
    ),
    ("DPM++ SDE", "Karras"): karras(DPMSolverSDEScheduler, noise_sampler_seed=7),
    ("DDIM", "Automatic"): lambda config: DDIMScheduler.from_config(
        config, clip_sample=False, set_alpha_to_one=False
    ),
    ("TCD", "Automatic"): lambda config: TCDScheduler.from_config(config, set_alpha_to_one=False),
}


@pytest.mark.parametrize(("sampler", "schedule"), BY_HAND)
def test_equals_diffusers_bit_for_bit(
    pipe: Any, draw: Any, request_of: Any, sampler: str, schedule: str
) -> None:
    request = request_of(
        prompt="a cat, red fox",
        negative_prompt="red",
        sampler=sampler,
        schedule=schedule,
        steps=4,
        width=72,
    )
    (picture,) = draw(request)
    own = pipe.scheduler
    pipe.scheduler = BY_HAND[sampler, schedule](own.config)
    try:
        (theirs,) = pipe(
            prompt=request.prompt,
            negative_prompt=request.negative_prompt,
            num_inference_steps=4,
            guidance_scale=request.cfg_scale,
            eta=0.3 if sampler == "TCD" else 0.0,
            width=72,
            height=64,
            generator=torch.Generator("cpu").manual_seed(7),
        ).images
    finally:
        pipe.scheduler = own
    assert picture.image.size == (72, 64)
    assert picture.image.tobytes() == theirs.tobytes()


def test_noise_of_dpm_sde_is_drawn_in_float32_whatever_the_model_runs_in() -> None:
    drawn = {}
    for dtype in (torch.float32, torch.float16):
        scheduler = make_scheduler("DPM++ SDE", "Karras", EPSILON)
        seed_noise(scheduler, 7)
        scheduler.set_timesteps(4)
        latents = torch.zeros(1, 4, 8, 8, dtype=dtype)
        scheduler.step(latents, scheduler.timesteps[0], latents)
        drawn[dtype] = scheduler.noise_sampler(scheduler.sigmas[0], scheduler.sigmas[1])
    assert torch.equal(drawn[torch.float32].half(), drawn[torch.float16])


def test_pairs_that_do_not_work_name_the_ones_that_do() -> None:
    with pytest.raises(EngineError, match="Automatic, Uniform, SGM Uniform"):
        make_scheduler("Euler a", "Karras", EPSILON)
    with pytest.raises(EngineError, match=r"DPM\+\+ 2M SDE"):
        make_scheduler("Eular", "Karras", EPSILON)
    with pytest.raises(EngineError, match="SGM Uniform"):
        make_scheduler("Euler", "", EPSILON)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_v_prediction_and_zero_snr_carry_over(sampler: str) -> None:
    if sampler not in ZERO_SNR_SAMPLERS:
        with pytest.raises(EngineError, match="zero terminal SNR"):
            make_scheduler(sampler, "Automatic", ZERO_SNR)
        config = {**ZERO_SNR, "rescale_betas_zero_snr": False}
        assert make_scheduler(sampler, "Automatic", config).config.prediction_type == "v_prediction"
        return
    scheduler = make_scheduler(sampler, "Automatic", ZERO_SNR)
    scheduler.set_timesteps(5)
    assert scheduler.config.prediction_type == "v_prediction"
    assert scheduler.config.rescale_betas_zero_snr
    assert int(scheduler.timesteps[0]) == 999, "it starts from pure noise"
    assert float(scheduler.alphas_cumprod[-1]) < 1e-7


def test_nothing_is_taken_from_the_sampler_used_before() -> None:
    before = make_scheduler("DPM++ 2M SDE", "Karras", EPSILON)
    after = make_scheduler("DPM++ 2M", "Exponential", before.config)
    assert after.config.algorithm_type == "dpmsolver++"
    assert not after.config.use_karras_sigmas
    assert make_scheduler("DDIM", "Automatic", EPSILON).config.clip_sample is False


def test_tables_agree() -> None:
    assert set(ZERO_SNR_SAMPLERS) <= set(SAMPLERS)
    assert all(set(schedules) <= set(SCHEDULES) for schedules in SUPPORTED.values())
    assert all(schedule in SUPPORTED[sampler] for sampler, schedule in USUAL_SCHEDULE.items())
