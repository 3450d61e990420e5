"""`loraswitch audit`: what LoRAs leave in the base weights, here and with diffusers."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from engine.demo import DEMO_MODEL
from engine.protocol.refs import LoraRef
from engine.protocol.text import plural
from engine.words.clean import clean_line
from tui_loraswitch.commands.lora_names import Library, parse_wanted
from tui_loraswitch.commands.options import add_library_option, add_model_options, settings_from
from tui_loraswitch.commands.outcome import FAILED, OK, UsageError, say
from tui_loraswitch.commands.progress import ProgressLine
from tui_loraswitch.commands.scan import scan_library
from tui_loraswitch.config.settings import AppSettings
from tui_loraswitch.control.wanted_lora import WantedLora

if TYPE_CHECKING:
    from engine.bench.audit import Audit, Traces

DESCRIPTION = """\
Put LoRAs on your model and take them off again, by the switches of this
program and by diffusers (load, fuse, unfuse, unload), and count the weights
that are not the base's afterwards. Unfusing subtracts in the model's own type,
so that something stays; here the base comes back bit for bit.

Without names all LoRAs of the library that are for SDXL are audited, the first
ten of a large one. The model is loaded for this command alone: no host is used.

diffusers reads LoRAs with the help of PEFT, which is an extra: without it
(pip install peft) only the switches of this program are audited.
"""

EXAMPLES = """\
examples:
  loraswitch audit --demo
  loraswitch audit --model sdxl.safetensors --dtype float16 neon styles/ink
  loraswitch audit --json | jq '.loras[].diffusers.weights'
"""

_MOST = 10


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "lora",
        metavar="LORA",
        type=parse_wanted,
        nargs="*",
        help="a LoRA of the library, or a file, perhaps with its strength: neon:0.8",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    add_library_option(parser)
    add_model_options(parser)


def run(args: argparse.Namespace) -> int:
    """Audit, and print a line for each LoRA and each way."""
    settings = settings_from(args)
    loras = _loras(args.lora, settings)
    if settings.model is None and not getattr(args, "demo", False):
        say("No model was named: auditing with the embedded demo (--model FILE audits your own).")
    with ProgressLine() as progress:
        progress.show("loading the model")

        from engine.generate.quiet import quiet_libraries

        quiet_libraries()
        from engine.bench.audit import HAS_PEFT, audit
        from engine.checkpoint import open_checkpoint
        from engine.device import choose_device, choose_dtype

        device = choose_device(settings.device)
        dtype = choose_dtype(settings.dtype, device)
        model = open_checkpoint(
            settings.model or DEMO_MODEL,
            device=device,
            dtype=dtype,
            vae=settings.vae,
            parts_from=settings.parts_from,
        )
        if not HAS_PEFT:
            say("diffusers is left out: it needs PEFT for LoRAs (pip install peft).")
        name = f"{model.path.stem} · {str(dtype).removeprefix('torch.')} · {device}"
        if not args.json:
            _print(progress, clean_line(name))
        found: list[Audit] = []
        for one in audit(model, loras, progress.show):
            found.append(one)
            if not args.json:
                for line in _lines(one):
                    _print(progress, line)
    if args.json:
        print(json.dumps({"model": name, "loras": [_as_json(one) for one in found]}, indent=2))
    left = sum(one.ours.weights for one in found if one.ours)
    if left:
        say(f"{left:,} weights are not the base's after our switches: this is a fault.")
    return FAILED if left or not any(one.ours for one in found) else OK


def _loras(wanted: Sequence[WantedLora], settings: AppSettings) -> tuple[LoraRef, ...]:
    if wanted:
        return Library(settings.loras, settings.index_path).resolve(wanted, settings.block_weights)
    entries = [e for e in scan_library(settings.loras, settings.index_path) if e.fits_sdxl]
    if not entries:
        raise UsageError("The library has no LoRA for SDXL; name files, or a folder with --loras.")
    if len(entries) > _MOST:
        say(f"Auditing the first {_MOST} of {len(entries):,} LoRAs; name others to audit them.")
    return tuple(LoraRef(entry.path) for entry in entries[:_MOST])


def _print(progress: ProgressLine, line: str) -> None:
    progress.show("")
    print(line, flush=True)


def _lines(one: Audit) -> Iterable[str]:
    yield clean_line(one.lora.stem)
    for name, traces, refused in (
        ("here", one.ours, one.ours_refused),
        ("diffusers", one.diffusers, one.diffusers_refused),
    ):
        if traces is not None:
            yield f"  {name:10}{_left(traces)}"
        elif refused:
            yield f"  {name:10}not taken: {clean_line(refused)}"


def _left(traces: Traces) -> str:
    times = f"on {_time(traces.seconds_on)}, off {_time(traces.seconds_off)}"
    if not traces.weights:
        return f"0 weights differ · {times}"
    what = plural(traces.weights, "weight differs", "weights differ")
    return f"{what}, in {plural(traces.tensors, 'tensor')}, by up to {traces.largest:.1g} · {times}"


def _time(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"


def _as_json(one: Audit) -> dict[str, Any]:
    return {**asdict(one), "lora": str(one.lora)}
