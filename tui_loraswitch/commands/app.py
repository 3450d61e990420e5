"""The app: `loraswitch` without a subcommand."""

from __future__ import annotations

import argparse
import gc
import logging
import os
import sys
from functools import partial
from typing import TYPE_CHECKING

from engine.files.saving import in_words
from tui_loraswitch.commands.attach import attach_to_host, connected
from tui_loraswitch.commands.hosts import place_for
from tui_loraswitch.commands.options import given_options, settings_from
from tui_loraswitch.commands.outcome import OK, UsageError, end_process, say, unexpected
from tui_loraswitch.commands.places import config_path
from tui_loraswitch.config.config import remember
from tui_loraswitch.config.settings import AppSettings

if TYPE_CHECKING:
    from tui_loraswitch.app.app import LoraSwitchApp
    from tui_loraswitch.images.terminal import TerminalImages

log = logging.getLogger(__name__)

_SWITCH_INTERVAL = 0.0005
"""Seconds after which a thread lets another run: importing torch beside the screen would stall it
about three times as long with Python's own 0.005."""

_GARBAGE_THRESHOLD = 10_000
"""Objects made between two looks for garbage, which take long with torch in the same process;
Python's own 700 are made for every frame."""

_TEXTUAL_ENVIRONMENT = {"TEXTUAL_FPS": "30", "TEXTUAL_SMOOTH_SCROLL": "0"}
"""Every frame is bytes over SSH."""


def run(args: argparse.Namespace) -> int:
    """Open the app and remember what it was opened with."""
    settings = settings_from(args)
    # Of a closed stdin there is no stream at all.
    if not all(stream and stream.isatty() for stream in (sys.stdin, sys.stdout, sys.stderr)):
        raise UsageError(
            "The app needs a terminal for input and output (over ssh: ssh -t). "
            "“loraswitch generate” draws without one."
        )
    is_demo = getattr(args, "demo", False)
    if not is_demo:
        _remember(args, settings)
    if settings.own_engine:
        sys.setswitchinterval(_SWITCH_INTERVAL)
        gc.set_threshold(_GARBAGE_THRESHOLD, *gc.get_threshold()[1:])

    # Looking for garbage among all that is imported would hold the first frame.
    gc.disable()
    from tui_loraswitch.images.terminal import detect_image_protocol

    app = build_app(settings, detect_image_protocol(settings.image_protocol))
    gc.freeze()
    gc.enable()
    app.run()
    code = app.return_code or OK
    if app.signal is not None:
        code = 128 + app.signal
    elif app.fault is not None:
        say(unexpected(app.fault))
    # After a quit the engine had its time to end; after a fault of the app it gets none.
    if not (app.engine_stopped or app.stop_engine(timeout=0)):
        end_process(code)
    return code


def build_app(settings: AppSettings, images: TerminalImages | None = None) -> LoraSwitchApp:
    """Make the app with Textual set up for a slow link; torch is not imported."""
    for name, value in _TEXTUAL_ENVIRONMENT.items():
        os.environ.setdefault(name, value)

    from tui_loraswitch.app.app import LoraSwitchApp

    if settings.own_engine:
        return LoraSwitchApp(settings, partial(connected, None), images)
    place = place_for(settings.device)
    return LoraSwitchApp(settings, partial(attach_to_host, place, settings), images, place)


def _remember(args: argparse.Namespace, settings: AppSettings) -> None:
    given = given_options(args)
    if getattr(args, "prediction", None) is not None:
        given["predictions"] = settings.remembered_predictions
    try:
        remember(config_path(), given)
    except (OSError, ValueError) as error:
        log.warning("%s cannot be written: %s", config_path(), error)
        say(f"The choice cannot be remembered in {config_path()}: {in_words(error)}.")
