"""Changes of the prompt and the settings, as `u` takes them back."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from msgspec import structs

if TYPE_CHECKING:
    from tui_loraswitch.app.app_base import AppBase
    from tui_loraswitch.config.ui_state import UiState


def note_state(app: AppBase, words: str, before: UiState) -> None:
    """Prompt and settings were others before: what of them has changed can be taken back."""
    if former := _changed(app, before):
        app.undo.add(words, partial(_have_again, app, former))


def note_state_and_stack(app: AppBase, words: str, before: UiState) -> None:
    """The same where the stack was changed as well just now: one key takes both back."""
    app.undo.widen(words, partial(_have_again, app, _changed(app, before)))


def _changed(app: AppBase, before: UiState) -> Mapping[str, Any]:
    """The fields that are others now, as they were."""
    now = app.control.state
    values = structs.asdict(before)
    return {name: value for name, value in values.items() if value != getattr(now, name)}


def _have_again(app: AppBase, former: Mapping[str, Any]) -> None:
    app.control.state = structs.replace(app.control.state, **former)
    app.control.share_draft()
    app.show_state(is_other=True)
