"""Refuse a request that cannot be drawn, before anything starts; needs no torch."""

from __future__ import annotations

import math
from collections.abc import Sequence

from engine.errors import EngineError
from engine.generate.file_names import check_pattern
from engine.protocol.passes import RESIZES, UPSCALERS, HiresPass, StartPicture
from engine.protocol.request import EMPTY_NEGATIVES, NOISES, PICTURE_FORMATS, GenerateRequest
from engine.words.sampler_names import MOST_STEPS, check_names
from engine.words.sizes import SHAPES

SMALLEST_SIDE, LARGEST_SIDE = 64, 8192
LARGEST_SEED = 2**64 - 1
"""What PyTorch's generators take."""
LEAST_DENOISING = 0.01
"""Where the number of steps is exact: the whole schedule has as many more as it is less than 1."""
MOST_BLUR = 256
MOST_SCALE = 8


def check_request(request: GenerateRequest) -> None:
    """Raise `EngineError` in plain words for the first setting that is out of range."""
    check_names(request.sampler, request.schedule)
    for side, pixels in (("width", request.width), ("height", request.height)):
        if pixels and (pixels % 8 or not SMALLEST_SIDE <= pixels <= LARGEST_SIDE):
            raise EngineError(
                f"The {side} {pixels} does not work: use a multiple of 8 "
                f"from {SMALLEST_SIDE} to {LARGEST_SIDE}."
            )
    if request.shape:
        _check_one_of("shape", request.shape, tuple(SHAPES))
    if not 1 <= request.steps <= MOST_STEPS:
        raise EngineError(f"A picture takes 1 to {MOST_STEPS} steps, not {request.steps}.")
    if request.batch < 1:
        raise EngineError(f"A batch has at least 1 picture, not {request.batch}.")
    is_varied = request.variation_strength > 0
    for name, seed, counts_up in (
        ("seed", request.seed, not is_varied),
        ("variation seed", request.variation_seed, is_varied),
    ):
        largest = LARGEST_SEED - (request.batch - 1 if counts_up else 0)
        if not -1 <= seed <= largest:
            raise EngineError(
                f"The {name} {seed} does not work: use -1 for a random one, or a whole number "
                f"from 0 to {largest}."
            )
    if not 0 <= request.variation_strength <= 1:
        raise EngineError(
            f"The variation strength {request.variation_strength} does not work: it goes from 0, "
            "the seed's own noise, to 1, the variation seed's."
        )
    if request.noise not in NOISES:
        raise EngineError(
            f"There is no noise “{request.noise}”. Choose one of {', '.join(NOISES)}."
        )
    if not math.isfinite(request.cfg_scale):
        raise EngineError(f"The CFG scale {request.cfg_scale} is not a number to work with.")
    if request.clip_skip < 1:
        raise EngineError(f"Clip skip starts at 1, not {request.clip_skip}.")
    if request.empty_negative not in EMPTY_NEGATIVES:
        raise EngineError(
            f"“{request.empty_negative}” does not say what stands for an empty negative prompt: "
            f"use one of {', '.join(EMPTY_NEGATIVES)}."
        )
    check_pattern(request.file_names)
    if request.picture_format not in PICTURE_FORMATS:
        raise EngineError(
            f"Pictures are not written as “{request.picture_format}”: use one of "
            f"{', '.join(PICTURE_FORMATS)}."
        )
    if request.start is not None and request.hires is not None:
        raise EngineError(
            "A hires fix goes over what is drawn from noise: leave it out, or the picture to begin "
            "with."
        )
    if request.start is not None:
        _check_start(request.start)
    if request.hires is not None:
        _check_hires(request, request.hires)
    if request.preview_every < 0:
        raise EngineError(
            f"Previews cannot come every {request.preview_every} steps: use 0 for none."
        )


def _check_start(start: StartPicture) -> None:
    _check_denoising(start.denoising, start.exact_steps)
    _check_one_of("way to fit a picture", start.resize, RESIZES)
    if not 0 <= start.mask_blur <= MOST_BLUR:
        raise EngineError(f"A mask is blurred by 0 to {MOST_BLUR} pixels, not {start.mask_blur}.")


def _check_hires(request: GenerateRequest, hires: HiresPass) -> None:
    _check_denoising(hires.denoising, is_exact=True)
    _check_one_of("upscaler", hires.upscaler, UPSCALERS)
    if not 0 <= hires.steps <= MOST_STEPS:
        raise EngineError(
            f"The second pass takes up to {MOST_STEPS} steps (0: as many as the first), not "
            f"{hires.steps}."
        )
    if not 1 <= hires.scale <= MOST_SCALE:
        raise EngineError(f"A hires fix enlarges 1 to {MOST_SCALE} times, not {hires.scale}.")
    largest = max(hires.side(request.width), hires.side(request.height))
    if largest > LARGEST_SIDE:
        raise EngineError(
            f"The enlarged picture would have a side of {largest} pixels; {LARGEST_SIDE} is the "
            "most."
        )


def _check_denoising(denoising: float, is_exact: bool) -> None:
    least = LEAST_DENOISING if is_exact else 0
    if not least <= denoising <= 1:
        raise EngineError(
            f"The denoising strength {denoising} does not work: it goes from {least}, where the "
            "picture stays, to 1, where nothing of it does."
        )


def _check_one_of(what: str, name: str, names: Sequence[str]) -> None:
    if name not in names:
        raise EngineError(f"There is no {what} “{name}”. Choose one of {', '.join(names)}.")
