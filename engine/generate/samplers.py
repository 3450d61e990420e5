"""Build diffusers' schedulers from people's names for samplers and schedules."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import torch
from diffusers import (
    DDIMScheduler,
    DPMSolverMultistepScheduler,
    DPMSolverSDEScheduler,
    EulerAncestralDiscreteScheduler,
    EulerDiscreteScheduler,
    HeunDiscreteScheduler,
    KDPM2AncestralDiscreteScheduler,
    KDPM2DiscreteScheduler,
    LCMScheduler,
    LMSDiscreteScheduler,
    TCDScheduler,
    UniPCMultistepScheduler,
)
from diffusers.schedulers.scheduling_dpmsolver_sde import BrownianTreeNoiseSampler

from engine.errors import EngineError
from engine.words.sampler_names import USUAL_SCHEDULE, ZERO_SNR_SAMPLERS, check_pair


class Sampler(NamedTuple):
    """A scheduler class, the settings that make it this sampler, and the pipeline's `eta`."""

    scheduler: Any
    settings: Mapping[str, Any] = MappingProxyType({})
    eta: float = 0.0


_REGISTRY: Mapping[str, Sampler] = {
    "Euler": Sampler(EulerDiscreteScheduler),
    "Euler a": Sampler(EulerAncestralDiscreteScheduler),
    "Heun": Sampler(HeunDiscreteScheduler),
    "DPM++ 2M": Sampler(DPMSolverMultistepScheduler, {"algorithm_type": "dpmsolver++"}),
    "DPM++ 2M SDE": Sampler(DPMSolverMultistepScheduler, {"algorithm_type": "sde-dpmsolver++"}),
    "DPM++ SDE": Sampler(DPMSolverSDEScheduler),
    "DPM2": Sampler(KDPM2DiscreteScheduler),
    "DPM2 a": Sampler(KDPM2AncestralDiscreteScheduler),
    "LMS": Sampler(LMSDiscreteScheduler),
    "DDIM": Sampler(DDIMScheduler),
    "UniPC": Sampler(UniPCMultistepScheduler),
    "LCM": Sampler(LCMScheduler),
    # The value its authors advise (arXiv:2402.19159); the pipeline's default 0 adds no noise.
    "TCD": Sampler(TCDScheduler, eta=0.3),
}

# Sigma schedules run between the ends of the model's whole range, which "linspace" spans.
_SCHEDULE_SETTINGS: Mapping[str, Mapping[str, Any]] = {
    "Uniform": {"timestep_spacing": "linspace"},
    "SGM Uniform": {"timestep_spacing": "trailing"},
    "Karras": {"timestep_spacing": "linspace", "use_karras_sigmas": True},
    "Exponential": {"timestep_spacing": "linspace", "use_exponential_sigmas": True},
    "Beta": {"timestep_spacing": "linspace", "use_beta_sigmas": True},
}

# What belongs to the model, with SDXL's values; all else is the sampler's, so that the result
# does not depend on the scheduler that was set before.
_MODEL_SETTINGS: Mapping[str, Any] = {
    "num_train_timesteps": 1000,
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "trained_betas": None,
    "prediction_type": "epsilon",
    "rescale_betas_zero_snr": False,
    "timestep_spacing": "leading",
    "steps_offset": 1,
    "set_alpha_to_one": False,
}


def make_scheduler(sampler: str, schedule: str, base_config: Mapping[str, Any]) -> Any:
    """Build the scheduler for a sampler and a schedule from the loaded model's scheduler config.

    v-prediction and zero terminal SNR carry over. Raises `EngineError` naming what is supported
    for an unknown name, a pair that does not work, or a sampler a zero-SNR model cannot use.
    """
    check_pair(sampler, schedule)
    model = {name: base_config.get(name, value) for name, value in _MODEL_SETTINGS.items()}
    zero_snr = bool(model["rescale_betas_zero_snr"])
    if zero_snr and sampler not in ZERO_SNR_SAMPLERS:
        raise EngineError(
            f"This model was trained with zero terminal SNR, which {sampler} cannot sample. "
            f"Use one of {', '.join(ZERO_SNR_SAMPLERS)}."
        )
    if zero_snr and model["timestep_spacing"] == "leading":
        # "leading" never visits the last timestep, the one that matters (arXiv:2305.08891).
        model["timestep_spacing"] = "trailing"
    if schedule == "Automatic" and not zero_snr:
        schedule = USUAL_SCHEDULE.get(sampler, schedule)
    kind, own, _ = _REGISTRY[sampler]
    # Latents have no bound to clip to; some schedulers would clip them by default.
    settings = {**model, "clip_sample": False, **own, **_SCHEDULE_SETTINGS.get(schedule, {})}
    known = inspect.signature(kind.__init__).parameters
    scheduler = kind(**{name: value for name, value in settings.items() if name in known})
    if kind is DPMSolverSDEScheduler:
        _draw_noise_on_cpu(scheduler)
    return scheduler


def sampler_eta(sampler: str) -> float:
    """The `eta` to call the pipeline with; schedulers that have none ignore it."""
    return _REGISTRY[sampler].eta


def seed_noise(scheduler: Any, seed: int) -> None:
    """Seed a scheduler that draws noise of its own (DPM++ SDE), before its timesteps are set.

    The others draw from the pipeline's generator and are left alone.
    """
    if isinstance(scheduler, DPMSolverSDEScheduler):
        scheduler.noise_sampler_seed = seed


def _draw_noise_on_cpu(scheduler: Any) -> None:
    """Make DPM++ SDE draw its noise in float32 on the CPU, so that every device gets the same."""
    step = scheduler.step

    @functools.wraps(step)
    def step_with_cpu_noise(
        model_output: torch.Tensor, timestep: Any, sample: torch.Tensor, **options: Any
    ) -> Any:
        if scheduler.noise_sampler is None:
            scheduler.noise_sampler = _cpu_noise(scheduler, sample)
        return step(model_output, timestep, sample, **options)

    scheduler.step = step_with_cpu_noise


def _cpu_noise(scheduler: Any, sample: torch.Tensor) -> Any:
    """Brownian noise between two sigmas, shaped and typed like `sample`."""
    sigmas = scheduler.sigmas[scheduler.sigmas > 0]
    shape = torch.zeros(sample.shape)
    seed = scheduler.noise_sampler_seed
    tree = BrownianTreeNoiseSampler(shape, sigmas.min().item(), sigmas.max().item(), seed)

    def noise(sigma: torch.Tensor, sigma_next: torch.Tensor) -> torch.Tensor:
        drawn: torch.Tensor = tree(sigma, sigma_next)
        return drawn.to(sample.device, sample.dtype)

    return noise
