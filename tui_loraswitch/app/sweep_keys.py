"""Keys that draw many cells: sweeps and tours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from textual import on

from engine.errors import EngineError
from engine.library.entry import LibraryEntry
from engine.protocol.request import GenerateRequest
from engine.protocol.text import plural
from tui_loraswitch.app.app_base import AppBase
from tui_loraswitch.app.dialogs import ask
from tui_loraswitch.config.ui_state import UiState
from tui_loraswitch.panes.messages import SweepChanged

if TYPE_CHECKING:
    from engine.sweep.sweep import Sweep
    from tui_loraswitch.control.sweep_task import SweepProgress, SweepTask

MOST_WITHOUT_A_QUESTION = 12
"""LoRAs of a tour that is begun at once."""
_MOST_FOLDERS = 10_000


class SweepKeys(AppBase):
    """`W` and `T`: what they draw goes through the queue, so that a lost link loses nothing."""

    _sweep: SweepTask | None = None
    _sweep_seen = True
    """Whether the end of the task was shown."""

    def action_sweep(self) -> None:
        """Show the sweep that is drawn, or the form of a new one."""
        if self._sweep is not None and (self._sweep.is_running or not self._sweep_seen):
            self._show_sweep()
        else:
            self.attempt(self._open_form)

    def action_tour(self) -> None:
        """Draw what the list shows, once each."""
        if self._sweep is not None and self._sweep.is_running:
            self._show_sweep()
            return
        entries = [entry for entry in self.main.library.view.entries if entry.fits_sdxl]
        start = partial(self.attempt, partial(self._start_tour, entries))
        if len(entries) <= MOST_WITHOUT_A_QUESTION:
            start()
        else:
            words = f"Draw each of these {len(entries):,} LoRAs once?"
            ask(self, words, {"Draw them": start, "No": lambda: None})

    @on(SweepChanged)
    def _follow_sweep(self, message: SweepChanged) -> None:
        from tui_loraswitch.screens.sweep_progress import SweepScreen

        if isinstance(self.screen, SweepScreen):
            self.screen.show_progress(message.progress)
            self._sweep_seen = self._sweep is None or not self._sweep.is_running
        elif message.progress.state == "done":
            cells = plural(message.progress.drawn, "cell")
            self.toast(f"The sweep is drawn: {cells}. W shows it.", "information")
        elif message.progress.state == "failed":
            self.toast(message.progress.now, "warning", "The sweep has stopped")

    # The form.

    def _open_form(self) -> None:
        from tui_loraswitch.control.plan_form import LibraryOfApp, plan_text, read_form
        from tui_loraswitch.screens.sweep_form import SweepForm

        state = self._styled_state()
        words = LibraryOfApp(self.control.settings, self.control.prompt_loras)

        def read(names: Sequence[str], texts: Mapping[str, str]) -> int:
            return read_form(state, names, texts).count

        def draw(fields: tuple[tuple[str, ...], dict[str, str]] | None) -> None:
            if fields is not None:
                self.attempt(partial(start, *fields))

        def start(names: Sequence[str], texts: Mapping[str, str]) -> None:
            from engine.sweep.cells import cells_of
            from engine.sweep.sweep import Sweep

            plan = read_form(state, names, texts)
            if plan.filter is not None:
                raise EngineError("Filter the list with / and choose what it shows.")
            cells = cells_of(plan, self._base_request(state), words)
            folder = _new_folder(self.control.settings.output, "sweep")
            self._write_plan(folder, plan_text(state, names, texts))
            self._begin_sweep(Sweep.of_plan(folder, plan, cells))

        seed = 1 if state.seed < 0 else state.seed
        self.push_screen(SweepForm(self._choices(), seed, read), draw)

    def _choices(self) -> dict[str, list[str]]:
        """The LoRAs that a sweep may be about, by where they come from."""
        written = self.control.prompt_loras.name_of
        stack = [written(ref.path) for ref in self.control.view.wanted]
        shown = [written(e.path) for e in self.main.library.view.entries if e.fits_sdxl]
        highlighted = self.main.library.highlighted
        one = [written(highlighted.path)] if highlighted and highlighted.fits_sdxl else []
        choices = {"those of the stack": stack, "the highlighted one": one}
        choices["what the list shows"] = shown
        return {words: names for words, names in choices.items() if names} | {"none": []}

    def _write_plan(self, folder: Path, text: str) -> None:
        from engine.files.saving import in_words, replace_file

        try:
            replace_file(folder / "plan.toml", text.encode("utf-8", "replace"))
        except OSError as error:
            raise EngineError(
                f"{folder}: nothing can be written there ({in_words(error)})."
            ) from error

    # Tours.

    def _start_tour(self, entries: Sequence[LibraryEntry]) -> None:
        from engine.library.names import LibraryNames
        from engine.sweep.sweep import Sweep
        from tui_loraswitch.control.plan_form import LibraryOfApp
        from tui_loraswitch.control.tour import tour_cells

        if not entries:
            raise EngineError("The list shows no LoRA that can be drawn.")
        state, settings = self._styled_state(), self.control.settings
        words = LibraryOfApp(settings, self.control.prompt_loras)
        cells = tour_cells(
            entries, LibraryNames.of(entries), self._base_request(state), (), words, self.warn
        )
        self._begin_sweep(Sweep.of_tour(settings.output / "tour", state.prompt, cells))

    # What is drawn.

    def _styled_state(self) -> UiState:
        """The state with its prompts in the styles that are chosen; raises `EngineError`."""
        from tui_loraswitch.control.resolving import Resolving

        state = self.control.state
        if not state.prompt.strip():
            raise EngineError("The prompt is empty: write what the pictures shall show.")
        names = [name for name in map(str.strip, state.styles.split(",")) if name]
        resolving = Resolving(self.control.settings)
        prompt, negative = resolving.styled(state.prompt, state.negative_prompt, names)
        return replace(state, prompt=prompt, negative_prompt=negative)

    def _base_request(self, state: UiState) -> GenerateRequest:
        settings = self.control.settings
        request = state.request(settings.output)
        return replace(
            request,
            seed=1 if request.seed < 0 else request.seed,
            batch=1,
            # They would be the bulk of what is sent.
            preview_every=0,
            embeddings=settings.embeddings,
        )

    def _begin_sweep(self, sweep: Sweep) -> None:
        from tui_loraswitch.control.sweep_task import SweepTask

        def tell(progress: SweepProgress) -> None:
            self.post_message(SweepChanged(progress))

        self._sweep_seen = False
        settings = self.control.settings
        self._sweep = SweepTask(sweep, self.link, settings.index_path, settings.store_path, tell)
        self._sweep.start()
        self._show_sweep()

    def _show_sweep(self) -> None:
        from tui_loraswitch.screens.sweep_progress import SweepScreen

        task = self._sweep
        assert task is not None, "there is one to show"

        def go_on() -> None:
            if self._sweep is not None and not self._sweep.is_running:
                self._restart(self._sweep.sweep)

        def new() -> None:
            if self._sweep is None or not self._sweep.is_running:
                self._sweep_seen = True
                self.action_sweep()

        title = f"{'Tour' if task.sweep.sheet == 'sheet' else 'Sweep'} · {task.sweep.folder.name}"
        self._sweep_seen = not task.is_running
        self.push_screen(SweepScreen(title, task.progress, task.stop, go_on, new))

    def _restart(self, sweep: Sweep) -> None:
        from tui_loraswitch.screens.sweep_progress import SweepScreen

        if isinstance(self.screen, SweepScreen):
            self.pop_screen()
        self._begin_sweep(sweep)


def _new_folder(output: Path, name: str) -> Path:
    """A folder that is not there yet: `sweep-1`, `sweep-2`, …"""
    numbers = (output / f"{name}-{number}" for number in range(1, _MOST_FOLDERS))
    return next((folder for folder in numbers if not folder.exists()), output / name)
