"""What to draw: the settings of one generation."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from engine.protocol.refs import LoraRef
from engine.words.sampler_spellings import read_sampler_and_schedule

EmptyNegative = Literal["zeros", "encoded"]
"""What stands for a negative prompt without a word: zeros, which SDXL was trained with (A1111,
Forge, diffusers), or the encoded empty text (ComfyUI)."""
EMPTY_NEGATIVES: tuple[EmptyNegative, ...] = get_args(EmptyNegative)


@dataclass(frozen=True)
class GenerateRequest:
    """Settings of one generation of `batch` pictures; sizes in pixels.

    `seed` -1 draws a random one; picture i of a batch uses `seed + i`. Pictures are written into
    `output` (created when missing). Sampler and schedule may be spelled as in other programs, such
    as `dpmpp_2m` and `DPM++ 2M Karras`; a schedule in the sampler's name counts.
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
    lora_names: tuple[tuple[str, str], ...] = ()
    """Path and name of LoRAs of the stack whose tags in the infotext need more than the file's own
    name, which other files of the library have too."""

    def __post_init__(self) -> None:
        """Give sampler and schedule the names they have here, where they are known."""
        sampler, schedule = read_sampler_and_schedule(self.sampler, self.schedule)
        object.__setattr__(self, "sampler", sampler)
        object.__setattr__(self, "schedule", schedule)

    def name_of(self, ref: LoraRef) -> str:
        """What a LoRA of the stack is called in the infotext."""
        return dict(self.lora_names).get(str(ref.path), ref.name)
