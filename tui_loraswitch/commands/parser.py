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
        self._late: dict[str, object] = {}
        super().__init__(formatter_class=layout, allow_abbrev=False, **options)  # type: ignore[arg-type]

    def error(self, message: str) -> NoReturn:
        """Say how the command is used and what is wrong, and leave."""
        super().error(clean_line(message, _MAX_MESSAGE))

    def tell_given(self) -> None:
        """Have `given` say which of the options declared so far were given, whatever their values.

        Those that were not have their defaults all the same.
        """
        for action in self._actions:
            if action.default is argparse.SUPPRESS:
                continue
            self._late[action.dest] = action.default
            if action.help is not None and "%(default)" in action.help:
                # With what it says of the default, which the action has no longer.
                action.help = (action.help % vars(action)).replace("%", "%%")
            action.default = argparse.SUPPRESS

    def parse_known_args(self, args=None, namespace=None):  # type: ignore[no-untyped-def]
        """As ever; what was not given gets its default when all is read."""
        found, rest = super().parse_known_args(args, namespace)
        if self._late:
            found.given = frozenset(name for name in self._late if hasattr(found, name))
            for name, default in self._late.items():
                if not hasattr(found, name):
                    setattr(found, name, list(default) if isinstance(default, list) else default)
        return found, rest
