"""`loraswitch bench`: how fast LoRAs are switched on this machine, and how fast that could be."""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import structs

from engine.demo import DEMO_LORAS, DEMO_MODEL
from engine.protocol.text import duration
from tui_loraswitch.commands.bench_table import LiveTable
from tui_loraswitch.commands.options import add_model_options, settings_from
from tui_loraswitch.commands.outcome import FAILED, OK, UsageError, drop_output, say
from tui_loraswitch.commands.path_kinds import is_file
from tui_loraswitch.commands.progress import ProgressLine
from tui_loraswitch.config.config import expanded
from tui_loraswitch.config.settings import AppSettings

if TYPE_CHECKING:
    from engine.bench.results import BenchReport

DESCRIPTION = """\
Measure switching on this machine: from the base to a LoRA (its file on the
disk, in the page cache, in memory), from one LoRA to another, at another
strength, to stacks of 3 and 8, and back to the base, for each place where the
backup can be kept.

Every time stands beside a limit of the same run. “× floor” is how many times
the floor it takes: one reading and one writing of the weights touched, at the
speed of a bare copy here, and the float32 products of the LoRA's factors, at
their rate here. Of backups that lie partly on a GPU and partly in main memory
the slower part's copy counts. diffusers does the same on the same weights and
files where PEFT is installed, and so does a bare copy of the weights. “±” says
how steady the machine was: by how much one and the same copy varied meanwhile.

Rows come as they are measured, with the time that is left; a run that is
interrupted (Ctrl-C) shows what it has.

Without --model the model is SDXL at full size with random weights in float16:
no download, the same memory traffic. At rank 32 that takes about 15 GiB of main
memory (on a GPU 13 of its own and 9 of main memory), 6 GiB of the folder for
temporary files and some minutes; it is refused where that is not there.
--demo measures the tiny embedded model in seconds; its times tell little of a
real one's.
"""

EXAMPLES = """\
examples:
  loraswitch bench
  loraswitch bench --model xl.safetensors --lora neon.safetensors
  loraswitch bench --device cuda --backup cpu --rank 64 --repeat 10
  loraswitch bench --demo --no-peers --json | jq '.switches[].times_floor'
"""

_MAX_RANK = 1024
_LONG = 20.0
"""Seconds of a run that are said where there is no line of progress to show them."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "--lora",
        metavar="FILE",
        dest="bench_loras",
        type=expanded,
        action="append",
        default=[],
        help="a LoRA file for the model named by --model; give it again for more: A to B takes "
        "two, the stacks three and eight. Without any, random ones are made",
    )
    parser.add_argument(
        "--random",
        action="store_true",
        help="SDXL at full size with random weights; so it is without --model and --demo",
    )
    parser.add_argument(
        "--rank", type=_number, default=32, metavar="R", help="of random LoRAs; default: 32"
    )
    parser.add_argument(
        "--repeat",
        type=_number,
        default=3,
        metavar="N",
        help="runs of each switch, of which the median is shown; default: 3",
    )
    parser.add_argument(
        "--no-peers", action="store_true", help="leave out diffusers and the bare backup copy"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object, in seconds")
    add_model_options(parser)


def _number(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= _MAX_RANK:
        raise argparse.ArgumentTypeError(f"“{text}” is not a whole number from 1 to {_MAX_RANK}")
    return int(text)


def run(args: argparse.Namespace) -> int:
    """Measure and print."""
    settings = _settings(args)
    with (
        ProgressLine() as progress,
        tempfile.TemporaryDirectory(prefix="loraswitch-") as folder,
    ):
        progress.show("starting")

        from engine.generate.quiet import quiet_libraries

        quiet_libraries()
        from engine.bench.run import run_bench
        from engine.bench.subject import opened_subject, random_subject

        progress.show("making the model and its LoRAs")
        if settings.model is None:
            subject = random_subject(
                Path(folder),
                rank=args.rank,
                device=settings.device,
                dtype=settings.dtype,
                with_file=settings.backup in ("auto", "file"),
            )
        else:
            subject = opened_subject(
                Path(folder),
                settings.model,
                settings.loras,
                rank=args.rank,
                device=settings.device,
                dtype=settings.dtype,
                vae=settings.vae,
                parts_from=settings.parts_from,
            )
        output = _Output(progress, as_json=args.json)
        try:
            report = run_bench(
                subject,
                repeat=args.repeat,
                tiers=None if settings.backup == "auto" else (settings.backup,),
                peers=not args.no_peers,
                progress=output.tell,
                found=output.show,
            )
        except (KeyboardInterrupt, SystemExit):
            try:
                output.end()
            except OSError:  # the terminal has gone, or whoever read what was written
                drop_output()
            raise
        output.show(report)
        output.end()
    if report.different:
        say(f"{report.different} base tensors differ after the switches: this is a fault.")
        return FAILED
    return OK


class _Output:
    """Rows as they come, or one JSON object at the end; an interrupted run gives what it has."""

    def __init__(self, progress: ProgressLine, *, as_json: bool) -> None:
        self._progress = progress
        self._table = None if as_json else LiveTable(self._write)
        self._report: BenchReport | None = None
        self._has_told = False

    def tell(self, words: str, seconds_left: float | None) -> None:
        """Say what is measured now, and how long the rest will take."""
        if seconds_left is None:
            self._progress.show(words)
            return
        left = f"about {duration(seconds_left)} left"
        if not (self._has_told or self._progress.is_visible) and seconds_left > _LONG:
            say(f"This takes {left.removesuffix(' left')}.")
        self._has_told = True
        self._progress.show(f"{words}  {left}")

    def show(self, report: BenchReport) -> None:
        """Write what is new in a report."""
        self._report = report
        if self._table is not None:
            self._table.show(report)

    def end(self) -> None:
        """Write the rest of what is known."""
        if self._report is None:
            return
        if self._table is not None:
            self._table.finish(self._report)
        else:
            self._write(json.dumps(self._report.as_plain(), indent=2))

    def _write(self, line: str) -> None:
        self._progress.show("")
        print(line, flush=True)


def _settings(args: argparse.Namespace) -> AppSettings:
    """What to measure, `loras` being files; no model means random weights at full size.

    A remembered model is not taken: what is measured depends on the words given alone.
    """
    settings = settings_from(args)
    loras: tuple[Path, ...] = tuple(args.bench_loras)
    model = settings.model if getattr(args, "model", None) is not None else None
    is_demo = getattr(args, "demo", False)
    if args.random and (model or is_demo):
        raise UsageError("--random makes a model; it goes neither with --model nor with --demo.")
    if loras and model is None:
        raise UsageError("--lora needs the model it is for; name it with --model.")
    for path in loras:
        if not is_file(path):
            raise UsageError(f"--lora {path}: there is no such file, or it is closed to you.")
    if is_demo:
        model = DEMO_MODEL
        loras = tuple(sorted(DEMO_LORAS.rglob("*.safetensors")))
    return structs.replace(settings, model=model, loras=loras)
