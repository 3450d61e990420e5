"""The noise levels that a model was trained on, and the timesteps it knows them by."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from engine.sampling.training import sigmas_from_alphas


def training_sigmas(config: Mapping[str, Any]) -> torch.Tensor:
    """The sigma of each timestep, ascending, from a scheduler's config; float64 [timesteps].

    What the config leaves out is SDXL's. For zero terminal SNR the levels are moved as in
    arXiv:2305.08891, algorithm 1.
    """
    steps = config.get("num_train_timesteps", 1000)
    start, end = config.get("beta_start", 0.00085), config.get("beta_end", 0.012)
    if (trained := config.get("trained_betas")) is not None:
        betas = torch.tensor(trained, dtype=torch.float64)
    elif config.get("beta_schedule", "scaled_linear") == "linear":
        betas = torch.linspace(start, end, steps, dtype=torch.float64)
    else:
        betas = torch.linspace(start**0.5, end**0.5, steps, dtype=torch.float64) ** 2
    signal = (1 - betas).cumprod(0)
    if config.get("rescale_betas_zero_snr", False):
        roots = signal.sqrt()
        roots = (roots - roots[-1]) * roots[0] / (roots[0] - roots[-1])
        signal = roots**2
    return sigmas_from_alphas(signal)


def timestep_of(sigma: torch.Tensor, levels: torch.Tensor) -> torch.Tensor:
    """Where noise levels lie among those of the training, as float timesteps in sigma's shape.

    Between two of them by the logarithm, as in k-diffusion and A1111; beyond the ends, the end.
    """
    table = levels.log().to(sigma)
    log_sigma = sigma.log()
    upper = torch.searchsorted(table, log_sigma).clamp(1, len(table) - 1)
    below, above = table[upper - 1], table[upper]
    return upper - 1 + ((log_sigma - below) / (above - below)).clamp(0, 1)
