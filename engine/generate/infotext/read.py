"""Read what A1111, Forge, SD.Next, SwarmUI, Fooocus, Civitai and others wrote; needs no torch."""

from __future__ import annotations

from engine.files.exif_texts import BYTE_ORDER_MARK
from engine.generate.infotext.dialects import in_our_words
from engine.generate.infotext.fields import Fields, is_known
from engine.generate.infotext.json_values import json_object
from engine.generate.infotext.numbers import real, size, whole
from engine.generate.infotext.passes import read_hires, read_start
from engine.generate.infotext.picture_info import Infotext
from engine.generate.infotext.resources import read_named_hashes, read_resources
from engine.generate.infotext.sections import split_sections
from engine.words.sampler_names import SCHEDULES
from engine.words.sampler_spellings import read_sampler, read_schedule

_FEWEST_KNOWN = 2
_OWN_VAE = ("automatic", "default", "default (model)", "none")
"""Words for the model's own."""


def parse_infotext(text: str) -> Infotext:
    """Read an infotext, or the JSON of SwarmUI, Fooocus, InvokeAI and others.

    Of a field that is named twice, the first counts. What cannot be read is left out, never an
    error; a text without settings is a prompt.
    """
    text = text.removeprefix(BYTE_ORDER_MARK)
    parameters = json_object(text)
    if parameters is not None:
        # SwarmUI: docs/Features/ImageMetadata; its models have their hashes beside.
        inner = json_object(parameters.get("sui_image_params"))
        items = [*in_our_words(inner or parameters).items()]
        if inner is not None or sum(is_known(name) for name, _ in items) >= _FEWEST_KNOWN:
            fields = Fields([*items, ("sui_models", parameters.get("sui_models"))])
            return _from_fields(
                fields.take_text("prompt", "positive prompt") or "",
                fields.take_text("negative prompt") or "",
                fields,
            )
    sections = split_sections(text)
    return _from_fields(sections.prompt, sections.negative_prompt, Fields(sections.fields))


def _from_fields(prompt: str, negative_prompt: str, fields: Fields) -> Infotext:
    sampler, schedule = _sampler_and_schedule(fields)
    width, height = size(fields.take("size", "resolution")) or (None, None)
    width = whole(fields.take("width")) if width is None else width
    hires = read_hires(fields, width)
    resources = read_resources(prompt, fields)
    return Infotext(
        prompt=prompt,
        negative_prompt=negative_prompt,
        steps=whole(fields.take("steps")),
        sampler=sampler,
        schedule=schedule,
        cfg_scale=real(fields.take("cfg scale", "guidance scale", "cfg")),
        seed=whole(fields.take("seed")),
        width=width,
        height=whole(fields.take("height")) if height is None else height,
        model_hash=resources.model_hash,
        model=fields.take_name("model", "base model") or resources.model,
        vae=_vae(fields),
        vae_hash=resources.vae_hash,
        prediction=fields.take_text("prediction type"),
        parts_from=fields.take_text("parts from"),
        clip_skip=_clip_skip(fields.take("clip skip", "clip stop at layer", "base clip skip")),
        empty_negative=_empty_negative(fields),
        rng=fields.take_text("rng"),
        variation_seed=whole(fields.take("variation seed")),
        variation_strength=real(fields.take("variation seed strength", "variation strength")),
        start=read_start(fields),
        hires=hires,
        region_ratios=fields.take_text("rp ratios"),
        region_masks=read_named_hashes(fields.take_text("region masks")),
        loras=resources.loras,
        lora_hashes=resources.lora_hashes,
        embedding_hashes=resources.embedding_hashes,
        version=fields.take_text("version", "swarm version", "app version"),
        extra=fields.rest(),
    )


def _sampler_and_schedule(fields: Fields) -> tuple[str | None, str | None]:
    """Both by the names of this program. A schedule in the sampler's name goes first, as in A1111.

    SD.Next's `Scheduler` is a class of diffusers, and its schedule the `Sampler sigma`; InvokeAI's
    `scheduler` is the sampler.
    """
    written = fields.take_text("sampler", "sampler name")
    schedule = fields.take_text("schedule type")
    for other in ("scheduler", "sampler sigma", "schedule"):
        if schedule is None and (value := fields.peek_text(other)) is not None:
            if read_schedule(value) in SCHEDULES:
                schedule = fields.take_text(other)
            elif written is None:
                written = fields.take_text(other)
    if written is None:
        return None, None if schedule is None else read_schedule(schedule)
    sampler, named = read_sampler(written)
    return sampler, named or (None if schedule is None else read_schedule(schedule))


def _vae(fields: Fields) -> str | None:
    name = fields.take_name("vae")
    return None if name is None or name.casefold() in _OWN_VAE else name


def _empty_negative(fields: Fields) -> str | None:
    """SwarmUI has a switch for it, and encodes the empty text without."""
    is_zero = fields.take("zero negative")
    written = fields.take_text("empty negative")
    return written or (None if is_zero is None else "zeros" if is_zero is True else "encoded")


def _clip_skip(value: object) -> int | None:
    """ComfyUI and SwarmUI count from the end, below zero; 0 is what Civitai writes for none."""
    number = whole(value)
    return abs(number) or None if number is not None else None
