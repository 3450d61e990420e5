"""`loraswitch resize`: a LoRA in another rank, and how far it is off."""

from __future__ import annotations

import argparse

from tui_loraswitch.commands.bake import bake, rank
from tui_loraswitch.commands.lora_names import Library, parse_wanted
from tui_loraswitch.commands.options import add_library_option, add_model_options, settings_from
from tui_loraswitch.config.config import expanded

DESCRIPTION = """\
Write a LoRA, of whichever kind (LoRA, LoHa, LoKr, DoRA and more), as a plain
LoRA of a chosen rank: the largest singular values of each change are kept, and
it is said how far each module and the whole is off. Modules that the model does
not have are left out. A strength is baked in: neon:0.8 at 1 is neon at 0.8.
"""

EXAMPLES = """\
examples:
  loraswitch resize neon --rank 16 neon_r16.safetensors
  loraswitch resize big.safetensors --rank 8 small.safetensors --json |
    jq .relative_error
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "lora", metavar="LORA", type=parse_wanted, help="a LoRA of the library, or a file"
    )
    parser.add_argument("file", metavar="FILE", type=expanded, help="the file to be written")
    parser.add_argument("--rank", type=rank, metavar="N", required=True, help="the rank it gets")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    add_library_option(parser)
    add_model_options(parser)


def run(args: argparse.Namespace) -> int:
    """Resize, and say what was written."""
    settings = settings_from(args)
    library = Library(settings.loras, settings.index_path)
    stack = library.resolve([args.lora], settings.block_weights)
    return bake(args.file, stack, args.rank, settings, as_json=args.json)
