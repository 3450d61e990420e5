"""Ctrl+C: explained, and an offer to cancel what goes on."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from engine.protocol.text import plural
from tui_loraswitch.app.app_base import AppBase
from tui_loraswitch.app.dialogs import ask


def ask_what_to_end(app: AppBase) -> None:
    """Say what Ctrl+C does not do here, and offer what it might be meant for."""
    view = app.control.view
    cancel = partial(app.attempt, app.control.cancel)
    answers: dict[str, Callable[[], object]] = {}
    if view.working == "load":
        answers["cancel loading (x)"] = cancel
    elif view.jobs:
        answers[f"cancel {plural(len(view.jobs), 'picture')} (x)"] = cancel
    if not answers:
        app.toast("Ctrl+C ends nothing here: q leaves, x cancels what is drawn.", "information")
        return
    answers["leave the app (q)"] = partial(app.run_action, "quit")
    answers["go on"] = lambda: None
    ask(app, "Ctrl+C ends nothing by itself here. What is it to end?", answers)
