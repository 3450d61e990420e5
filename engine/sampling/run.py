"""The public functions: sigmas for a sampler, and the sampling itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from engine.errors import EngineError
from engine.sampling.noise import later_noise
from engine.sampling.registry import SAMPLER_FUNCTIONS, WITHOUT_LAST_BUT_ONE
from engine.sampling.schedules import SCHEDULE_FUNCTIONS
from engine.sampling.tools import Callback, Denoise, Noise, NoiseBetween, Sampler, Tools
from engine.sampling.training import distilled, finite_sigmas, sdxl_sigmas
from engine.words.sampler_names import USUAL_SCHEDULE

SAMPLERS = tuple(SAMPLER_FUNCTIONS)
SCHEDULES = ("Automatic", *SCHEDULE_FUNCTIONS)


def sigmas(
    schedule: str, steps: int, sampler: str = "Euler", model_sigmas: Tensor | None = None
) -> Tensor:
    """The sigmas that a sampler visits: float32, [steps + 1], descending, ends in 0.

    DDIM's schedule gives more where the steps do not divide the model's. `model_sigmas` are those
    the model was trained with, ascending; SDXL's if left out. A1111's rules are inside: what
    `Automatic` means for the sampler, and the sigma it leaves out.

    Raises `EngineError` for names that are not known, and less than one step.
    """
    _function(sampler)
    if schedule not in SCHEDULES:
        raise EngineError(
            f"There is no schedule “{schedule}”. Choose one of {', '.join(SCHEDULES)}."
        )
    if steps < 1:
        raise EngineError(f"A picture needs at least one step, not {steps}.")
    model = sdxl_sigmas() if model_sigmas is None else finite_sigmas(model_sigmas)
    if schedule == "Automatic":
        schedule = USUAL_SCHEDULE.get(sampler, "Uniform")
        model = distilled(model) if sampler == "LCM" else model
    discard = sampler in WITHOUT_LAST_BUT_ONE
    visited = SCHEDULE_FUNCTIONS[schedule](steps + discard, model)
    if discard:
        visited = visited[:-1]
    return torch.cat([visited, visited.new_zeros(1)]).to(torch.float32)


def sample(
    sampler: str,
    denoise: Denoise,
    x: Tensor,
    sigmas: Tensor,
    seeds: Sequence[int] = (0,),
    noise: Noise | None = None,
    callback: Callback | None = None,
) -> Tensor:
    """Denoise latents along sigmas: float32 in the shape and on the device of `x`.

    `x` [B, …] is noise times the first sigma (plus a picture, from image to image). `denoise` gets
    the latents and the sigma for each of them, float32 [B]. `noise` yields the draws after the
    initial one, each in the shape of `x`, or is asked with two sigmas; left out, the CPU generator
    of each of the B seeds goes on after the initial noise, and SDE samplers draw from a Brownian
    tree of each seed.

    Raises `EngineError` for a name that is not known, or seeds that do not match the batch.
    """
    function = _function(sampler)
    if x.dim() == 0 or (noise is None and len(seeds) != x.shape[0]):
        raise EngineError(f"There are {len(seeds)} seeds for latents of shape {tuple(x.shape)}.")
    levels: list[float] = sigmas.detach().to(torch.float64).tolist()
    start = x.to(torch.float32)
    if noise is None:
        noise = later_noise("CPU", sampler, seeds, x.shape[1:], sigmas)
    tools = _tools(denoise, _noise(start, noise), callback, start)
    with torch.no_grad():
        return function(start, levels, tools)


def _function(sampler: str) -> Sampler:
    if sampler not in SAMPLER_FUNCTIONS:
        raise EngineError(f"There is no sampler “{sampler}”. Choose one of {', '.join(SAMPLERS)}.")
    return SAMPLER_FUNCTIONS[sampler]


def _noise(x: Tensor, noise: Noise) -> NoiseBetween:
    """Noise by two sigmas, on the device of `x` and in float32."""
    if callable(noise):
        between: Callable[[float, float], Tensor] = noise
        return lambda sigma, following: between(sigma, following).to(x)
    draws = iter(noise)
    return lambda sigma, following: next(draws).to(x)


def _tools(denoise: Denoise, noise: NoiseBetween, callback: Callback | None, x: Tensor) -> Tools:
    def both(latents: Tensor, sigma: float) -> tuple[Tensor, Tensor]:
        answer = denoise(latents, latents.new_full((latents.shape[0],), sigma))
        guided, unconditional = answer if isinstance(answer, tuple) else (answer, answer)
        return guided.to(x), unconditional.to(x)

    def report(i: int, latents: Tensor, sigma: float, denoised: Tensor) -> None:
        if callback is not None:
            callback({"i": i, "x": latents, "sigma": sigma, "sigma_hat": sigma,
                      "denoised": denoised})  # fmt: skip

    return Tools(lambda latents, sigma: both(latents, sigma)[0], both, noise, report)
