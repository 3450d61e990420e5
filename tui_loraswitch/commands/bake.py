"""`loraswitch bake`: a stack as a checkpoint of its own, or as one LoRA of a chosen rank."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.demo import DEMO_MODEL
from engine.files.header import read_header
from engine.proof.contents import FileContents
from engine.protocol.refs import LoraRef
from engine.protocol.text import file_size
from engine.words.clean import clean_line
from tui_loraswitch.commands.hosts import add_own_engine_option, settings_at, usable_host
from tui_loraswitch.commands.lora_names import Library, parse_wanted
from tui_loraswitch.commands.options import add_library_option, add_model_options, settings_from
from tui_loraswitch.commands.outcome import OK, UsageError, say
from tui_loraswitch.commands.progress import ProgressLine
from tui_loraswitch.config.config import expanded
from tui_loraswitch.config.settings import AppSettings

if TYPE_CHECKING:
    from engine.bake.lora import BakedLora
    from engine.checkpoint import Checkpoint

DESCRIPTION = """\
Write a model with LoRAs merged into it as a checkpoint: a single file in the
original layout, which every program reads, in the model's type (--dtype), with
the recipe in its metadata. A picture drawn with it is the picture of the stack.

With --rank the LoRAs are written as one LoRA of that rank instead, to be used
at strength 1. What the rank cannot hold is left out (the smallest singular
values), and it is said how far each module and the whole is off.

Without --lora it is the stack of the host that runs. The file is computed on
the CPU from the files of the model and the LoRAs; it appears whole or not at
all, and never in place of another.
"""

EXAMPLES = """\
examples:
  loraswitch bake neon_xl.safetensors --lora neon:0.8 --lora ink:0.4
  loraswitch bake neon_xl.safetensors --dtype float16
      the stack of the host that runs
  loraswitch bake both.safetensors --lora neon:0.8 --lora ink:0.4 --rank 32
"""

_WORST = 3
"""Modules that are named."""
MOST_RANK = 4096


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("file", metavar="FILE", type=expanded, help="the file to be written")
    parser.add_argument(
        "--lora",
        metavar="NAME[:UNET[:TE]][:lbw=BLOCKS]",
        type=parse_wanted,
        action="append",
        default=[],
        help="a LoRA with its strength; give it again for more",
    )
    parser.add_argument("--rank", type=rank, metavar="N", help="write one LoRA of this rank")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    add_library_option(parser)
    add_model_options(parser)
    add_own_engine_option(parser)


def rank(text: str) -> int:
    """A rank on the command line."""
    if not text.isdecimal() or not 1 <= int(text) <= MOST_RANK:
        raise argparse.ArgumentTypeError(f"“{text}” is no rank from 1 to {MOST_RANK}")
    return int(text)


def run(args: argparse.Namespace) -> int:
    """Bake, and say what was written."""
    settings = settings_from(args)
    if args.lora:
        stack = Library(settings.loras, settings.index_path).resolve(
            args.lora, settings.block_weights
        )
    else:
        settings, stack = _of_host(settings)
    return bake(args.file, stack, args.rank, settings, as_json=args.json)


def bake(
    path: Path, stack: Sequence[LoraRef], rank: int | None, settings: AppSettings, *, as_json: bool
) -> int:
    """Write a stack, as a checkpoint or (with a rank) as a LoRA, and say how it went."""
    if path.suffix != ".safetensors":
        raise UsageError(f"{path.name}: name a file that ends in .safetensors.")
    with ProgressLine() as progress:
        progress.show("loading the model")

        from engine.generate.quiet import quiet_libraries

        quiet_libraries()
        from engine.bake.recipe import require_steady
        from engine.bake.stream import require_free

        require_steady(stack)
        require_free(path)
        model = _open(settings)

        def on_progress(done: int, total: int) -> None:
            progress.show(f"writing {path.name}  {done / total:.0%}")

        if rank is None:
            found = _bake_checkpoint(model, stack, path, settings, on_progress)
        else:
            from engine.bake.lora import bake_lora

            # The base's weights: nothing is merged into them.
            parts = {p: m for p, m in model.modules.items() if p != "vae"}
            baked = bake_lora(
                {str(part): module for part, module in parts.items()},
                stack, rank, path, _recipe(model, "", stack, settings), on_progress,
            )  # fmt: skip
            found = _of_lora(baked)
    if as_json:
        print(json.dumps({"file": str(path), **found}, indent=2))
    else:
        print(clean_line(str(path)))
        for line in _lines(found):
            print(f"  {line}")
    return OK


def _of_host(settings: AppSettings) -> tuple[AppSettings, tuple[LoraRef, ...]]:
    """The stack that is wanted at the host, and its model."""
    host = usable_host(settings)
    if host is None:
        raise UsageError("Name the LoRAs with --lora; no host runs whose stack could be meant.")
    from tui_loraswitch.commands.engine_run import open_engine

    with open_engine(lambda event: None, host) as engine:
        view = engine.engine.view
    if not view.wanted:
        raise UsageError("The host has no LoRA live; name LoRAs with --lora.")
    return settings_at(host, settings), view.wanted


def _open(settings: AppSettings) -> Checkpoint:
    from engine.checkpoint import open_checkpoint
    from engine.device import choose_dtype

    return open_checkpoint(
        settings.model or DEMO_MODEL,
        device="cpu",
        dtype=choose_dtype(settings.dtype, "cpu"),
        vae=settings.vae if settings.model else None,
        parts_from=settings.parts_from if settings.model else None,
        prediction=settings.predictions.get(settings.model),
    )


def _bake_checkpoint(
    model: Checkpoint, stack: Sequence[LoraRef], path: Path, settings: AppSettings, on_progress: Any
) -> dict[str, Any]:
    from engine.bake.checkpoint import bake_checkpoint
    from engine.bake.tokenizer import copy_tokenizer
    from engine.checkpoint.config import METADATA_KEY
    from engine.switch.switcher import LoraSwitcher

    pipe = model.pipeline
    switcher = LoraSwitcher(pipe.unet, pipe.text_encoder, pipe.text_encoder_2, source=model.source)
    base = switcher.base_fingerprint
    report = switcher.apply(tuple(stack))
    for warning in (words for lora in report.loras for words in lora.warnings):
        say(warning)
    if names := [embedding.name for embedding in switcher.embeddings]:
        say(f"Embeddings of the LoRAs are in no checkpoint: {', '.join(names)}.")
    metadata = _recipe(model, base, stack, settings)
    if model.path.is_file():
        own = read_header(model.path).metadata.get(METADATA_KEY)
        metadata |= {METADATA_KEY: own} if own is not None else {}
    copy_tokenizer(model, path)
    size = bake_checkpoint(model, path, metadata, on_progress)
    return {"kind": "checkpoint", "bytes": size, "weights_changed": report.merged}


def _recipe(
    model: Checkpoint, base: str, stack: Sequence[LoraRef], settings: AppSettings
) -> dict[str, str]:
    from engine.bake.recipe import RECIPE_KEY, recipe

    contents = FileContents(settings.index_path)
    return {RECIPE_KEY: recipe(model.path.stem, base, stack, contents)}


def _of_lora(baked: BakedLora) -> dict[str, Any]:
    return {
        "kind": "lora",
        "bytes": baked.bytes,
        "relative_error": baked.relative,
        "modules": [asdict(module) for module in baked.modules],
    }


def _lines(found: dict[str, Any]) -> list[str]:
    size = file_size(found["bytes"])
    if found["kind"] == "checkpoint":
        return [f"checkpoint · {size} · {found['weights_changed']:,} tensors changed"]
    modules = sorted(found["modules"], key=lambda module: -float(module["relative"]))
    return [
        f"LoRA · {size} · {len(modules):,} modules · off by {found['relative_error']:.2%} in all",
        *(
            f"{clean_line(module['name'])} off by {module['relative']:.2%}, a weight by up to "
            f"{module['largest']:.1g}"
            for module in modules[:_WORST]
        ),
    ]
