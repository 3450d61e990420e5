"""The noise of one picture, which is the same whatever is drawn with it."""

from __future__ import annotations

import torch

from engine.protocol.request import GenerateRequest
from engine.sampling.noise import initial_noise, later_noise


class PictureNoise:
    """What a picture's seeds stand for, by its request; float32 [1, 4, height / 8, width / 8]."""

    def __init__(self, picture: GenerateRequest, sigmas: torch.Tensor) -> None:
        shape = (4, picture.height // 8, picture.width // 8)
        seeds = (picture.seed,)
        strength = picture.variation_strength
        variation = (picture.variation_seed,) if strength > 0 else ()
        self.initial = initial_noise(picture.noise, seeds, shape, variation, strength)
        later = later_noise(picture.noise, picture.sampler, seeds, shape, sigmas)
        self._later = later if callable(later) else iter(later)

    def later(self, sigma: float, following: float) -> torch.Tensor:
        """The noise for the way from a sigma to a smaller one; most kinds are just the next."""
        if callable(self._later):
            return self._later(sigma, following)
        return next(self._later)
