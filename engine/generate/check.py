"""Refuse a request that cannot be drawn, before anything starts; needs no torch."""

from __future__ import annotations

import math

from engine.errors import EngineError
from engine.protocol.request import EMPTY_NEGATIVES, GenerateRequest
from engine.words.sampler_names import MOST_STEPS, MOST_STEPS_OF_ALL, check_pair

SMALLEST_SIDE, LARGEST_SIDE = 64, 8192
LARGEST_SEED = 2**64 - 1
"""What PyTorch's generators take."""


def check_request(request: GenerateRequest) -> None:
    """Raise `EngineError` in plain words for the first setting that is out of range."""
    check_pair(request.sampler, request.schedule)
    for side, pixels in (("width", request.width), ("height", request.height)):
        if pixels and (pixels % 8 or not SMALLEST_SIDE <= pixels <= LARGEST_SIDE):
            raise EngineError(
                f"The {side} {pixels} does not work: use a multiple of 8 "
                f"from {SMALLEST_SIDE} to {LARGEST_SIDE}."
            )
    most = MOST_STEPS.get(request.sampler, MOST_STEPS_OF_ALL)
    if not 1 <= request.steps <= most:
        raise EngineError(f"{request.sampler} takes 1 to {most} steps, not {request.steps}.")
    if request.batch < 1:
        raise EngineError(f"A batch has at least 1 picture, not {request.batch}.")
    largest = LARGEST_SEED - (request.batch - 1)
    if not -1 <= request.seed <= largest:
        raise EngineError(
            f"The seed {request.seed} does not work: use -1 for a random one, or a whole number "
            f"from 0 to {largest}."
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
    if request.preview_every < 0:
        raise EngineError(
            f"Previews cannot come every {request.preview_every} steps: use 0 for none."
        )
