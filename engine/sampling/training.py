"""The noise levels a model was trained with, and the way between sigmas and timesteps."""

from __future__ import annotations

import functools

import torch
from torch import Tensor

_LEAST_ALPHA = 4.8973451890853435e-08
"""What stands for the zero of zero terminal SNR in A1111 and ComfyUI: a sigma of 4,518."""
_TRAINED_STEPS = 1000


@functools.cache
def sdxl_sigmas() -> Tensor:
    """SDXL's sigmas: float64, ascending, from 0.0292 to 14.6146, one for each of 1,000 steps."""
    return sigmas_from_alphas(_sdxl_alphas())


@functools.cache
def zero_snr_sigmas() -> Tensor:
    """SDXL's sigmas with zero terminal SNR (arXiv:2305.08891); the last stands for infinity."""
    root = _sdxl_alphas().sqrt()
    rescaled = (root - root[-1]) * root[0] / (root[0] - root[-1])
    return sigmas_from_alphas(rescaled**2)


def sigmas_from_alphas(alphas_cumprod: Tensor) -> Tensor:
    """The sigmas of a model's cumulated alphas, [steps] and descending; float64, ascending."""
    alphas = alphas_cumprod.detach().cpu().to(torch.float64).clamp(min=_LEAST_ALPHA)
    return ((1 - alphas) / alphas).sqrt()


def finite_sigmas(model_sigmas: Tensor) -> Tensor:
    """A model's sigmas in float64 on the CPU, with a large number in the place of infinity."""
    sigmas = model_sigmas.detach().cpu().to(torch.float64)
    largest = ((1 - _LEAST_ALPHA) / _LEAST_ALPHA) ** 0.5
    return sigmas.clamp(max=largest)


def distilled(model_sigmas: Tensor) -> Tensor:
    """The fifty of a model's sigmas that latent consistency models were distilled at."""
    stride = max(len(model_sigmas) // 50, 1)
    return model_sigmas[stride - 1 :: stride]


def sigma_at(timesteps: Tensor, model_sigmas: Tensor) -> Tensor:
    """Sigmas at timesteps that may lie between trained ones: linear in the logarithm."""
    logs = model_sigmas.log()
    low = timesteps.floor().long().clamp(0, len(logs) - 1)
    high = timesteps.ceil().long().clamp(0, len(logs) - 1)
    return logs[low].lerp(logs[high], timesteps - timesteps.floor()).exp()


def _sdxl_alphas() -> Tensor:
    betas = torch.linspace(0.00085**0.5, 0.012**0.5, _TRAINED_STEPS, dtype=torch.float64) ** 2
    return (1 - betas).cumprod(0)
