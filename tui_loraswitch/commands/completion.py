"""`loraswitch completion`: what a shell needs to complete commands and options by Tab."""

from __future__ import annotations

import argparse

from tui_loraswitch.commands.outcome import OK

DESCRIPTION = """\
Print a script with which the shell completes commands and options by Tab. It is
made once and read by the shell at its start; make it again after an update.
"""

EXAMPLES = """\
examples:
  loraswitch completion bash > ~/.local/share/bash-completion/completions/loraswitch
  loraswitch completion zsh > ~/.zfunc/_loraswitch     with fpath+=~/.zfunc in ~/.zshrc
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("shell", choices=("bash", "zsh", "tcsh"), help="the shell")


def run(args: argparse.Namespace) -> int:
    """Print the script."""
    import shtab

    print(shtab.complete(args.whole_parser(), args.shell))
    return OK
