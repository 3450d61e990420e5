"""Write what made a picture in A1111's form; needs no torch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType

from engine.block_weights import block_numbers
from engine.generate.infotext.passes import describe_hires, describe_start
from engine.generate.infotext.picture_info import Infotext, ModelUsed, NamedHashes
from engine.generate.infotext.sections import NEGATIVE, escape, tidy
from engine.generate.infotext.settings_text import quote
from engine.protocol.refs import LoraRef, summed
from engine.protocol.request import GenerateRequest, Noise
from engine.protocol.stack_edits import Stack
from engine.words.lora_tags import LoraTag, split_tags, writable_name
from engine.words.plain_number import plain_number
from engine.words.prompt import is_empty
from engine.words.prompt_language.regions import read_regions, write_regions

NO_HASHES: Mapping[Path, str] = MappingProxyType({})


def describe_picture(
    request: GenerateRequest,
    seed: int,
    *,
    variation_seed: int | None = None,
    model: ModelUsed,
    stack: Iterable[LoraRef] = (),
    lora_hashes: Iterable[tuple[str, str]] = (),
    embedding_hashes: Iterable[tuple[str, str]] = (),
    picture_hashes: Mapping[Path, str] = NO_HASHES,
    version: str | None = None,
    index: int = 0,
) -> Infotext:
    """Gather what belongs into a picture: the request, its own seed, the model and the live stack.

    The stack is written into the prompt as tags, in place of tags typed there, and that of a region
    into the region's prompt; a LoRA that is in a stack twice gets one tag with the sum. Tags in the
    negative prompt have switched nothing. The hashes of LoRAs are AutoV3 (12 digits), each with the
    LoRA's name; those of the textual inversions used are the first 12 digits of the file's SHA-256.
    `picture_hashes` are those of the request's start picture and masks. `index` is the picture's
    place in its batch, and `variation_seed` its own, where that counts.
    """
    stack = tuple(stack)
    written, of_hires = _tagged(request, stack), _of_hires(request, stack)
    negative, _ = split_tags(request.negative_prompt)
    masks = ((path.name, picture_hashes.get(path, "")) for path in request.region_masks)
    says_no_negative = request.is_guided and is_empty(request.negative_prompt)
    extra: list[tuple[str, str]] = []
    if request.batch > 1:
        extra = [("Batch size", str(request.batch)), ("Batch pos", str(index))]
    return Infotext(
        prompt=written,
        negative_prompt=tidy(negative),
        steps=request.steps,
        sampler=request.sampler,
        schedule=request.schedule,
        cfg_scale=request.cfg_scale,
        seed=seed,
        width=request.width,
        height=request.height,
        model_hash=model.hash,
        model=model.name,
        vae=model.vae,
        vae_hash=model.vae_hash,
        prediction=model.prediction if model.prediction != "epsilon" else None,
        parts_from=model.parts_from,
        # SDXL has no state before the second, so that 1 means 2.
        clip_skip=max(2, request.clip_skip),
        empty_negative=request.empty_negative if says_no_negative else None,
        rng=_RNG[request.noise],
        variation_seed=variation_seed,
        variation_strength=(request.variation_strength if variation_seed is not None else None),
        start=describe_start(request, picture_hashes),
        hires=describe_hires(request, of_hires),
        region_ratios=request.region_ratios or None,
        region_masks=_named_hashes(masks),
        lora_hashes=_named_hashes(lora_hashes),
        embedding_hashes=_named_hashes(embedding_hashes),
        extra=tuple(extra),
        version=version,
    )


def _tagged(request: GenerateRequest, stack: Stack) -> str:
    """The request's prompt with the tags of its LoRAs in place of those in it."""

    def tags(stack: Stack) -> list[str]:
        return [_tag(ref, request.name_of(ref)) for ref in summed(stack)]

    whole, own = tags(stack), [tags(members) for members in request.region_stacks]
    if read_regions(request.prompt).regions:
        return write_regions(request.prompt, whole, own)
    return " ".join(filter(None, (tidy(split_tags(request.prompt)[0]), *whole)))


def _of_hires(request: GenerateRequest, stack: Stack) -> str:
    """The prompt of the second pass with its tags, where they are not those of the first."""
    hires, second = request.hires, request.second_pass
    if hires is None or second is None or not (hires.prompt or hires.stack is not None):
        return ""
    return _tagged(second, stack if hires.stack is None else hires.stack)


def write_infotext(info: Infotext) -> str:
    """Write the text that A1111, Civitai and others read from the key `parameters`."""
    size = f"{info.width}x{info.height}" if info.width and info.height else None
    fields: list[tuple[str, object]] = [
        ("Steps", info.steps),
        ("Sampler", info.sampler),
        ("Schedule type", info.schedule),
        ("CFG scale", _number(info.cfg_scale)),
        ("Seed", info.seed),
        ("Size", size),
        ("Model hash", info.model_hash),
        ("Model", info.model),
        ("VAE hash", info.vae_hash),
        ("VAE", info.vae),
        ("Prediction type", info.prediction),
        ("Parts from", info.parts_from),
        ("Clip skip", info.clip_skip),
        ("Empty negative", info.empty_negative),
        ("RNG", info.rng),
        ("Variation seed", info.variation_seed),
        ("Variation seed strength", _number(info.variation_strength)),
        *(info.start.written() if info.start else ()),
        *(info.hires.written() if info.hires else ()),
        ("RP Ratios", info.region_ratios),
        ("Region masks", _hash_list(info.region_masks)),
        ("Lora hashes", _hash_list(info.lora_hashes)),
        ("TI hashes", _hash_list(info.embedding_hashes)),
        *info.extra,
        ("Version", info.version),
    ]
    negative = escape(tidy(info.negative_prompt))
    lines = (
        escape(tidy(info.drawable_prompt)),
        f"{NEGATIVE} {negative}" if negative else "",
        ", ".join(f"{name}: {quote(str(value))}" for name, value in fields if value is not None),
    )
    return "\n".join(filter(None, lines))


_RNG: Mapping[Noise, str] = {"CPU": "CPU", "GPU": "NV", "ComfyUI": "ComfyUI"}
"""By A1111's words, where it has them: its `GPU` is that of whatever machine it runs on."""


def _number(value: float | None) -> str | None:
    return None if value is None else plain_number(value)


def _tag(ref: LoraRef, name: str) -> str:
    """The tag of a stack's member; what A1111 has no place for is in named fields."""
    options: list[tuple[str, str]] = []
    if ref.text_encoder_2 is not None:
        options.append(("te2", plain_number(ref.text_encoder_2)))
    if ref.blocks:
        options.append(("lbw", block_numbers(ref.blocks)))
    name = writable_name(name)
    return str(LoraTag(name, ref.unet, ref.text_encoder, tuple(options), ref.course))


_NO_ENDS = dict.fromkeys(map(ord, ",:\r\n"))
"""What would end a name or a value in a list of hashes."""


def _named_hashes(hashes: Iterable[tuple[str, str]]) -> NamedHashes:
    return tuple((name.translate(_NO_ENDS), value.translate(_NO_ENDS)) for name, value in hashes)


def _hash_list(hashes: Iterable[tuple[str, str]]) -> str | None:
    return ", ".join(f"{name}: {value}" for name, value in _named_hashes(hashes)) or None
