"""The command line: `loraswitch` opens the app, its subcommands work without a screen."""

from __future__ import annotations

import argparse
import io
import logging
import platform
import sys
from collections.abc import Collection, Sequence
from importlib import import_module

from engine.demo import vocabulary
from engine.errors import CancelledError, EngineError
from engine.version import VERSION
from engine.words.clean import clean_line
from tui_loraswitch.commands import app
from tui_loraswitch.commands.hosts import add_own_engine_option
from tui_loraswitch.commands.log_file import log_to_file
from tui_loraswitch.commands.options import (
    add_embeddings_option,
    add_empty_negative_option,
    add_images_option,
    add_library_option,
    add_model_options,
    add_models_option,
    add_output_option,
)
from tui_loraswitch.commands.outcome import (
    CANCELLED,
    EXIT_CODES,
    FAILED,
    PIPE_CLOSED,
    WRONG_USAGE,
    UsageError,
    drop_output,
    leaving_on_signals,
    open_what_is_closed,
    refused,
    say,
    unexpected,
)
from tui_loraswitch.commands.parser import Parser
from tui_loraswitch.commands.places import config_path, log_path
from tui_loraswitch.config.config import ConfigError

log = logging.getLogger(__name__)

COMMANDS = {
    "generate": ("generate", "draw pictures without the app"),
    "sweep": ("sweep", "draw every combination of LoRAs, strengths, seeds and more, as one grid"),
    "tour": ("tour", "draw every LoRA of the library once, on contact sheets"),
    "nodes": ("nodes", "show what a Ray cluster has to draw with"),
    "list": ("listing", "list the LoRAs of the library"),
    "recipes": ("recipes", "list the saved stacks, and share them as small files"),
    "scan": ("library_scan", "bring the library's index up to date"),
    "hash": ("hashes", "compute and keep the hashes of LoRA files"),
    "dup": ("duplicates", "find LoRA files with the same tensors"),
    "inspect": ("inspect", "tell what a LoRA or model file is, and what it would change"),
    "verify": ("verify", "switch LoRAs and prove that the base model is unchanged"),
    "reproduce": ("reproduce", "draw a picture again, and prove that it is the same"),
    "bake": ("bake", "write a model with its LoRAs as a checkpoint, or the LoRAs as one"),
    "resize": ("resize", "write a LoRA in another rank, and say how far it is off"),
    "audit": ("audit", "show what LoRAs leave in the base weights, here and with diffusers"),
    "bench": ("bench", "measure how fast LoRAs are switched on this machine"),
    "serve": ("serve", "own the model, for screens and scripts that come and go"),
    "status": ("status", "show the hosts that run, and what they are at"),
    "switch": ("switch", "make a stack of LoRAs live on the host that runs"),
    "queue": ("queue", "show what waits to be drawn on the host that runs, and change it"),
    "unload": ("unload", "give a host's GPU memory back; its stack and queue are kept"),
    "doctor": ("doctor", "look at GPU, PyTorch, terminal and folders, and say what to do"),
    "completion": ("completion", "print what a shell needs to complete commands by Tab"),
    "stop": ("stop", "end a host; its stack and queue are there again at the next start"),
}
"""The module of each command, which is imported when it is named, and what it does."""

_DESCRIPTION = """\
SDXL with a library of LoRAs, in a terminal: switch LoRAs on the loaded model
in place and exactly, watch its memory, draw pictures.

Without a command the app opens. Without --model it opens the model of the last
time, or else the embedded demo: a tiny SDXL with LoRAs of its own, which needs
no GPU and no download.
"""

_EPILOG = """\
examples:
  loraswitch                   the app, with the last model or the demo
  loraswitch --model sdxl.safetensors --loras ~/loras
  loraswitch --demo            the demo again
  loraswitch generate "a fox" --lora neon:0.8 --seed 7
  loraswitch list neon         LoRAs with "neon" in name or trigger words
  loraswitch COMMAND --help    options and examples of a command

words that the demo knows (prompts such as
"{example}"):
{words}

files:
  {config}
      remembers --model, --vae, --parts-from, --loras, --embeddings, --models,
      --device, --dtype, --backup, --output and --images of the last time the
      app was started with them, the model last chosen in it, and --prediction
      for each model, for the app and all commands; options given now go first,
      auto undoes a choice
      yours to write: sidecars = "on" also writes notes and strengths into the
      .json beside a LoRA; civitai = "on" lets C ask there; tag_order = "unet, te"
      reads <lora:name:1:0.5> as ComfyUI does; idle_minutes = 60 ends a host that
      nobody needs for so long, 0 never; wildcards = "~/wildcards" and styles =
      "~/styles.csv" are those of generate; [block_weights] holds presets: FACE = "1,0,…";
      [audition] says how pictures are drawn while the cursor moves: steps, size,
      lora (a file for few steps), sampler, cfg_scale, kib_per_second
  {log}
      the log
  ./outputs
      the pictures, unless --output names another folder

{exit_codes}"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code (argparse leaves by `SystemExit` itself)."""
    open_what_is_closed()
    _allow_any_name()
    try:
        with leaving_on_signals():
            words = sys.argv[1:] if argv is None else list(argv)
            args = _parser(words).parse_args(words)
            if args.version:
                print(_versions())
                return 0
            with log_to_file(log_path()):
                code = _run(args)
            sys.stdout.flush()
            return code
    except (UsageError, ConfigError) as error:
        say(str(error))
        return WRONG_USAGE
    except (KeyboardInterrupt, CancelledError):
        say("Cancelled.")
        return CANCELLED
    except EngineError as error:
        say(str(error))
        return FAILED
    except BrokenPipeError:
        drop_output()
        return PIPE_CLOSED
    except OSError as error:
        return refused(error)


def _run(args: argparse.Namespace) -> int:
    """Run a command; a fault of ours goes into the log, and is said in a sentence."""
    try:
        code: int = args.run(args)
    except (UsageError, ConfigError, EngineError, OSError):
        raise
    except Exception as error:
        log.exception("the command failed")
        raise EngineError(unexpected(error)) from error
    return code


def whole_parser() -> argparse.ArgumentParser:
    """The parser of all commands, with all their options."""
    return _parser(COMMANDS)


def _parser(words: Collection[str] = ()) -> argparse.ArgumentParser:
    """The parser of these words: of a command that is not among them it knows the name alone."""
    parser = Parser(
        prog="loraswitch",
        description=_DESCRIPTION,
        epilog=_EPILOG.format(
            config=clean_line(str(config_path())),
            log=clean_line(str(log_path())),
            exit_codes=EXIT_CODES,
            example=vocabulary.EXAMPLES[1],
            words=vocabulary.described(79, indent="  "),
        ),
    )
    parser.set_defaults(run=app.run)
    parser.add_argument("--version", action="store_true", help="show the versions in use and leave")
    add_model_options(parser)
    add_library_option(parser)
    add_embeddings_option(parser)
    add_empty_negative_option(parser)
    add_models_option(parser)
    add_output_option(parser)
    add_images_option(parser)
    add_own_engine_option(parser)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    for name, (module, summary) in COMMANDS.items():
        if name not in words:
            commands.add_parser(name, help=summary)
            continue
        command = import_module(f"tui_loraswitch.commands.{module}")
        subparser = commands.add_parser(
            name,
            help=summary,
            description=command.DESCRIPTION,
            epilog=f"{command.EXAMPLES}\n{EXIT_CODES}",
        )
        subparser.set_defaults(run=command.run, whole_parser=whole_parser)
        command.add_options(subparser)
    return parser


def _versions() -> str:
    used = ", ".join(f"{name} {_version(name)}" for name in ("torch", "diffusers", "textual"))
    return f"loraswitch {VERSION} (Python {platform.python_version()}, {used})"


def _version(package: str) -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _allow_any_name() -> None:
    """Let stdout carry file names that are no valid text: their bytes come out as they are."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        is_utf8 = sys.stdout.encoding.lower().replace("-", "") == "utf8"
        sys.stdout.reconfigure(errors="surrogateescape" if is_utf8 else "backslashreplace")
