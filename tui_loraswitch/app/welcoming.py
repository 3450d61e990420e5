"""The first start: offers what is found in the usual places, and opens what is chosen."""

from __future__ import annotations

import threading
from functools import partial
from pathlib import Path

from msgspec import structs

from engine.protocol.text import gib
from engine.words.clean import clean_line
from tui_loraswitch.app.app_base import AppBase
from tui_loraswitch.panes.background import in_background

DEMO_TOUR = (
    "the demo in five keys: Enter switches to the LoRA under the cursor · g draws · "
    "Space stacks a second one · 0 is the base again · v proves it. p shows the words it knows."
)


def is_first_start(app: AppBase) -> bool:
    """Whether nobody has said yet what to open."""
    return app.control.settings.is_first_start and not app.control.state.welcomed


def welcome(app: AppBase) -> None:
    """Ask what to open; the demo is being loaded meanwhile."""
    from tui_loraswitch.control.first_models import FirstModel, find_first_models
    from tui_loraswitch.screens.welcome import Welcomed, WelcomeScreen

    screen, closed = WelcomeScreen(), threading.Event()
    found: list[FirstModel] = []

    def show(is_complete: bool) -> None:
        if screen.is_attached:
            screen.show_found(sorted(found, key=lambda one: one.model.name.casefold()), is_complete)

    def note(model: FirstModel) -> None:
        found.append(model)
        app.call_from_thread(show, False)

    async def look() -> None:
        screen.show_machine(await in_background(_machine_words))
        screen.show_found([], is_complete=False)
        try:
            here = Path.cwd()
            await in_background(find_first_models, Path.home(), here, note, closed.is_set)
        except (OSError, RuntimeError) as error:
            app.warn(f"the usual places cannot be looked into: {error}")
        show(is_complete=True)

    def take(chosen: Welcomed | None) -> None:
        closed.set()
        app.control.state = structs.replace(app.control.state, welcomed=True)
        if chosen in (None, Welcomed()):
            app.toast(DEMO_TOUR, "information")
        elif chosen is not None:
            _open(app, chosen.model, chosen.loras, chosen.models, chosen.embeddings)

    app.push_screen(screen, take)
    app.run_worker(look(), exit_on_error=False)


def _open(
    app: AppBase,
    model: Path | None,
    loras: tuple[Path, ...],
    models: tuple[Path, ...],
    embeddings: tuple[Path, ...],
) -> None:
    settings = app.control.settings
    app.control.settings = structs.replace(
        settings,
        models=(*settings.models, *models),
        embeddings=(*settings.embeddings, *embeddings),
    )
    for option, folders in (("loras", loras), ("models", models), ("embeddings", embeddings)):
        if folders:
            app.services.remember(option, folders)
    app.services.add_folders(loras, models)
    if model is not None:
        app.attempt(partial(app.control.load, model))
    else:
        app.call_later(app.run_action, "models")


def _machine_words() -> str:
    """The GPU in a line, or why there is none."""
    from engine.monitor.nvml import Nvml

    nvml = Nvml()
    reading = nvml.read()
    nvml.close()
    if reading is None:
        return f"{nvml.note or 'no GPU'}: pictures of full-size SDXL take minutes on the CPU"
    total = f" with {gib(reading.memory_total)} GiB" if reading.memory_total else ""
    return f"{clean_line(reading.name)}{total}"
