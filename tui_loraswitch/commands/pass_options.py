"""Options of `generate` for a picture to begin with, and for a second pass (hires fix)."""

from __future__ import annotations

import argparse
from pathlib import Path

from engine.protocol.passes import RESIZES, UPSCALERS, HiresPass, Resize, StartPicture, Upscaler
from tui_loraswitch.commands.lora_names import parse_wanted
from tui_loraswitch.commands.outcome import UsageError
from tui_loraswitch.commands.path_kinds import is_file, why_no_file
from tui_loraswitch.config.config import expanded

_START, _HIRES = StartPicture, HiresPass


def add_pass_options(parser: argparse.ArgumentParser) -> None:
    """Declare both groups."""
    start = parser.add_argument_group("a picture to begin with (image to image, inpainting)")
    start.add_argument(
        "--init",
        metavar="PICTURE",
        type=expanded,
        help="draw this picture anew; without a size it keeps its own, where the model can",
    )
    start.add_argument(
        "--denoising",
        metavar="STRENGTH",
        type=float,
        help="how far it is drawn anew, from 0, the picture itself, to 1, nothing of it: default "
        f"{_START.denoising:g}; of --hires: default {_HIRES.denoising:g}",
    )
    start.add_argument(
        "--resize",
        choices=RESIZES,
        default=_START.resize,
        help="how a picture of other proportions is fitted: cut off (crop, the default), "
        "stretched, or its edges drawn out (fill)",
    )
    start.add_argument(
        "--exact-steps",
        action="store_true",
        help="draw as many steps as --steps says; else the part of them that --denoising leaves",
    )
    start.add_argument(
        "--inpaint",
        metavar="MASK",
        type=expanded,
        help="a picture that lies over that of --init: only where it is white is drawn, all other "
        "pixels stay exactly as they are",
    )
    start.add_argument(
        "--mask-blur",
        metavar="PIXELS",
        type=float,
        default=_START.mask_blur,
        help="how soft its edge is; default: %(default)g",
    )
    hires = parser.add_argument_group("a second pass over the enlarged picture (hires fix)")
    hires.add_argument(
        "--hires", metavar="TIMES", type=float, help="enlarge it so many times, such as 1.5"
    )
    hires.add_argument(
        "--upscaler",
        metavar="NAME",
        type=_known_upscaler,
        default=_HIRES.upscaler,
        help=f"{', '.join(UPSCALERS)}; default: %(default)s",
    )
    hires.add_argument(
        "--hires-steps",
        metavar="STEPS",
        type=int,
        default=_HIRES.steps,
        help="default: as many as --steps",
    )
    hires.add_argument(
        "--hires-prompt",
        metavar="TEXT",
        default="",
        help="another prompt for the second pass, with its own tags",
    )
    hires.add_argument(
        "--hires-negative", metavar="TEXT", default="", help="another negative prompt for it"
    )
    hires.add_argument(
        "--hires-lora",
        metavar="NAME[:UNET[:TE]]",
        type=parse_wanted,
        action="append",
        default=[],
        help="a LoRA of the second pass alone, which then has none of --lora; give it again for a "
        "stack",
    )


def start_picture(args: argparse.Namespace) -> StartPicture | None:
    """What `--init` and its like come to; raises `UsageError` for files that are not there."""
    if args.init is None:
        if args.inpaint is not None:
            raise UsageError("--inpaint is a mask over a picture: name that with --init.")
        if args.denoising is not None and args.hires is None:
            raise UsageError("--denoising is about a picture: name it with --init, or use --hires.")
        return None
    _require_file("--init", args.init)
    if args.inpaint is not None:
        _require_file("--inpaint", args.inpaint)
    resize: Resize = args.resize
    denoising = _START.denoising if args.denoising is None else args.denoising
    return StartPicture(
        args.init.absolute(),
        denoising,
        resize,
        args.exact_steps,
        args.inpaint.absolute() if args.inpaint else None,
        args.mask_blur,
    )


def hires_pass(args: argparse.Namespace) -> HiresPass | None:
    """What `--hires` and its like come to, without its LoRAs."""
    if args.hires is None:
        if args.hires_prompt or args.hires_negative or args.hires_lora or args.hires_steps:
            raise UsageError("A second pass enlarges the picture: say how much with --hires TIMES.")
        return None
    upscaler: Upscaler = args.upscaler
    return HiresPass(
        args.hires,
        _HIRES.denoising if args.denoising is None else args.denoising,
        upscaler,
        args.hires_steps,
        args.hires_prompt,
        args.hires_negative,
    )


def _known_upscaler(text: str) -> Upscaler:
    """A type for argparse: an upscaler, in any case."""
    for upscaler in UPSCALERS:
        if text.casefold() == upscaler.casefold():
            return upscaler
    raise argparse.ArgumentTypeError(
        f"there is no upscaler “{text[:80]}”; choose from {', '.join(UPSCALERS)}"
    )


def _require_file(option: str, path: Path) -> None:
    if not is_file(path):
        raise UsageError(f"{option} {path}: {why_no_file(path)}.")
