"""The key that draws previews: one small picture for each marked LoRA, put beside its file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from textual import on

from engine.errors import EngineError
from engine.library.entry import LibraryEntry
from engine.protocol.text import plural
from tui_loraswitch.app.sweep_keys import SweepKeys
from tui_loraswitch.panes.background import in_background
from tui_loraswitch.panes.messages import PreviewsWritten, ProblemNoticed

if TYPE_CHECKING:
    from engine.files.file_version import FileVersion
    from engine.sweep.drawn import DrawnCells


class PreviewKeys(SweepKeys):
    """`V`: a tour of the marked LoRAs whose pictures become their previews."""

    def action_previews(self) -> None:
        """Draw what has no preview yet, of the marked LoRAs or the one under the cursor."""
        if self.sweep_task is not None and self.sweep_task.is_running:
            self._show_sweep()
        else:
            self._prepare(self._draw_previews(self.main.library.marked_or_highlighted))

    async def _draw_previews(self, entries: Sequence[LibraryEntry]) -> None:
        from tui_loraswitch.control.audition import smaller

        usable = [entry for entry in entries if entry.fits_sdxl]
        without = [entry for entry in usable if not entry.previews]
        if not without:
            why = "has a preview already" if usable else "can be drawn with SDXL"
            raise EngineError(f"{'Each' if usable else 'None'} of these LoRAs {why}.")
        model = self.control.view.model
        if model is None:
            raise EngineError("No model is loaded that could draw previews.")
        state = await in_background(self._styled_state)
        request = self._base_request(state)
        # Small, but a model draws nothing sensible far below its own size.
        longest = 3 * model.default_size // 4
        width, height = smaller(request, longest, model.default_size)
        request = replace(request, width=width, height=height, shape="", hires=None)
        folder = self.control.settings.output / "previews"
        self.main.library.clear_marks()
        self._begin_sweep(
            "Previews",
            len(without),
            partial(self._toured, folder, request, without),
            partial(self._write_previews, without),
        )
        if left := len(entries) - len(without):
            self.warn(f"{plural(left, 'LoRA')} left out: with a preview, or not for SDXL.")

    def _write_previews(self, entries: Sequence[LibraryEntry], cells: DrawnCells) -> None:
        from engine.sweep.previews import write_previews

        def warn(words: str) -> None:
            self.post_message(ProblemNoticed(words))

        if written := write_previews(cells, [entry.path for entry in entries], warn):
            self.post_message(PreviewsWritten(written))

    @on(PreviewsWritten)
    def _note_previews(self, message: PreviewsWritten) -> None:
        words = f"drawing {plural(len(message.previews), 'preview')}"
        self.undo.add(words, partial(self._remove_previews, message.previews))

    async def _remove_previews(self, previews: Mapping[Path, FileVersion]) -> None:
        from engine.sweep.previews import remove_previews

        try:
            await in_background(remove_previews, previews)
        finally:
            self.services.look_at_disk(lambda: None)
