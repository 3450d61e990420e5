"""The look of dialogs that are a line to type in over a list."""

from __future__ import annotations

from typing import TypeVar

from textual.screen import ModalScreen

WIDTH = 76

Result = TypeVar("Result")


class ListDialog(ModalScreen[Result]):
    """A frame in the middle, with an `Input` and an `OptionList` that lie flat in it."""

    DEFAULT_CSS = f"""
    ListDialog {{
        align: center middle;
        & > Vertical {{
            width: {WIDTH}; max-width: 100%; height: auto; max-height: 100%; padding: 0 2;
            background: $background; border: round $border;
            border-title-color: $primary; border-title-style: bold;
            border-subtitle-color: $text-muted;
        }}
        & Input, & Input:focus {{ border: none; height: 1; padding: 0; background: $background; }}
        & Input:focus {{ background: $surface; }}
        & OptionList, & OptionList:focus {{
            border: none; padding: 0; height: auto;
            background: $background; scrollbar-size-vertical: 1;
            & > .option-list--option-highlighted {{ background: $primary 28%; text-style: bold; }}
            & > .option-list--option {{ padding: 0; }}
        }}
    }}
    """
