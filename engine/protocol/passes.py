"""What a picture begins with beside noise, and what is drawn over it when it is done."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from engine.protocol.refs import LoraRef

Resize = Literal["stretch", "crop", "fill"]
"""How a picture of other proportions is fitted, in A1111's words: `Just resize`, `Crop and resize`,
`Resize and fill` (its edges are drawn out)."""
RESIZES: tuple[Resize, ...] = get_args(Resize)

Upscaler = Literal[
    "Latent",
    "Latent (antialiased)",
    "Latent (bicubic)",
    "Latent (bicubic antialiased)",
    "Latent (nearest)",
    "Latent (nearest-exact)",
    "Lanczos",
    "Nearest",
]
"""A1111's: `Latent` enlarges latents, the others the finished picture."""
UPSCALERS: tuple[Upscaler, ...] = get_args(Upscaler)

_ALL_BUT_THE_FIRST = 0.999


@dataclass(frozen=True)
class StartPicture:
    """A picture that is drawn anew (image to image), all of it or what a mask leaves open."""

    path: Path
    denoising: float = 0.75
    """From 0, the picture itself, to 1, nothing of it."""
    resize: Resize = "crop"
    exact_steps: bool = False
    """Whether as many steps are drawn as the request says, and not the part that `denoising`
    leaves of them."""
    mask: Path | None = None
    """A picture: where it is white is drawn, where it is black all stays as it is."""
    mask_blur: float = 4.0
    """Pixels by which the mask's edge is softened."""

    def steps(self, steps: int) -> tuple[int, int]:
        """See `planned_and_drawn`."""
        return planned_and_drawn(steps, self.denoising, self.exact_steps)


_MOST = 2**31
"""Pixels a side: far more than is allowed, for which a message is refused later, in words."""


@dataclass(frozen=True)
class HiresPass:
    """A second pass over the enlarged picture (hires fix)."""

    scale: float = 2.0
    denoising: float = 0.7
    upscaler: Upscaler = "Latent"
    steps: int = 0
    """0: as many as in the first pass."""
    prompt: str = ""
    """Empty: that of the first pass; so it is with the negative prompt."""
    negative_prompt: str = ""
    stack: tuple[LoraRef, ...] | None = None
    """None: the stack of the first pass."""
    region_stacks: tuple[tuple[LoraRef, ...], ...] = ()
    """Those of the regions of its own prompt."""

    def side(self, pixels: int) -> int:
        """A side of the enlarged picture, a multiple of 8 as all sides are.

        Of what no picture has, whatever a message says, it is the largest or the smallest number.
        """
        return int(max(-_MOST, min(_MOST, pixels * self.scale))) // 8 * 8


def planned_and_drawn(steps: int, denoising: float, exact: bool) -> tuple[int, int]:
    """Steps of the whole schedule, and how many at its end are drawn; A1111's rules.

    At a strength of 0.5, 28 steps are the last 15 of them. `exact` draws as many as were asked for,
    of a longer schedule, as A1111 does it in a hires fix.
    """
    share = min(denoising, _ALL_BUT_THE_FIRST)
    return (int(steps / share), steps) if exact else (steps, int(share * steps) + 1)
