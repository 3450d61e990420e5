"""What the app remembers from one time to the next."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from msgspec import Struct, structs

from engine.errors import FileFormatError
from engine.files.json_text import parse_json
from engine.files.regular_file import read_regular
from engine.files.saving import replace_file
from engine.files.unreadable import set_aside
from engine.protocol.passes import (
    RESIZES,
    UPSCALERS,
    HiresPass,
    Resize,
    StartPicture,
    Upscaler,
)
from engine.protocol.request import NOISES, EmptyNegative, GenerateRequest, Noise
from engine.words.sampler_spellings import read_sampler_and_schedule
from tui_loraswitch.config.config import expanded
from tui_loraswitch.config.settings import AppSettings

MAX_STATE_BYTES = 1_000_000
DEMO_PROMPT = "a large red star on a blue background"


class UiState(Struct, frozen=True):
    """Prompt and generation settings, and how the list is shown."""

    prompt: str = ""
    negative_prompt: str = ""
    seed: int = 1
    """-1 draws a new one for every picture."""
    steps: int = 28
    cfg_scale: float = 6.0
    width: int = 0
    """0 means the size the model was trained on; the same for `height`."""
    height: int = 0
    sampler: str = "DPM++ 2M"
    schedule: str = "Karras"
    batch: int = 1
    clip_skip: int = 2
    """Which layer of the text encoders counts, from the end."""
    noise: Noise = "CPU"
    """Whose noise a seed stands for."""
    empty_negative: EmptyNegative = "zeros"
    """What stands for an empty negative prompt; the config file remembers it, not the state."""
    variation_seed: int = -1
    variation_strength: float = 0.0
    styles: str = ""
    """Names of styles, with commas between."""
    region_ratios: str = ""
    region_masks: str = ""
    """Paths of pictures, with semicolons between."""
    start_picture: str = ""
    """The path of what to begin with; empty is noise alone."""
    denoising: float = StartPicture.denoising
    resize: Resize = StartPicture.resize
    mask: str = ""
    """The path of a picture that says what of the start picture is drawn anew."""
    mask_blur: float = StartPicture.mask_blur
    hires_scale: float = 1.0
    """1: there is no second pass."""
    hires_denoising: float = HiresPass.denoising
    hires_upscaler: Upscaler = HiresPass.upscaler
    hires_steps: int = HiresPass.steps
    hires_prompt: str = ""
    sort: str = "folders"
    show_hidden: bool = False
    theme: str = "ink"
    welcomed: bool = False
    """Whether the first start's question was answered."""
    splits: str = ""
    """How the user has moved the frames between panes, as `left=4 details=-2`."""

    def with_draft(self, draft: GenerateRequest) -> UiState:
        """The same list with the prompt and settings of another screen."""
        state = structs.replace(
            self,
            **{name: getattr(draft, name) for name in _OF_DRAFTS},
            region_masks="; ".join(map(str, draft.region_masks)),
            start_picture="",
            hires_scale=1.0,
        )
        if (start := draft.start) is not None:
            state = structs.replace(
                state,
                start_picture=str(start.path),
                denoising=start.denoising,
                resize=start.resize,
                mask=str(start.mask or ""),
                mask_blur=start.mask_blur,
            )
        if (hires := draft.hires) is not None:
            state = structs.replace(
                state,
                hires_scale=hires.scale,
                hires_denoising=hires.denoising,
                hires_upscaler=hires.upscaler,
                hires_steps=hires.steps,
                hires_prompt=hires.prompt,
            )
        return state

    def request(self, output: Path) -> GenerateRequest:
        """The generation these settings ask for, with pictures written below `output`."""
        masks = filter(None, map(str.strip, self.region_masks.split(";")))
        return GenerateRequest(
            output=output,
            **{name: getattr(self, name) for name in _OF_DRAFTS},
            region_masks=tuple(map(expanded, masks)),
            start=self._start,
            hires=self._hires,
        )

    @property
    def _start(self) -> StartPicture | None:
        if not self.start_picture:
            return None
        return StartPicture(
            expanded(self.start_picture),
            self.denoising,
            self.resize,
            mask=expanded(self.mask) if self.mask else None,
            mask_blur=self.mask_blur,
        )

    @property
    def _hires(self) -> HiresPass | None:
        if self.hires_scale == 1:
            return None
        return HiresPass(
            self.hires_scale,
            self.hires_denoising,
            self.hires_upscaler,
            self.hires_steps,
            self.hires_prompt,
        )


_OF_DRAFTS = (
    "prompt",
    "negative_prompt",
    "seed",
    "steps",
    "cfg_scale",
    "width",
    "height",
    "sampler",
    "schedule",
    "batch",
    "clip_skip",
    "noise",
    "variation_seed",
    "variation_strength",
    "region_ratios",
    "empty_negative",
)
"""What of a state is in a request, under the same names."""


def load_state(path: Path) -> UiState:
    """The remembered state; what is missing, of another type or unreadable takes its default.

    A file that cannot be read is set aside under another name: a prompt may be in it.
    """
    try:
        table = parse_json(read_regular(path, MAX_STATE_BYTES))
        if not isinstance(table, dict):
            raise ValueError("it holds no table")
    except (FileFormatError, ValueError) as error:
        set_aside(path, error)
        return UiState()
    return _state_of(table)


def _state_of(table: dict[str, Any]) -> UiState:
    sound: dict[str, Any] = {}
    for name in _REMEMBERED:
        value, default = table.get(name), getattr(_DEFAULTS, name)
        if isinstance(default, float) and type(value) is int:
            with suppress(OverflowError):
                value = float(value)
        if isinstance(value, float) and not math.isfinite(value):
            continue
        if isinstance(value, str):
            # JSON can spell half characters, which no terminal and no file takes.
            value = value.encode(errors="replace").decode()
        if type(value) is type(default):
            sound[name] = value
    state = UiState(**sound)
    sampler, schedule = read_sampler_and_schedule(state.sampler, state.schedule)
    known = {name: getattr(state, name) for name, among in _CHOICES.items()
             if getattr(state, name) in among}  # fmt: skip
    usual = {name: getattr(_DEFAULTS, name) for name in _CHOICES}
    return structs.replace(state, sampler=sampler, schedule=schedule, **{**usual, **known})


_CHOICES: Mapping[str, Sequence[str]] = {
    "noise": NOISES,
    "resize": RESIZES,
    "hires_upscaler": UPSCALERS,
}


_DEFAULTS = UiState()
_REMEMBERED = tuple(name for name in UiState.__struct_fields__ if name != "empty_negative")


def save_state(path: Path, state: UiState) -> None:
    """Write the state whole or not at all; raises OSError."""
    table = {name: getattr(state, name) for name in _REMEMBERED}
    text = json.dumps(table, indent=2, ensure_ascii=False)
    # A terminal can hand over half characters (surrogates), which no file can hold.
    replace_file(path, text.encode("utf-8", "replace"))


class RememberedState:
    """The state on disk: that of real work, and beside it one of the demo's own.

    Trying things out with the demo changes nothing of real work.
    """

    def __init__(self, path: Path, is_demo: bool, empty_negative: EmptyNegative = "zeros") -> None:
        self._path = path
        self.is_demo = is_demo
        """Which of the two it is about."""
        self._empty_negative = empty_negative
        self._left: dict[bool, UiState] = {}

    @classmethod
    def of(cls, settings: AppSettings) -> RememberedState:
        """Where the app begins."""
        return cls(settings.state_path, settings.model is None, settings.empty_negative)

    @property
    def path(self) -> Path:
        """The file."""
        return self._path.with_stem(f"{self._path.stem}-demo") if self.is_demo else self._path

    def load(self) -> UiState:
        """What was remembered; the demo begins with a prompt that it can draw."""
        state = structs.replace(load_state(self.path), empty_negative=self._empty_negative)
        is_new = self.is_demo and not state.prompt
        return structs.replace(state, prompt=DEMO_PROMPT) if is_new else state

    def turn_over(self, left: UiState) -> UiState:
        """Go to the other of the two; `left` is there again after the next turn."""
        self._left[self.is_demo] = left
        self.is_demo = not self.is_demo
        return self._left.get(self.is_demo) or self.load()
