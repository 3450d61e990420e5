"""`loraswitch generate`: the same pictures as in the app, without a screen."""

from __future__ import annotations

import argparse
import json
import os
import sys
from dataclasses import asdict, replace
from typing import Any

from engine.files.hidden_files import sweep
from engine.host.runtime import HostPlace
from engine.protocol.events import Event, GenerationFinished, ModelInfo, PictureSaved
from engine.words.clean import clean_line
from tui_loraswitch.commands.from_picture import add_source_options, pictures_again
from tui_loraswitch.commands.hosts import add_own_engine_option, settings_at, usable_host
from tui_loraswitch.commands.lora_names import Library
from tui_loraswitch.commands.model_json import model_as_json
from tui_loraswitch.commands.options import (
    add_drawing_options,
    settings_from,
)
from tui_loraswitch.commands.outcome import OK, UsageError, say
from tui_loraswitch.commands.parser import Parser
from tui_loraswitch.commands.picture_json import member_as_json, picture_as_json, warnings_of
from tui_loraswitch.commands.picture_options import Wanted, add_picture_options, wanted_pictures
from tui_loraswitch.commands.progress import ProgressLine
from tui_loraswitch.config.config import expanded
from tui_loraswitch.config.settings import AppSettings

DESCRIPTION = r"""\
Draw pictures with the same engine as the app, and write the path of each to
stdout. Settings and LoRAs are inside the PNGs as A1111 infotext. Where a host
runs ("loraswitch serve"), it draws them, and no model is loaded.

A LoRA is named by its file name without the ending, by its path below a folder
of --loras, or by a path; "loraswitch list" shows the names. Tags in the prompt
count as well: <lora:neon:0.8>, and with two strengths, in A1111's order,
<lora:neon:TEXT_ENCODER:UNET> (tag_order in the config file says otherwise).

Fields by name come last, in options and in tags: te2= is the strength for the
second text encoder; lbw= are block weights: 12 or 20 numbers as in A1111's
extension, names such as lbw=IN04=0.5,MID=0, or a preset (ALL, NONE, INS, MID,
OUTS, NOBASE, and those of [block_weights] in the config file).

Dynamic prompts: {red|blue} is one of them, {2$$a|b|c} two, __name__ a line of a
file in --wildcards; the seed decides, for each picture of a --batch anew. The
prompt that comes of it is in the PNG. \{ and \} are plain.

--from PICTURE takes prompt, settings and LoRAs of a picture, also of A1111,
ComfyUI and others; options given beside it go first, and a prompt of your own
brings its own LoRAs. LoRAs are found by their hash, then by their name.

Many prompts: - reads them from standard input, --file from a file, one a line;
the model is loaded once. A line may have sd-scripts' options: --n NEGATIVE,
--w and --h SIZE, --s STEPS, --d SEED (or several: 1,2,3), --l CFG, and --am
STRENGTHS of the LoRAs that --lora names, in that order. Or it is a JSON object
with prompt, negative_prompt, seed, steps, cfg_scale, width, height, size,
sampler, schedule, batch, clip_skip, noise, variation_seed, variation_strength,
loras (a list of names as for --lora), init, denoising, inpaint, hires,
hires_steps, hires_prompt and hires_loras. What a line does not say is as this
command's options have it. Empty lines and lines that begin with # are passed
over. All lines of a file are checked first; those of standard input as they
come.

The result of each line is a line of JSON on stdout, as soon as it is made:
its number, prompt, pictures, seed, seconds, stack and warnings, or an error.
"""

EXAMPLES = """\
examples:
  loraswitch generate "a large red star on a blue background" --demo
  loraswitch generate "a fox" --lora neon:0.8 --lora styles/ink:0.4:0 --seed 7
  loraswitch generate "a fox" --lora neon:0.8:lbw=OUTS
  loraswitch generate "a fox <lora:neon:0.8>" --batch 4 --output fox
  loraswitch generate "a fox" --json | jq -r '.pictures[].path'
  loraswitch generate --file prompts.txt --lora neon | jq -r '.pictures[].path'
  echo 'a fox --n blurry --s 20 --d 7 --am 0.5' |
    loraswitch generate - --lora neon
  loraswitch generate --from outputs/00042-7.png --seed 8
  loraswitch generate "a green fox" --init fox.png --size portrait
  loraswitch generate "a fox" --hires 1.5 --hires-lora detail:0.6
  loraswitch generate --file prompts.txt --detach
      leaves them to the host's queue: the shell can be closed
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "prompt",
        metavar="PROMPT",
        nargs="?",
        help="what the picture shall show; - reads prompts from standard input",
    )
    parser.add_argument(
        "--file", metavar="FILE", type=expanded, help="read prompts from a file, one a line"
    )
    add_picture_options(parser)
    add_source_options(parser)
    if isinstance(parser, Parser):
        parser.tell_given()
    parser.add_argument(
        "--json",
        action="store_true",
        help="print one JSON object at the end: pictures, seed, seconds, LoRAs, settings (many "
        "prompts have a line of JSON each in any case)",
    )
    parser.add_argument(
        "--detach",
        action="store_true",
        help="leave the pictures to the queue of the host that runs, and print a line of JSON "
        "with the id of each job; “loraswitch queue” shows them",
    )
    add_drawing_options(parser)
    add_own_engine_option(parser)


def run(args: argparse.Namespace) -> int:
    """Have the running host draw, or load the model and draw."""
    if args.file is not None and args.prompt is not None:
        raise UsageError("Give prompts with --file, or a prompt (or -) in its place: not both.")
    if args.source is None and args.skip_missing:
        raise UsageError("--skip-missing is about the LoRAs of a picture: name it with --from.")
    if args.source is not None and (args.file is not None or args.prompt == "-"):
        raise UsageError("--from draws one picture again: it goes with a prompt, not with many.")
    if args.file is None and args.prompt is None and args.source is None:
        raise UsageError("There is nothing to draw: give a prompt, - or --file FILE.")
    settings = settings_from(args)
    host = usable_host(settings)
    if host is not None:
        settings = settings_at(host, settings)
    elif args.detach:
        raise UsageError(
            "--detach leaves pictures to a host, and there is none to be used; "
            "loraswitch serve --detach starts one."
        )
    # All that can be refused without the model is refused before it is loaded.
    library = Library(settings.loras, settings.index_path)
    if args.file is not None or args.prompt == "-":
        from tui_loraswitch.commands.generate_many import draw_lines, lines_to_draw

        lines = lines_to_draw(args, settings, library)
        _begin(args, settings, host)
        return draw_lines(lines, settings, host, args.detach)
    if args.source is not None:
        wanted = pictures_again(args, settings, library)
    else:
        wanted = wanted_pictures(args, settings, library)
    _begin(args, settings, host)
    if args.detach:
        from tui_loraswitch.commands.generate_many import Line, draw_lines

        return draw_lines([Line(1, wanted[0].request.prompt, wanted)], settings, host, detach=True)
    return _draw_one(args, wanted, settings, host)


def _begin(args: argparse.Namespace, settings: AppSettings, host: HostPlace | None) -> None:
    if host is None and settings.model is None and not getattr(args, "demo", False):
        say("No model was named: drawing with the embedded demo (--model FILE uses your own).")
    sweep(settings.output)


def _draw_one(
    args: argparse.Namespace, wanted: list[Wanted], settings: AppSettings, host: HostPlace | None
) -> int:
    from tui_loraswitch.commands.engine_run import open_engine

    with ProgressLine() as progress:

        def on_event(event: Event) -> None:
            progress.follow(event)
            if isinstance(event, PictureSaved) and not args.json:
                _print_path(event)

        with open_engine(on_event, host) as engine:
            engine.require_model(settings)
            finished = [engine.draw(one.request, one.stack) for one in wanted]
            model = engine.model
    warnings = list(dict.fromkeys(words for one in finished for words in warnings_of(one)))
    for warning in warnings:
        say(warning)
    if args.json:
        table = _as_json(wanted, model, finished, warnings)
        print(json.dumps(table, indent=2, default=os.fspath))
    return OK


def _print_path(picture: PictureSaved) -> None:
    """Write the path exactly, for scripts; on a terminal without what could act on it."""
    path = str(picture.path)
    print(clean_line(path) if sys.stdout.isatty() else path, flush=True)


def _as_json(
    wanted: list[Wanted],
    model: ModelInfo,
    finished: list[GenerationFinished],
    warnings: list[str],
) -> dict[str, Any]:
    """All of one command; where chance decides, each picture says what its prompt and stack are."""
    first = finished[0].pictures[0]
    pictures = [picture_as_json(picture) for one in finished for picture in one.pictures]
    stacks = [_stack_as_json(one) for one in finished]
    if len(wanted) > 1:
        for picture, one, stack in zip(pictures, wanted, stacks, strict=True):
            picture |= {"prompt": one.request.prompt, "loras": stack}
    settings = asdict(replace(wanted[0].request, width=first.width, height=first.height))
    for name in ("output", "seed", "preview_every", "embeddings", "lora_names", "shape"):
        del settings[name]
    return {
        "pictures": pictures,
        "seed": first.seed,
        "seconds": round(sum(one.seconds for one in finished), 3),
        "model": model_as_json(model),
        "loras": stacks[0],
        "settings": settings,
        "warnings": warnings,
    }


def _stack_as_json(finished: GenerationFinished) -> list[dict[str, Any]]:
    return [
        member_as_json(ref) | {"modules": lora.matched}
        for ref, lora in zip(finished.stack, finished.loras, strict=True)
    ]
