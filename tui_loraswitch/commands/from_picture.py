"""`generate --from PICTURE`: what a picture was drawn with, changed by the options given."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path

from engine.errors import EngineError, FileFormatError
from engine.generate.check import check_request
from engine.generate.picture_said import read_picture
from engine.protocol.refs import LoraRef
from engine.protocol.request import GenerateRequest
from tui_loraswitch.commands.lora_names import Library
from tui_loraswitch.commands.outcome import UsageError, say
from tui_loraswitch.commands.picture_options import Wanted, wanted_pictures
from tui_loraswitch.config.config import expanded
from tui_loraswitch.config.settings import AppSettings
from tui_loraswitch.control.use_again import Again, Found, again_of, find_members

_FIELDS: Mapping[str, str] = {
    "negative": "negative_prompt",
    "cfg": "cfg_scale",
    "ratios": "region_ratios",
    "mask": "region_masks",
}
"""What options are called as fields of a request, where that is another name."""
_HIRES_LORAS = frozenset(("hires_prompt", "hires_lora"))
"""Options that give a second pass LoRAs of its own."""
_NAMES = frozenset(field.name for field in fields(GenerateRequest))


def add_source_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "--from",
        dest="source",
        metavar="PICTURE",
        type=expanded,
        help="take prompt, settings and LoRAs of this picture; options given beside it go first",
    )
    parser.add_argument(
        "--skip-missing",
        action="store_true",
        help="with --from: draw without the LoRAs that are not found",
    )


def pictures_again(
    args: argparse.Namespace, settings: AppSettings, library: Library
) -> list[Wanted]:
    """What the picture and the options come to. Raises `UsageError` for what is refused."""
    again = _read(args.source, settings)
    options = argparse.Namespace(**vars(args))
    says_prompt = args.prompt is not None or bool(args.style)
    if not says_prompt:
        options.prompt = ""
    if "seed" not in args.given:
        options.seed = again.request.seed
    _begin_with(options, again.request)
    base, stack = again.request, tuple[LoraRef, ...]()
    if not says_prompt:
        found = _found(again, args, settings, library)
        base, stack = found.in_passes(base), found.stack
    return [
        _changed(base, one, args, stack, library)
        for one in wanted_pictures(options, settings, library)
    ]


def _begin_with(options: argparse.Namespace, base: GenerateRequest) -> None:
    """Have the picture's own start picture and second pass stand for options that are not given."""
    given, own = options.given, dict[str, object]()
    if base.start is not None and "init" not in given:
        start = base.start
        own = {"init": start.path, "denoising": start.denoising, "resize": start.resize,
               "exact_steps": start.exact_steps, "inpaint": start.mask,
               "mask_blur": start.mask_blur}  # fmt: skip
    elif base.hires is not None and "init" not in given:
        hires = base.hires
        own = {"hires": hires.scale, "denoising": hires.denoising, "upscaler": hires.upscaler,
               "hires_steps": hires.steps, "hires_negative": hires.negative_prompt}  # fmt: skip
    for name, value in own.items():
        if name not in given:
            setattr(options, name, value)


def _changed(
    base: GenerateRequest,
    own: Wanted,
    args: argparse.Namespace,
    stack: tuple[LoraRef, ...],
    library: Library,
) -> Wanted:
    """The picture's request with what was given in place of its own."""
    names = {_FIELDS.get(name, name) for name in args.given}
    names |= {"schedule"} if "sampler" in names else set()
    if own.request.prompt:
        names |= {"prompt", "region_stacks", "seed", "batch"}
    else:
        # Options for LoRAs add to those of the picture.
        names -= {"prompt"}
    names |= {"width", "height", "shape"} if "size" in names else set()
    names = (names & _NAMES) | {"start", "hires"}
    # A size of 0 is that of the model, and means that none was given.
    changed = {name: getattr(own.request, name) for name in names}
    hires = own.request.hires
    if hires is not None and base.hires is not None and not _HIRES_LORAS & args.given:
        changed["hires"] = replace(
            hires,
            prompt=base.hires.prompt,
            stack=base.hires.stack,
            region_stacks=base.hires.region_stacks,
        )
    request = replace(base, **changed)
    stack = (*stack, *own.stack)
    names_of = library.written((*stack, *request.own_loras))
    request = replace(request, lora_names=names_of)
    try:
        check_request(request)
    except EngineError as error:
        raise UsageError(str(error)) from error
    return Wanted(request, stack)


def _read(path: Path, settings: AppSettings) -> Again:
    defaults = GenerateRequest(
        "",
        settings.output,
        preview_every=0,
        embeddings=settings.embeddings,
        empty_negative=settings.empty_negative,
        picture_format=settings.picture_format,
        file_names=settings.picture_names,
    )
    try:
        said = read_picture(path)
        for note in said.notes:
            say(f"{path.name}: {note}.")
        return again_of(said, defaults, settings.block_weights, settings.tag_order)
    except FileFormatError as error:
        raise UsageError(str(error)) from error
    except EngineError as error:
        raise UsageError(f"{path}: {error}") from error


def _found(
    again: Again, args: argparse.Namespace, settings: AppSettings, library: Library
) -> Found:
    """The files of the picture's LoRAs; what is missing is refused, or said and left out."""
    found = find_members(again, library.named, settings.index_path)
    for note in found.notes:
        say(note)
    if found.missing:
        words = f"LoRAs of the picture that are not here: {found.missing_words}."
        if not args.skip_missing:
            raise UsageError(f"{words} --skip-missing draws without them.")
        say(f"{words} It is drawn without them.")
    return found
