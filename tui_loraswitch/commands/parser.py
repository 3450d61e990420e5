"""The parser of all commands: what it quotes of the words given cannot act on the terminal."""

from __future__ import annotations

import argparse
from typing import NoReturn

from engine.words.clean import clean_line

_MAX_MESSAGE = 2000


class Parser(argparse.ArgumentParser):
    """With help in its own layout, and no guessing of options that are cut short."""

    def __init__(self, **options: object) -> None:
        layout = argparse.RawDescriptionHelpFormatter
        super().__init__(formatter_class=layout, allow_abbrev=False, **options)  # type: ignore[arg-type]

    def error(self, message: str) -> NoReturn:
        """Say how the command is used and what is wrong, and leave."""
        super().error(clean_line(message, _MAX_MESSAGE))
