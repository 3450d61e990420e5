"""A picture's prompt, settings and stack, to be drawn with again."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from engine.errors import EngineError
from engine.generate.check import check_request
from engine.generate.infotext import Infotext
from engine.generate.infotext.passes import HiresUsed
from engine.generate.picture_said import PictureSaid
from engine.library.hash_table import HashTable
from engine.protocol.making import Making
from engine.protocol.passes import UPSCALERS, HiresPass, Upscaler
from engine.protocol.refs import LoraRef
from engine.protocol.request import GenerateRequest
from engine.protocol.stack_edits import Stack
from engine.words.clean import clean_line
from engine.words.lora_tags import TagOrder
from engine.words.prompt_language.regions import tags_by_region
from tui_loraswitch.control.wanted_lora import WantedLora

_HASH = re.compile(r"[0-9a-f]{8,64}")
"""AutoV1 has 8 digits, AutoV2 10 and AutoV3 12."""
_SHORT = 12
"""Digits of a hash in a sentence: AutoV3."""


@dataclass(frozen=True)
class Member:
    """A LoRA of a picture's stack; of one that a tag names, the path is its name alone."""

    ref: LoraRef
    name: str
    hash: str = ""
    """Of its tensors, as many digits as are known."""


@dataclass(frozen=True)
class Again:
    """What a picture was drawn with, as far as its file tells."""

    request: GenerateRequest
    members: tuple[Member, ...]
    of_regions: tuple[tuple[Member, ...], ...] = ()
    of_hires: tuple[Member, ...] | None = None
    """Those of the second pass, where it has LoRAs of its own."""
    notes: tuple[str, ...] = ()
    """Sentences on what cannot be used."""


@dataclass(frozen=True)
class Found:
    """The files of a picture's LoRAs, as far as they were found."""

    stack: Stack
    of_regions: tuple[Stack, ...]
    of_hires: Stack | None
    missing: tuple[Member, ...]
    notes: tuple[str, ...]

    def in_passes(self, request: GenerateRequest) -> GenerateRequest:
        """The request with the LoRAs of its regions and of its second pass."""
        hires = request.hires
        if hires is not None:
            hires = replace(hires, stack=self.of_hires)
        return replace(request, region_stacks=self.of_regions, hires=hires)

    @property
    def missing_words(self) -> str:
        """Which ones are missing, each with its hash."""
        return ", ".join(
            f"{one.name} ({one.hash[:_SHORT]})" if one.hash else one.name for one in self.missing
        )


def again_of(
    said: PictureSaid,
    defaults: GenerateRequest,
    presets: Mapping[str, str],
    tag_order: TagOrder = "te, unet",
) -> Again:
    """What a picture says. `defaults` gives what is not said, and where pictures go.

    Raises `EngineError` for a picture that says nothing of how it was made.
    """
    if said.making is not None:
        return _exactly(said.making, defaults)
    if said.info is None:
        raise EngineError("This picture does not say how it was made.")
    return _by_infotext(said.info, defaults, presets, tag_order)


def find_members(again: Again, by_name: Callable[[str], Path | None], index: Path) -> Found:
    """Find the files: by their hash among all that were ever hashed, then by their names.

    A file of the same name with other content is used, and that is said. Files are hashed for it,
    so that this may take a second for each.
    """
    notes, missing = list(again.notes), list[Member]()

    def found(members: Iterable[Member]) -> Stack:
        stack = []
        for member in members:
            path = _by_hash(member, by_name, index, notes)
            if path is None:
                missing.append(member)
            else:
                stack.append(replace(member.ref, path=path))
        return tuple(stack)

    stack = found(again.members)
    regions = tuple(found(members) for members in again.of_regions)
    of_hires = None if again.of_hires is None else found(again.of_hires)
    return Found(stack, regions, of_hires, tuple(dict.fromkeys(missing)), tuple(notes))


def _by_hash(
    member: Member, by_name: Callable[[str], Path | None], index: Path, notes: list[str]
) -> Path | None:
    table = HashTable(index)
    own = member.ref.path if member.ref.path.is_file() else None
    named = None
    try:
        named = by_name(member.name)
    except EngineError as error:
        notes.append(str(error))
    if not member.hash:
        return own or named
    # The nearest first: where it lay, what has its name now, and whatever has its content.
    for path in dict.fromkeys(path for path in (own, named) if path is not None):
        if table.has_hash(path, member.hash):
            return path
    if (elsewhere := table.with_hash(member.hash)) is not None:
        return elsewhere
    other = own or named
    if other is not None:
        notes.append(
            f"{member.name}: the file of that name has other content than the one in the picture "
            f"({member.hash[:_SHORT]})."
        )
    return other


def _exactly(making: Making, defaults: GenerateRequest) -> Again:
    request = making.picture
    notes = [
        f"The picture {path} is no longer there."
        for path in request.picture_files
        if not path.exists()
    ]
    own = replace(
        request,
        output=defaults.output,
        preview_every=defaults.preview_every,
        embeddings=defaults.embeddings,
        file_names=defaults.file_names,
        picture_format=defaults.picture_format,
        region_stacks=(),
        lora_names=(),
    )

    def members(stack: Stack) -> tuple[Member, ...]:
        return tuple(Member(ref, ref.name, making.hash_of(ref)) for ref in stack)

    regions = tuple(map(members, request.region_stacks))
    hires = request.hires
    of_hires = members(hires.stack) if hires is not None and hires.stack is not None else None
    return Again(own, members(making.stack), regions, of_hires, tuple(notes))


def _by_infotext(
    info: Infotext, defaults: GenerateRequest, presets: Mapping[str, str], tag_order: TagOrder
) -> Again:
    said: dict[str, Any] = {
        "negative_prompt": info.negative_prompt,
        "seed": info.seed,
        "steps": info.steps,
        "cfg_scale": info.cfg_scale,
        "width": info.width,
        "height": info.height,
        "sampler": info.sampler,
        "schedule": info.schedule,
        "clip_skip": info.clip_skip,
        "noise": info.noise,
        "empty_negative": info.empty_negative,
        "variation_seed": info.variation_seed,
        "variation_strength": info.variation_strength,
        "region_ratios": info.region_ratios,
        "hires": _hires(info.hires),
    }
    notes = _not_taken(info)
    request = replace(defaults, prompt=info.drawable_prompt, batch=1)
    for name, value in said.items():
        if value is None:
            continue
        changed = replace(request, **{name: value})
        try:
            check_request(changed)
        except EngineError as error:
            notes.append(f"{name.replace('_', ' ')}: {error}")
        else:
            request = changed
    whole, own = tags_by_region(request.prompt, tag_order)
    hashes = dict(info.lora_hashes)

    def members(tags: Iterable[WantedLora]) -> tuple[Member, ...]:
        found = []
        for tag in tags:
            try:
                ref = tag.ref(Path(tag.name), presets)
            except EngineError as error:
                notes.append(str(error))
            else:
                found.append(Member(ref, tag.name, _digits(hashes.get(tag.name, ""))))
        return tuple(found)

    regions = tuple(members(map(WantedLora.of_tag, tags)) for tags in own)
    of_hires = None
    if request.hires is not None and request.hires.prompt:
        tags, _ = tags_by_region(request.hires.prompt, tag_order)
        of_hires = members(map(WantedLora.of_tag, tags))
    stack = members(map(WantedLora.of_tag, whole))
    return Again(request, stack, regions, of_hires, tuple(notes))


def _digits(text: str) -> str:
    """A hash as it is compared; empty for what is none, or too short to tell one file."""
    digits = text.strip().lower().removeprefix("0x")
    return digits if _HASH.fullmatch(digits) else ""


def _hires(said: HiresUsed | None) -> HiresPass | None:
    """A hires fix as it can be drawn here."""
    if said is None or said.scale is None:
        return None
    upscaler: Upscaler = "Lanczos"
    for known in UPSCALERS:
        upscaler = known if known == said.upscaler else upscaler
    return HiresPass(
        said.scale,
        HiresPass.denoising if said.denoising is None else said.denoising,
        upscaler,
        said.steps or 0,
        said.prompt,
        said.negative_prompt,
    )


def _not_taken(info: Infotext) -> list[str]:
    """What of another program's picture is not drawn here, or not from its words alone."""
    notes = []
    if info.start is not None and info.start.denoising is not None:
        name = f" {clean_line(info.start.name, 60)}" if info.start.name else ""
        notes.append(
            f"It was begun with a picture{name}, which is not in it: name that with --init, and "
            f"--denoising {info.start.denoising:g}."
        )
    if info.hires is not None and info.hires.scale is None:
        notes.append("How much its second pass has enlarged it is not said: --hires says it.")
    elif info.hires is not None and info.hires.upscaler not in UPSCALERS:
        notes.append(
            f"The upscaler {clean_line(info.hires.upscaler or 'None', 60)} is not known here: "
            "Lanczos stands in its place."
        )
    return notes
