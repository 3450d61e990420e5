"""What to draw: the settings of one generation."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, get_args

from engine.protocol.passes import HiresPass, StartPicture
from engine.protocol.refs import LoraRef
from engine.words.sampler_spellings import read_sampler_and_schedule

EmptyNegative = Literal["zeros", "encoded"]
"""What stands for a negative prompt without a word: zeros, which SDXL was trained with (A1111,
Forge, diffusers), or the encoded empty text (ComfyUI)."""
EMPTY_NEGATIVES: tuple[EmptyNegative, ...] = get_args(EmptyNegative)

Noise = Literal["CPU", "GPU", "ComfyUI"]
"""Whose noise a seed stands for: that of PyTorch's generator on the CPU, of the one on an NVIDIA
GPU (A1111's and Forge's pictures), or ComfyUI's, which begins with the first and goes on with the
second. Each is the same on every machine."""
NOISES: tuple[Noise, ...] = get_args(Noise)

PictureFormat = Literal["png", "jpeg", "webp"]
PICTURE_FORMATS: tuple[PictureFormat, ...] = get_args(PictureFormat)


def draw_seed() -> int:
    """A random seed of the size people pass around: 32 bits."""
    return random.SystemRandom().randrange(2**32)


@dataclass(frozen=True)
class GenerateRequest:
    """Settings of one generation of `batch` pictures; sizes in pixels.

    `seed` -1 draws a random one; picture i of a batch uses `seed + i`, or with a variation the
    same seed and `variation_seed + i`. Pictures are written into `output` (created when missing).
    Sampler and schedule may be spelled as in other programs, such as `dpmpp_2m` and `DPM++ 2M
    Karras`; a schedule in the sampler's name counts.
    """

    prompt: str
    output: Path
    negative_prompt: str = ""
    seed: int = -1
    steps: int = 28
    cfg_scale: float = 6.0
    width: int = 1024
    """0 is the size the model was trained on; so it is with `height`."""
    height: int = 1024
    sampler: str = "DPM++ 2M"
    schedule: str = "Automatic"
    batch: int = 1
    clip_skip: int = 2
    """Which hidden state of the text encoders counts, from the end; 2 is SDXL's own (1 means 2)."""
    preview_every: int = 1
    """Steps between previews; 0 turns previews off."""
    embeddings: tuple[Path, ...] = ()
    """Folders of textual inversions that the prompts may name."""
    empty_negative: EmptyNegative = "zeros"
    noise: Noise = "CPU"
    variation_seed: int = -1
    """Whose noise is mixed in; -1 draws a random one."""
    variation_strength: float = 0.0
    """From 0, nothing of it, to 1, nothing of the seed's own."""
    region_stacks: tuple[tuple[LoraRef, ...], ...] = ()
    """The LoRAs of each region of the prompt, beside those of the stack."""
    region_ratios: str = ""
    """Widths and heights of the regions, as in Regional Prompter: `1,2`."""
    region_masks: tuple[Path, ...] = ()
    """Pictures that say where the regions lie, white on black."""
    start: StartPicture | None = None
    """What to begin with in place of noise alone."""
    hires: HiresPass | None = None
    """What is drawn over the picture, enlarged."""
    lora_names: tuple[tuple[str, str], ...] = ()
    """Path and name of LoRAs of the stack whose tags in the infotext need more than the file's own
    name, which other files of the library have too."""
    picture_format: PictureFormat = "png"
    file_names: str = ""
    """A pattern of folders and names below `output`, such as `[date]/[seed]-[lora]`; empty:
    `[number]-[seed]`."""
    shape: str = ""
    """Where no size is given: one of SDXL's by its proportions (`engine.words.sizes`), in the area
    that the model was trained on."""

    def __post_init__(self) -> None:
        """Give sampler and schedule the names they have here, where they are known."""
        sampler, schedule = read_sampler_and_schedule(self.sampler, self.schedule)
        object.__setattr__(self, "sampler", sampler)
        object.__setattr__(self, "schedule", schedule)

    @property
    def is_guided(self) -> bool:
        """Whether the negative prompt counts: not at a CFG scale of 1 or less, `AND` and CFG++
        apart."""
        joins = re.search(r"\bAND\b", self.prompt) is not None
        return self.cfg_scale > 1 or joins or self.is_plus

    @property
    def is_plus(self) -> bool:
        """Whether the sampler is one of CFG++ (arXiv:2406.08070)."""
        return self.sampler.endswith("CFG++")

    @property
    def counting_seed(self) -> int:
        """The one of the two seeds that counts up over a batch, as in A1111."""
        return self.variation_seed if self.variation_strength > 0 else self.seed

    def counting_from(self, seed: int) -> GenerateRequest:
        """The same with another seed in that place."""
        if self.variation_strength > 0:
            return replace(self, variation_seed=seed)
        return replace(self, seed=seed)

    @property
    def drawn_steps(self) -> int:
        """Steps of the first pass: fewer than `steps` where it begins with a picture."""
        return self.start.steps(self.steps)[1] if self.start else self.steps

    @property
    def second_pass(self) -> GenerateRequest | None:
        """What the hires pass draws, as a request of its own."""
        hires = self.hires
        if hires is None:
            return None
        return replace(
            self,
            prompt=hires.prompt or self.prompt,
            negative_prompt=hires.negative_prompt or self.negative_prompt,
            region_stacks=hires.region_stacks if hires.prompt else self.region_stacks,
            steps=hires.steps or self.steps,
            width=hires.side(self.width),
            height=hires.side(self.height),
            hires=None,
        )

    @property
    def own_loras(self) -> tuple[LoraRef, ...]:
        """The LoRAs that count beside the stack: in regions, and in the second pass."""
        hires = self.hires
        of_hires = (hires.stack or (), *hires.region_stacks) if hires is not None else ()
        return tuple(ref for stack in (*self.region_stacks, *of_hires) for ref in stack)

    @property
    def picture_files(self) -> tuple[Path, ...]:
        """The pictures and masks it is drawn from."""
        used = (self.start.path, self.start.mask) if self.start is not None else ()
        return tuple(path for path in (*used, *self.region_masks) if path is not None)

    @property
    def texts(self) -> tuple[str, ...]:
        """All prompts, each once."""
        both = (self, self.second_pass or self)
        texts = (text for one in both for text in (one.prompt, one.negative_prompt))
        return tuple(dict.fromkeys(texts))

    def picture(self, index: int) -> GenerateRequest:
        """The request for one picture of the batch alone; the seeds are to be known."""
        return replace(self.counting_from(self.counting_seed + index), batch=1)

    def without_first(self, count: int) -> GenerateRequest:
        """What is left to draw after the first pictures."""
        return replace(self.counting_from(self.counting_seed + count), batch=self.batch - count)

    def with_seeds(self, draw: Callable[[], int]) -> GenerateRequest:
        """The same with a drawn seed in place of each that is -1 and counts."""
        drawn = replace(self, seed=draw()) if self.seed == -1 else self
        return drawn.counting_from(draw()) if drawn.counting_seed == -1 else drawn

    def name_of(self, ref: LoraRef) -> str:
        """What a LoRA of the stack is called in the infotext."""
        return dict(self.lora_names).get(str(ref.path), ref.name)
