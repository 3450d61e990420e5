"""`loraswitch generate`: the same pictures as in the app, without a screen."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict, replace
from typing import Any

from engine.errors import EngineError
from engine.events import Event, GenerationFinished, ModelInfo, PictureSaved, Switched
from engine.generate.check import check_request
from engine.generate.lora_tags import TagOrder
from engine.generate.prompt import parse_prompt
from engine.generate.request import GenerateRequest
from engine.generate.sampler_names import SAMPLERS, SCHEDULES, USUAL_SCHEDULE
from engine.generate.sampler_spellings import read_sampler, read_schedule
from engine.hidden_files import sweep
from engine.library.text import clean_line
from tui_loraswitch.commands.lora_names import Library, parse_wanted
from tui_loraswitch.commands.model_json import model_as_json
from tui_loraswitch.commands.options import (
    add_embeddings_option,
    add_empty_negative_option,
    add_library_option,
    add_model_options,
    add_output_option,
    settings_from,
)
from tui_loraswitch.commands.outcome import OK, UsageError, say
from tui_loraswitch.commands.progress import ProgressLine
from tui_loraswitch.settings import AppSettings
from tui_loraswitch.wanted_lora import WantedLora

SUMMARY = "draw pictures without the app"

DESCRIPTION = """\
Draw pictures with the same engine as the app, and write the path of each to
stdout. Settings and LoRAs are inside the PNGs as A1111 infotext.

A LoRA is named by its file name without the ending, by its path below a folder
of --loras, or by a path; "loraswitch list" shows the names. Tags in the prompt
count as well: <lora:neon:0.8>, and with two strengths, in A1111's order,
<lora:neon:TEXT_ENCODER:UNET> (tag_order in the config file says otherwise).

Fields by name come last, in options and in tags: te2= is the strength for the
second text encoder; lbw= are block weights: 12 or 20 numbers as in A1111's
extension, names such as lbw=IN04=0.5,MID=0, or a preset (ALL, NONE, INS, MID,
OUTS, NOBASE, and those of [block_weights] in the config file).
"""

EXAMPLES = """\
examples:
  loraswitch generate "a large red star on a blue background" --demo
  loraswitch generate "a fox" --lora neon:0.8 --lora styles/ink:0.4:0 --seed 7
  loraswitch generate "a fox" --lora neon:0.8:lbw=OUTS
  loraswitch generate "a fox <lora:neon:0.8>" --batch 4 --output fox
  loraswitch generate "a fox" --json | jq -r '.pictures[].path'
"""

_DEFAULTS = GenerateRequest


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("prompt", metavar="PROMPT", help="what the picture shall show")
    parser.add_argument(
        "--lora",
        metavar="NAME[:UNET[:TE]][:lbw=BLOCKS]",
        type=parse_wanted,
        action="append",
        default=[],
        help="a LoRA with its strength (1 when left out), or with one for the UNet and one for "
        "the text encoders; give it again for a stack",
    )
    parser.add_argument("--negative", metavar="TEXT", default="", help="what it shall not show")
    parser.add_argument("--seed", type=int, default=-1, help="-1 (the default) draws one")
    parser.add_argument("--steps", type=int, default=_DEFAULTS.steps, help="default: %(default)s")
    parser.add_argument(
        "--cfg", type=float, default=_DEFAULTS.cfg_scale, help="default: %(default)g"
    )
    parser.add_argument("--width", type=int, help="pixels; default: what the model was trained on")
    parser.add_argument("--height", type=int, help="the same")
    parser.add_argument(
        "--sampler",
        metavar="NAME",
        type=_sampler,
        default=_DEFAULTS.sampler,
        help=f"{', '.join(SAMPLERS)}, or as other programs spell them (dpmpp_2m, “DPM++ 2M "
        "Karras”); default: %(default)s",
    )
    parser.add_argument(
        "--schedule",
        metavar="NAME",
        type=_schedule,
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
        "--batch", type=int, default=1, help="number of pictures, each with the next seed"
    )
    parser.add_argument(
        "--json",
        action="store_true",
        help="print one JSON object at the end: pictures, seed, seconds, LoRAs, settings",
    )
    add_empty_negative_option(parser)
    add_output_option(parser)
    add_library_option(parser)
    add_embeddings_option(parser)
    add_model_options(parser)


def run(args: argparse.Namespace) -> int:
    """Load the model, switch to the stack, draw."""
    settings = settings_from(args)
    # All that can be refused without the model is refused before it is loaded.
    request = _checked_request(args, settings)
    wanted = (*args.lora, *_tagged(request.prompt, settings.tag_order))
    library = Library(settings.loras, settings.index_path)
    stack = library.resolve(wanted, settings.block_weights)
    request = replace(request, lora_names=library.written(stack))
    if settings.model is None and not getattr(args, "demo", False):
        say("No model was named: drawing with the embedded demo (--model FILE uses your own).")

    from tui_loraswitch.commands.engine_run import open_engine

    sweep(settings.output)
    with ProgressLine() as progress:

        def on_event(event: Event) -> None:
            progress.follow(event)
            if isinstance(event, PictureSaved) and not args.json:
                _print_path(event)

        with open_engine(on_event) as engine:
            model = engine.load(settings)
            switched = engine.switch(stack)
            size = model.default_size
            request = replace(request, width=args.width or size, height=args.height or size)
            finished = engine.generate(request)
    for warning in (*switched.warnings, *finished.warnings):
        say(warning)
    if args.json:
        print(json.dumps(_as_json(request, model, switched, finished), indent=2))
    return OK


def _checked_request(args: argparse.Namespace, settings: AppSettings) -> GenerateRequest:
    """The request, with a size that works in place of the model's own, which is not known yet."""
    sampler, named = read_sampler(args.sampler)
    if named and args.schedule and args.schedule != named:
        raise UsageError(
            f"--sampler {args.sampler} names the schedule {named}, and --schedule says "
            f"{args.schedule}: give one of them."
        )
    request = GenerateRequest(
        prompt=args.prompt,
        output=settings.output,
        negative_prompt=args.negative,
        seed=args.seed,
        steps=args.steps,
        cfg_scale=args.cfg,
        width=_DEFAULTS.width if args.width is None else args.width,
        height=_DEFAULTS.height if args.height is None else args.height,
        sampler=sampler,
        schedule=named or args.schedule or USUAL_SCHEDULE.get(sampler, "Automatic"),
        batch=args.batch,
        clip_skip=args.clip_skip,
        preview_every=0,
        embeddings=settings.embeddings,
        empty_negative=settings.empty_negative,
    )
    try:
        # The prompt is read for its tags.
        parse_prompt(request.negative_prompt)
        check_request(request)
    except EngineError as error:
        raise UsageError(str(error)) from error
    return request


def _sampler(text: str) -> str:
    """A type for argparse: any spelling of a sampler, with a schedule or without."""
    if read_sampler(text)[0] not in SAMPLERS:
        raise _no_such("sampler", text, SAMPLERS)
    return text


def _schedule(text: str) -> str:
    schedule = read_schedule(text)
    if schedule not in SCHEDULES:
        raise _no_such("schedule", text, SCHEDULES)
    return schedule


def _no_such(what: str, text: str, names: tuple[str, ...]) -> argparse.ArgumentTypeError:
    return argparse.ArgumentTypeError(
        f"there is no {what} “{text[:80]}”; choose from {', '.join(names)}"
    )


def _tagged(prompt: str, order: TagOrder) -> list[WantedLora]:
    try:
        tags = parse_prompt(prompt, order).loras
    except EngineError as error:
        raise UsageError(str(error)) from error
    return list(map(WantedLora.of_tag, tags))


def _print_path(picture: PictureSaved) -> None:
    """Write the path exactly, for scripts; on a terminal without what could act on it."""
    path = str(picture.path)
    print(clean_line(path) if sys.stdout.isatty() else path, flush=True)


def _as_json(
    request: GenerateRequest, model: ModelInfo, switched: Switched, finished: GenerationFinished
) -> dict[str, Any]:
    settings = asdict(request)
    for name in ("output", "seed", "preview_every", "embeddings", "lora_names"):
        del settings[name]
    report = switched.report
    return {
        "pictures": [
            {"path": str(p.path), "seed": p.seed, "width": p.width, "height": p.height}
            for p in finished.pictures
        ],
        "seed": finished.pictures[0].seed,
        "seconds": round(finished.seconds, 3),
        "model": model_as_json(model),
        "loras": [
            {
                "name": ref.name,
                "path": str(ref.path),
                "unet": ref.unet,
                "text_encoder": ref.text_encoder,
                "text_encoder_2": ref.text_encoder_2_strength,
                "blocks": dict(ref.blocks),
                "modules": lora.matched,
            }
            for ref, lora in zip(report.stack, report.loras, strict=True)
        ],
        "settings": settings,
        "warnings": [*switched.warnings, *finished.warnings],
    }
