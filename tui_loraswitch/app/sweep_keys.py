"""Keys that draw many cells: sweeps and tours."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec import structs
from textual import on

from engine.errors import EngineError
from engine.library.entry import LibraryEntry
from engine.library.searching import Found
from engine.protocol.request import GenerateRequest
from engine.protocol.text import plural
from tui_loraswitch.app.app_base import AppBase
from tui_loraswitch.app.dialogs import ask
from tui_loraswitch.config.ui_state import UiState
from tui_loraswitch.panes.background import in_background
from tui_loraswitch.panes.messages import ProblemNoticed, SweepChanged

if TYPE_CHECKING:
    from engine.sweep.drawn import DrawnCells
    from engine.sweep.sweep import Sweep
    from tui_loraswitch.control.cell_task import CellTask, SweepProgress

MOST_WITHOUT_A_QUESTION = 12
"""LoRAs of a tour that is begun at once."""
_MOST_FOLDERS = 10_000


class SweepKeys(AppBase):
    """`W` and `T`: what they draw goes through the queue, so that a lost link loses nothing.

    What depends on the library's size or on the disk is done beside the screen.
    """

    _sweep_seen = True
    """Whether the end of the task was shown."""

    def action_sweep(self) -> None:
        """Show the sweep that is drawn, or the form of a new one."""
        if self.sweep_task is not None and (self.sweep_task.is_running or not self._sweep_seen):
            self._show_sweep()
        else:
            self._prepare(self._open_form())

    def action_tour(self) -> None:
        """Draw what the list shows, once each."""
        if self.sweep_task is not None and self.sweep_task.is_running:
            self._show_sweep()
        else:
            self._prepare(self._ask_for_tour(self.main.library.view.all_found))

    def _prepare(self, work: Coroutine[Any, Any, None]) -> None:
        # Exclusive: the key again begins anew.
        self.run_worker(self.attempt_slow(work), name="sweep", group="sweep", exclusive=True)

    @on(SweepChanged)
    def _follow_sweep(self, message: SweepChanged) -> None:
        from tui_loraswitch.screens.sweep_progress import SweepScreen

        if isinstance(self.screen, SweepScreen):
            self.screen.show_progress(message.progress)
            self._sweep_seen = self.sweep_task is None or not self.sweep_task.is_running
        elif message.progress.state == "done":
            cells = plural(message.progress.drawn, "cell")
            self.toast(f"The sweep is drawn: {cells}. W shows it.", "information")
        elif message.progress.state == "failed":
            self.toast(message.progress.now, "warning", "The sweep has stopped")

    # The form.

    async def _open_form(self) -> None:
        from tui_loraswitch.control.plan_form import count_cells
        from tui_loraswitch.screens.sweep_form import SweepFields, SweepForm

        state = await in_background(self._styled_state)
        choices = self._choices()
        counts = {words: count for words, (count, _) in choices.items()}

        def read(chosen: str, texts: Mapping[str, str]) -> int:
            return count_cells(state, counts[chosen], texts)

        def draw(fields: SweepFields | None) -> None:
            if fields is None:
                return
            count = read(fields.loras, fields.texts)
            plan = partial(self._planned, state, choices[fields.loras][1], fields.texts)
            if fields.on_ray:
                self._begin_on_cluster(count, plan)
            else:
                self._begin_sweep("Sweep", count, plan)

        seed = 1 if state.seed < 0 else state.seed
        has_ray = find_spec("ray") is not None
        self.push_screen(SweepForm(counts, seed, read, has_ray=has_ray), draw)

    def _choices(self) -> dict[str, tuple[int, Callable[[], list[str]]]]:
        """The LoRAs that a sweep may be about, by where they come from: how many, and their names.

        The names of a large library take a while.
        """
        written = self.control.prompt_loras.name_of
        stack, shown = self.control.view.wanted, self.main.library.view.all_found
        highlighted = self.main.library.highlighted
        one = [highlighted.path] if highlighted and highlighted.fits_sdxl else []
        choices: dict[str, tuple[int, Callable[[], list[str]]]] = {
            "those of the stack": (len(stack), lambda: [written(ref.path) for ref in stack]),
            "the highlighted one": (len(one), lambda: list(map(written, one))),
            "what the list shows": (
                shown.usable, lambda: [written(entry.path) for entry in _usable(shown)],
            ),
        }  # fmt: skip
        there = {words: choice for words, choice in choices.items() if choice[0]}
        return there | {"none": (0, list)}

    def _planned(
        self, state: UiState, names_of: Callable[[], list[str]], texts: Mapping[str, str]
    ) -> Sweep:
        from engine.sweep.cells import cells_of
        from engine.sweep.sweep import Sweep
        from tui_loraswitch.control.plan_form import LibraryOfApp, plan_text, read_form

        names = names_of()
        plan = read_form(state, names, texts)
        words = LibraryOfApp(self.control.settings, self.control.prompt_loras)
        cells = cells_of(plan, self._base_request(state), words)
        folder = _new_folder(self.control.settings.output, "sweep")
        _write_plan(folder, plan_text(state, names, texts))
        return Sweep.of_plan(folder, plan, cells)

    # Tours.

    async def _ask_for_tour(self, found: Found) -> None:
        state = await in_background(self._styled_state)
        entries = await in_background(_usable, found)
        if not entries:
            raise EngineError("The list shows no LoRA that can be drawn.")
        folder, request = self.control.settings.output / "tour", self._base_request(state)
        tour = partial(self._toured, folder, request, entries)
        start = partial(self._begin_sweep, "Tour", len(entries), tour)
        if len(entries) <= MOST_WITHOUT_A_QUESTION:
            start()
        else:
            words = f"Draw each of these {len(entries):,} LoRAs once?"
            ask(self, words, {"Draw them": start, "No": lambda: None})

    def _toured(
        self, folder: Path, request: GenerateRequest, entries: Sequence[LibraryEntry]
    ) -> Sweep:
        from engine.library.names import LibraryNames
        from engine.sweep.sweep import Sweep
        from tui_loraswitch.control.plan_form import LibraryOfApp
        from tui_loraswitch.control.tour import tour_cells

        def warn(words: str) -> None:
            self.post_message(ProblemNoticed(words))

        words = LibraryOfApp(self.control.settings, self.control.prompt_loras)
        names = LibraryNames.of(entries)
        cells = tour_cells(entries, names, request, (), words, warn)
        return Sweep.of_tour(folder, request.prompt, cells)

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
        return structs.replace(state, prompt=prompt, negative_prompt=negative)

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

    def _begin_sweep(
        self,
        title: str,
        count: int,
        prepare: Callable[[], Sweep],
        after: Callable[[DrawnCells], object] = lambda cells: None,
    ) -> None:
        from tui_loraswitch.control.sweep_task import SweepTask

        settings = self.control.settings
        self._start_sweep(
            SweepTask(
                title, count, prepare, self.link, settings.index_path, settings.store_path,
                self._tell_sweep, after,
            )
        )  # fmt: skip

    def _begin_on_cluster(self, count: int, prepare: Callable[[], Sweep]) -> None:
        from tui_loraswitch.control.cluster_task import ClusterTask, cluster_words
        from tui_loraswitch.control.load_command import load_command

        model = self.control.view.model
        path = self.control.settings.model if model is None else model.path
        load = load_command(self.control.settings, path)
        words = partial(cluster_words, self.control.settings, load)
        self._start_sweep(ClusterTask("Sweep on Ray", count, prepare, words, self._tell_sweep))

    def _start_sweep(self, task: CellTask) -> None:
        self._sweep_seen = False
        self.sweep_task = task
        task.start()
        self._show_sweep()

    def _tell_sweep(self, progress: SweepProgress) -> None:
        self.post_message(SweepChanged(progress))

    def _show_sweep(self) -> None:
        from tui_loraswitch.screens.sweep_progress import SweepScreen

        task = self.sweep_task
        assert task is not None, "there is one to show"

        def go_on() -> None:
            if self.sweep_task is not None and not self.sweep_task.is_running:
                self._restart(self.sweep_task)

        def new() -> None:
            if self.sweep_task is None or not self.sweep_task.is_running:
                self._sweep_seen = True
                self.action_sweep()

        self._sweep_seen = not task.is_running
        area = self.main.picture.another_area
        self.push_screen(SweepScreen(area, task.title, task.progress, task.stop, go_on, new))

    def _restart(self, task: CellTask) -> None:
        from tui_loraswitch.screens.sweep_progress import SweepScreen

        if isinstance(self.screen, SweepScreen):
            self.pop_screen()
        self._start_sweep(task.again())


def _usable(found: Found) -> list[LibraryEntry]:
    """What can be drawn of what the list shows; each is read whole."""
    return [entry for entry in found.entries if entry.fits_sdxl]


def _write_plan(folder: Path, text: str) -> None:
    from engine.files.saving import in_words, replace_file

    try:
        replace_file(folder / "plan.toml", text.encode("utf-8", "replace"))
    except OSError as error:
        raise EngineError(f"{folder}: nothing can be written there ({in_words(error)}).") from error


def _new_folder(output: Path, name: str) -> Path:
    """A folder that is not there yet: `sweep-1`, `sweep-2`, …"""
    numbers = (output / f"{name}-{number}" for number in range(1, _MOST_FOLDERS))
    return next((folder for folder in numbers if not folder.exists()), output / name)
