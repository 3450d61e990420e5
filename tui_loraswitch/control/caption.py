"""What is said under a picture, and what can be copied of it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from engine.errors import EngineError
from engine.generate.infotext import write_infotext
from engine.generate.picture_said import PictureSaid, read_picture
from engine.protocol.text import stack_words
from engine.words.lora_tags import LoraTag, split_tags
from engine.words.plain_number import plain_number

_TAG = re.compile(r"<(?:lora|lyco):[^<>]*>", re.IGNORECASE)


@dataclass(frozen=True)
class Caption:
    """A picture in words; empty where its file tells nothing."""

    prompt: str = ""
    negative_prompt: str = ""
    head: str = ""
    """Stack with strengths, seed, size."""
    settings: str = ""
    """Steps, sampler, CFG scale; and the program, where it is another."""
    infotext: str = ""
    loras: tuple[Path, ...] = ()
    """Where the LoRAs lay that it was drawn with."""

    @property
    def facts(self) -> str:
        """All but the prompts, on one line."""
        return " · ".join(filter(None, (self.head, self.settings)))

    @property
    def words(self) -> str:
        """The prompt without the tags of LoRAs, which the facts name."""
        return " ".join(_TAG.sub(" ", self.prompt).split())


def caption_of(path: Path) -> Caption:
    """Read a picture's file. Raises `FileFormatError`."""
    return caption_by(read_picture(path))


def caption_by(said: PictureSaid) -> Caption:
    """What the file says, in words."""
    size = f"{said.width}×{said.height}"
    if (making := said.making) is not None:
        request = making.picture
        own = stack_words(making.stack), f"seed {request.seed}", size
        loras = (*making.stack, *request.own_loras)
        return Caption(
            request.prompt,
            request.negative_prompt,
            " · ".join(own),
            _settings(
                request.steps,
                request.sampler,
                request.schedule,
                request.cfg_scale,
                None if request.hires is None else request.hires.scale,
            ),
            said.infotext,
            tuple(dict.fromkeys(ref.path for ref in loras)),
        )
    if (info := said.info) is not None:
        tags = _tags(info.drawable_prompt)
        stack = " + ".join(f"{tag.name} {tag.unet:.2f}" for tag in tags)
        scale = None if info.hires is None else info.hires.scale
        settings = _settings(info.steps, info.sampler, info.schedule, info.cfg_scale, scale)
        seed = "" if info.seed is None else f"seed {info.seed}"
        return Caption(
            info.drawable_prompt,
            info.negative_prompt,
            " · ".join(filter(None, (stack, seed, size))),
            " · ".join(filter(None, (settings, said.program))),
            said.infotext or write_infotext(info),
        )
    return Caption(head=size, settings=said.program)


def _tags(prompt: str) -> tuple[LoraTag, ...]:
    """The LoRAs that a prompt names; none where a stranger's tag cannot be read."""
    try:
        return split_tags(prompt)[1]
    except EngineError:
        return ()


def _settings(
    steps: int | None,
    sampler: str | None,
    schedule: str | None,
    cfg_scale: float | None,
    hires_scale: float | None,
) -> str:
    own = "" if schedule in (None, "Automatic") else schedule
    facts = (
        "" if steps is None else f"{steps} steps",
        " ".join(filter(None, (sampler, own))),
        "" if cfg_scale is None else f"CFG {plain_number(cfg_scale)}",
        "" if hires_scale is None else f"hires ×{plain_number(hires_scale)}",
    )
    return " · ".join(filter(None, facts))
