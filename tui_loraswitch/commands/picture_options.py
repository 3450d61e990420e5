"""What a picture is to be drawn with: options of `generate`, checked before a model is loaded."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain

from engine.errors import EngineError
from engine.generate.check import check_request
from engine.protocol.passes import HiresPass
from engine.protocol.refs import LoraRef
from engine.protocol.request import NOISES, GenerateRequest, Noise
from engine.words.lora_tags import TagOrder
from engine.words.prompt import parse_prompt
from engine.words.prompt_language.regions import tags_by_region
from engine.words.sampler_names import SAMPLERS, SCHEDULES, USUAL_SCHEDULE
from engine.words.sampler_spellings import read_sampler, read_schedule
from engine.words.sizes import SHAPES, WORDS, read_size
from tui_loraswitch.commands.lora_names import Library, parse_wanted
from tui_loraswitch.commands.outcome import UsageError
from tui_loraswitch.commands.pass_options import add_pass_options, hires_pass, start_picture
from tui_loraswitch.commands.resolved_prompts import resolved
from tui_loraswitch.config.config import expanded
from tui_loraswitch.config.settings import AppSettings
from tui_loraswitch.control.wanted_lora import WantedLora

_DEFAULTS = GenerateRequest
_LARGEST_COUNT = 1_000_000
"""Of what has no bound of its own."""


@dataclass(frozen=True)
class Wanted:
    """Pictures to draw, with a stack of their own."""

    request: GenerateRequest
    """Its size is left to the model (0) where none is given."""
    stack: tuple[LoraRef, ...]


def add_picture_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options of one picture, all but its prompt."""
    parser.add_argument(
        "--lora",
        metavar="NAME[:UNET[:TE]][:lbw=BLOCKS]",
        type=parse_wanted,
        action="append",
        default=[],
        help="a LoRA with its strength (1 when left out), or with one for the UNet and one for "
        "the text encoders; give it again for a stack",
    )
    parser.add_argument(
        "--style",
        metavar="NAME",
        action="append",
        default=[],
        help="a style of the file --styles names; give it again for more, one after the other",
    )
    parser.add_argument("--negative", metavar="TEXT", default="", help="what it shall not show")
    parser.add_argument("--seed", type=int, default=-1, help="-1 (the default) draws one")
    parser.add_argument("--steps", type=int, default=_DEFAULTS.steps, help="default: %(default)s")
    parser.add_argument(
        "--cfg", type=float, default=_DEFAULTS.cfg_scale, help="default: %(default)g"
    )
    parser.add_argument(
        "--size",
        metavar="SIZE",
        type=known_size,
        help=f"pixels such as 1216x832, or a size SDXL knows: {', '.join((*WORDS, *SHAPES))}; "
        "default: auto, the square the model was trained on, or the size of --init",
    )
    parser.add_argument("--width", type=int, help="pixels, in place of --size")
    parser.add_argument("--height", type=int, help="the same")
    parser.add_argument(
        "--sampler",
        metavar="NAME",
        type=known_sampler,
        default=_DEFAULTS.sampler,
        help=f"{', '.join(SAMPLERS)}, or as other programs spell them (dpmpp_2m, “DPM++ 2M "
        "Karras”); default: %(default)s",
    )
    parser.add_argument(
        "--schedule",
        metavar="NAME",
        type=known_schedule,
        help=f"{', '.join(SCHEDULES)}; default: what the sampler is usually run with",
    )
    parser.add_argument(
        "--clip-skip",
        metavar="LAYERS",
        type=int,
        default=_DEFAULTS.clip_skip,
        help="which layer of the text encoders counts, from the end; default: %(default)s, SDXL's "
        "own (and 1 means 2)",
    )
    parser.add_argument(
        "--noise",
        metavar="KIND",
        type=known_noise,
        default=_DEFAULTS.noise,
        help="whose noise a seed stands for: CPU (the default), GPU as in A1111 and Forge, or "
        "ComfyUI; each draws the same on every machine",
    )
    parser.add_argument(
        "--variation-seed", metavar="SEED", type=int, default=-1, help="-1 (the default) draws one"
    )
    parser.add_argument(
        "--variation-strength",
        metavar="SHARE",
        type=float,
        default=_DEFAULTS.variation_strength,
        help="how much of the variation seed's noise is mixed in, from 0 (the default) to 1; a "
        "batch then keeps --seed and counts up the other",
    )
    parser.add_argument(
        "--ratios",
        metavar="RATIOS",
        default="",
        help="widths and heights of the prompt's regions (ADDCOL, ADDROW), such as 1,2; all alike "
        "when left out",
    )
    parser.add_argument(
        "--mask",
        metavar="FILE",
        type=expanded,
        action="append",
        default=[],
        help="a picture, white where the next region of the prompt lies; one for each region",
    )
    parser.add_argument(
        "--batch", type=int, default=1, help="number of pictures, each with the next seed"
    )
    add_pass_options(parser)


def wanted_pictures(
    args: argparse.Namespace, settings: AppSettings, library: Library
) -> list[Wanted]:
    """What the options and the tags of the prompt come to: one batch, or single pictures.

    Where chance decides, each picture has a prompt of its own, and may have a stack of its own.
    Raises `UsageError` for all that can be refused without the model.
    """
    try:
        return [_wanted(one, settings, library) for one in resolved(args, settings)]
    except EngineError as error:
        raise UsageError(str(error)) from error


def _wanted(args: argparse.Namespace, settings: AppSettings, library: Library) -> Wanted:
    request = _checked_request(args, settings)
    whole, own = _tagged(args.prompt, settings.tag_order)
    stack = library.resolve((*args.lora, *whole), settings.block_weights)
    stacks = tuple(library.resolve(tags, settings.block_weights) for tags in own)
    hires = _with_loras(request.hires, args, stack, whole, settings, library)
    others = (hires.stack or (), *hires.region_stacks) if hires is not None else ()
    names = library.written((*stack, *chain.from_iterable((*stacks, *others))))
    return Wanted(replace(request, region_stacks=stacks, hires=hires, lora_names=names), stack)


def _with_loras(
    hires: HiresPass | None,
    args: argparse.Namespace,
    stack: tuple[LoraRef, ...],
    whole: Sequence[WantedLora],
    settings: AppSettings,
    library: Library,
) -> HiresPass | None:
    """The second pass with its LoRAs, where they are not those of the first.

    `--hires-lora` stands in the place of `--lora`, and tags of its prompt in that of the others.
    """
    if hires is None:
        return None
    own: list[list[WantedLora]] = []
    if hires.prompt:
        whole, own = _tagged(hires.prompt, settings.tag_order)
    loras = (*(args.hires_lora or args.lora), *whole)
    resolved = library.resolve(loras, settings.block_weights)
    stacks = tuple(library.resolve(tags, settings.block_weights) for tags in own)
    return replace(hires, stack=None if resolved == stack else resolved, region_stacks=stacks)


def _checked_request(args: argparse.Namespace, settings: AppSettings) -> GenerateRequest:
    sampler, named = read_sampler(args.sampler)
    if named and args.schedule and args.schedule != named:
        raise UsageError(
            f"--sampler {args.sampler} names the schedule {named}, and --schedule says "
            f"{args.schedule}: give one of them."
        )
    width, height, shape = _size(args)
    request = GenerateRequest(
        prompt=_whole(args.prompt),
        output=settings.output,
        negative_prompt=_whole(args.negative),
        seed=args.seed,
        steps=args.steps,
        cfg_scale=args.cfg,
        width=_DEFAULTS.width if width is None else width,
        height=_DEFAULTS.height if height is None else height,
        shape=shape,
        sampler=sampler,
        schedule=named or args.schedule or USUAL_SCHEDULE.get(sampler, "Automatic"),
        batch=args.batch,
        clip_skip=args.clip_skip,
        preview_every=0,
        embeddings=settings.embeddings,
        empty_negative=settings.empty_negative,
        noise=args.noise,
        variation_seed=args.variation_seed,
        variation_strength=args.variation_strength,
        region_ratios=args.ratios,
        region_masks=tuple(path.absolute() for path in args.mask),
        start=start_picture(args),
        hires=hires_pass(args),
        picture_format=settings.picture_format,
        file_names=settings.picture_names,
    )
    try:
        # The prompt is read for its tags.
        parse_prompt(request.negative_prompt)
        check_request(request)
    except EngineError as error:
        raise UsageError(str(error)) from error
    if max(request.batch, request.clip_skip) > _LARGEST_COUNT:
        raise UsageError(f"A batch and a clip skip go up to {_LARGEST_COUNT:,}.")
    # 0 is the model's own size, which is not known yet.
    return replace(request, width=width or 0, height=height or 0)


def _size(args: argparse.Namespace) -> tuple[int | None, int | None, str]:
    """Width and height, None where none is given, and the shape."""
    if args.size is None:
        return args.width, args.height, ""
    if args.width is not None or args.height is not None:
        raise UsageError("--size says width and height: leave --width and --height out.")
    if isinstance(args.size, str):
        return None, None, args.size
    width, height = args.size
    return width or None, height or None, ""


def known_size(text: str) -> tuple[int, int] | str:
    """A type for argparse: width and height, or the name of a shape."""
    try:
        return read_size(text)
    except EngineError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def known_sampler(text: str) -> str:
    """A type for argparse: any spelling of a sampler, with a schedule or without."""
    if read_sampler(text)[0] not in SAMPLERS:
        raise _no_such("sampler", text, SAMPLERS)
    return text


def known_schedule(text: str) -> str:
    """A type for argparse: a schedule by its name here."""
    schedule = read_schedule(text)
    if schedule not in SCHEDULES:
        raise _no_such("schedule", text, SCHEDULES)
    return schedule


def known_noise(text: str) -> Noise:
    """A type for argparse: a kind of noise, in any case."""
    for noise in NOISES:
        if text.casefold() == noise.casefold():
            return noise
    raise _no_such("noise", text, NOISES)


def _no_such(what: str, text: str, names: tuple[str, ...]) -> argparse.ArgumentTypeError:
    return argparse.ArgumentTypeError(
        f"there is no {what} “{text[:80]}”; choose from {', '.join(names)}"
    )


def _tagged(prompt: str, order: TagOrder) -> tuple[list[WantedLora], list[list[WantedLora]]]:
    """The LoRAs that the prompt names for all of the picture, and for each of its regions."""
    try:
        parse_prompt(prompt, order)
        whole, own = tags_by_region(prompt, order)
    except EngineError as error:
        raise UsageError(str(error)) from error
    return list(map(WantedLora.of_tag, whole)), [list(map(WantedLora.of_tag, o)) for o in own]


def _whole(text: str) -> str:
    """A text without half characters (surrogates), which no socket and no file can carry."""
    return text.encode("utf-8", "replace").decode("utf-8")
