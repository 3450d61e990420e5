"""What is typed into the settings, checked and turned into a state."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

from msgspec import structs

from engine.errors import EngineError
from engine.generate.check import check_request
from engine.protocol.passes import RESIZES, UPSCALERS
from engine.protocol.request import EMPTY_NEGATIVES, NOISES
from engine.words.sizes import TRAINED, read_size, shape_size
from tui_loraswitch.config.ui_state import UiState

MAX_BATCH = 64
MAX_CFG_SCALE = 100.0
_T = TypeVar("_T", bound=str)


def read_form(texts: Mapping[str, str], state: UiState, default_size: int | None = None) -> UiState:
    """`state` with the fields' values, by their names in `UiState`; `size` is width and height.

    Names of sizes are those of a model that was trained on squares of `default_size`. Raises
    `EngineError` with a sentence for the first value that cannot be.
    """
    width, height = _size(texts["size"], default_size or TRAINED)
    new = structs.replace(
        state,
        steps=_whole("steps", texts["steps"]),
        sampler=texts["sampler"],
        schedule=texts["schedule"],
        cfg_scale=_number("CFG scale", texts["cfg_scale"]),
        seed=_whole("seed", texts["seed"]),
        width=width,
        height=height,
        batch=_whole("batch", texts["batch"]),
        styles=texts["styles"].strip(),
        clip_skip=_whole("clip skip", texts["clip_skip"]),
        empty_negative=_one_of(texts["empty_negative"], EMPTY_NEGATIVES),
        noise=_one_of(texts["noise"], NOISES),
        variation_seed=_whole("variation seed", texts["variation_seed"]),
        variation_strength=_number("variation", texts["variation_strength"]),
        region_ratios=texts["region_ratios"].strip(),
        region_masks=texts["region_masks"].strip(),
        start_picture=texts["start_picture"].strip(),
        denoising=_number("denoising strength", texts["denoising"]),
        resize=_one_of(texts["resize"], RESIZES),
        mask=texts["mask"].strip(),
        mask_blur=_number("mask's blur", texts["mask_blur"]),
        hires_scale=_number("enlargement", texts["hires_scale"]),
        hires_denoising=_number("denoising strength", texts["hires_denoising"]),
        hires_upscaler=_one_of(texts["hires_upscaler"], UPSCALERS),
        hires_steps=_whole("steps of the second pass", texts["hires_steps"]),
        hires_prompt=texts["hires_prompt"].strip(),
    )
    if new.batch > MAX_BATCH:
        raise EngineError(f"A batch has at most {MAX_BATCH} pictures, not {new.batch}.")
    if not 0 <= new.cfg_scale <= MAX_CFG_SCALE:
        raise EngineError(f"The CFG scale lies between 0 and {MAX_CFG_SCALE:g}.")
    if new.mask and not new.start_picture:
        raise EngineError("A mask lies over the picture to begin with: name that too.")
    request = new.request(Path())
    check_request(request)
    for path in request.picture_files:
        if not path.is_file():
            raise EngineError(f"There is no file {path}.")
    return new


def _whole(name: str, text: str) -> int:
    try:
        return int(text)
    except ValueError as error:
        raise EngineError(f"The {name} must be a whole number.") from error


def _number(name: str, text: str) -> float:
    try:
        return float(text.replace(",", "."))
    except ValueError as error:
        raise EngineError(f"The {name} must be a number.") from error


def _one_of(name: str, names: tuple[_T, ...]) -> _T:
    return next(known for known in names if known == name)


def _size(text: str, trained: int) -> tuple[int, int]:
    """Width and height in pixels; 0, 0 for the model's own size."""
    size = read_size(text)
    return shape_size(size, trained) if isinstance(size, str) else size
