"""What a sampler is given to work with: the model, the noise, and where to report its steps."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple, TypeAlias, TypedDict

from torch import Tensor

Denoise: TypeAlias = Callable[[Tensor, Tensor], "Tensor | tuple[Tensor, Tensor]"]
"""The model with its guidance: from latents [B, …] and sigmas [B], both float32, to x0 of the same
shape, or to a pair (guided x0, unconditional x0), which the CFG++ samplers need."""

NoiseBetween: TypeAlias = Callable[[float, float], Tensor]
"""Unit noise for the way from one sigma to a smaller one."""

Noise: TypeAlias = "Iterable[Tensor] | NoiseBetween"
"""The draws after the initial one: in their order, or asked for by the two sigmas."""


class Step(TypedDict):
    """What a callback is told, with k-diffusion's keys: once a step, after its first model call."""

    i: int
    x: Tensor
    sigma: float
    sigma_hat: float
    denoised: Tensor


Callback: TypeAlias = Callable[[Step], None]


class Tools(NamedTuple):
    """The model, the noise and the report, as samplers call them: sigmas are plain numbers."""

    denoise: Callable[[Tensor, float], Tensor]
    pair: Callable[[Tensor, float], tuple[Tensor, Tensor]]
    noise: NoiseBetween
    report: Callable[[int, Tensor, float, Tensor], None]


Sampler: TypeAlias = Callable[[Tensor, Sequence[float], Tools], Tensor]
"""From latents at the first sigma to latents at the last; all in float32."""


def steps_of(sigmas: Sequence[float]) -> Iterator[tuple[int, tuple[float, float]]]:
    """The steps between sigmas: their number, and the sigma at either end."""
    return enumerate(itertools.pairwise(sigmas))
