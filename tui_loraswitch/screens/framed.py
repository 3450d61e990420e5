"""The frame of a dialog, with keys in its lower edge."""

from __future__ import annotations

from textual.containers import Vertical

_CORNERS = 6
_BETWEEN = " · "


class Framed(Vertical):
    """Where not all keys fit, the first are left out: how to apply and to leave come last."""

    def __init__(self, keys: str) -> None:
        super().__init__()
        self._keys = keys
        self.border_subtitle = keys

    def on_resize(self) -> None:
        """Show those that fit; the first frame, painted before this, has all."""
        self.show_keys(self._keys)

    def show_keys(self, keys: str) -> None:
        """Show keys, with ` · ` between them."""
        self._keys = keys
        self.border_subtitle = fitting(keys, self.outer_size.width - _CORNERS)


def fitting(keys: str, width: int) -> str:
    """The last of the keys, as many as fit."""
    while len(keys) > width and _BETWEEN in keys:
        keys = keys.partition(_BETWEEN)[2]
    return keys
