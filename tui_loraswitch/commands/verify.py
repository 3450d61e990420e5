"""`loraswitch verify`: switch LoRAs on a model, go back, and prove that the base is the base."""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Iterator, Sequence
from typing import Any

from engine.errors import EngineError, LoraRefusedError
from engine.host.runtime import HostPlace
from engine.library.entry import LibraryEntry
from engine.protocol.events import ModelInfo, Verified
from engine.protocol.refs import LoraRef
from engine.protocol.text import plural
from tui_loraswitch.commands.hosts import add_own_engine_option, usable_host
from tui_loraswitch.commands.model_json import model_as_json
from tui_loraswitch.commands.options import add_library_option, add_model_options, settings_from
from tui_loraswitch.commands.outcome import FAILED, OK, UsageError, say
from tui_loraswitch.commands.progress import ProgressLine
from tui_loraswitch.commands.scan import scan_library

DESCRIPTION = """\
Load the model, switch to each SDXL LoRA of the library once, go back to the
base, and compare every weight with the fingerprint taken when the model was
loaded. LoRAs that the model does not take are named and passed over; any other
fault is a failure, and so is a library of which the model takes none.

Where a host runs ("loraswitch serve"), its model is verified as it is: nothing
is loaded, and no LoRA is switched, since others work with it. --own-engine, or
another model named, loads the model and switches as said above.
"""

EXAMPLES = """\
examples:
  loraswitch verify --demo
  loraswitch verify --model sdxl.safetensors --loras ~/loras
  loraswitch verify --switches 200 --seed 1
      random stacks of up to three LoRAs at random strengths
  loraswitch verify --own-engine
      switch through the library, also where a host runs
  loraswitch verify --json | jq .verified
"""

_MAX_STACK = 3
_MAX_STRENGTH = 2.0


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "--switches",
        type=_count,
        metavar="N",
        help="switch N times to random stacks, in place of each LoRA once",
    )
    parser.add_argument("--seed", type=int, default=0, help="of the random stacks; default: 0")
    parser.add_argument(
        "--json",
        action="store_true",
        help="print one JSON object: verdict, counts, the tensors that differ, refusals, seconds",
    )
    add_library_option(parser)
    add_model_options(parser)
    add_own_engine_option(parser)


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"“{text}” is no number of switches; use 1 or more")
    return int(text)


def run(args: argparse.Namespace) -> int:
    """Have the running host verify; or load the model, switch, go back, verify."""
    settings = settings_from(args)
    host = usable_host(settings)
    if host is not None:
        if args.switches is not None:
            raise UsageError(
                f"--switches is not for the host {host.name}, since others work with it; "
                "--own-engine loads the model for this command alone."
            )
        return _verify_host(host, args.json)
    if settings.model is None and not getattr(args, "demo", False):
        say("No model was named: verifying the embedded demo (--model FILE verifies your own).")
    library = scan_library(settings.loras, settings.index_path)
    files = [entry for entry in library if entry.fits_sdxl]

    from tui_loraswitch.commands.engine_run import open_engine

    with ProgressLine() as progress, open_engine(progress.follow) as engine:
        model = engine.load(settings)
        stacks = list(_stacks(files, args.switches, args.seed))
        done, refusals = 0, list[str]()
        for number, stack in enumerate(stacks, 1):
            progress.show(f"switch {number}/{len(stacks)}")
            try:
                engine.switch(stack)
                done += 1
            except LoraRefusedError as error:
                if str(error) not in refusals:
                    say(str(error))
                    refusals.append(str(error))
        if not done:
            raise EngineError(
                "No switch was made, so nothing is proven; name a folder of LoRAs for this model "
                "with --loras."
            )
        engine.switch(())
        progress.show("comparing with the fingerprints")
        verified = engine.verify()
    return _tell(args.json, model, verified, done, refusals)


def _verify_host(host: HostPlace, as_json: bool) -> int:
    """Compare the base of a host's model, whatever stack is live on it."""
    from tui_loraswitch.commands.engine_run import open_engine

    with ProgressLine() as progress, open_engine(progress.follow, host) as engine:
        progress.show("comparing with the fingerprints")
        verified = engine.verify()
        return _tell(as_json, engine.model, verified, 0, ())


def _tell(
    as_json: bool, model: ModelInfo, verified: Verified, switches: int, refusals: Sequence[str]
) -> int:
    """Print the verdict; an exit code."""
    if as_json:
        print(json.dumps(_as_json(model, verified, switches, refusals), indent=2))
    else:
        print(_verdict(verified, switches))
    return FAILED if verified.report.different else OK


def _stacks(
    files: Sequence[LibraryEntry], switches: int | None, seed: int
) -> Iterator[tuple[LoraRef, ...]]:
    if switches is None:
        yield from ((LoraRef(entry.path),) for entry in files)
        return
    chance = random.Random(seed)
    for _ in range(switches if files else 0):
        members = chance.sample(files, chance.randint(1, min(_MAX_STACK, len(files))))
        yield tuple(LoraRef(entry.path, _strength(chance), _strength(chance)) for entry in members)


def _strength(chance: random.Random) -> float:
    return round(chance.uniform(-_MAX_STRENGTH, _MAX_STRENGTH), 2)


def _verdict(verified: Verified, switches: int) -> str:
    report = verified.report
    after = f" after {plural(switches, 'switch', 'switches')}" if switches else ""
    if report.different:
        names = ", ".join(report.different[:3])
        return (
            f"base NOT verified: {len(report.different)} of {plural(report.checked, 'tensor')} "
            f"differ{after} (such as {names})"
        )
    return f"base verified: 0 of {report.weights:,} weights differ{after}"


def _as_json(
    model: ModelInfo, verified: Verified, switches: int, refusals: Sequence[str]
) -> dict[str, Any]:
    report = verified.report
    return {
        "verified": not report.different,
        "switches": switches,
        "checked": report.checked,
        "weights": report.weights,
        "different": list(report.different),
        "refusals": list(refusals),
        "seconds": round(verified.seconds, 3),
        "model": model_as_json(model),
    }
