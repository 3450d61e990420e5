"""Another place for pictures that their folder did not take: it is full, or gone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import structs

from engine.errors import EngineError
from engine.protocol.commands import Draw, MovePicture
from engine.protocol.events import PictureSaved
from engine.protocol.text import plural
from engine.words.clean import clean_line
from tui_loraswitch.panes.background import in_background

if TYPE_CHECKING:
    from tui_loraswitch.app.app_base import AppBase
    from tui_loraswitch.screens.line import LineScreen

_NAME = "loraswitch-pictures"


class Rescuing:
    """Asks where pictures shall go, moves those there that lie elsewhere for now, and draws on.

    The place that is chosen counts until the app is left.
    """

    def __init__(self, app: AppBase) -> None:
        self._app = app
        self._pictures: list[PictureSaved] = []
        """Those that lie where temporary files go."""
        self._draws: list[Draw] = []
        """Those that were not begun, since there was no folder."""
        self._place: Path | None = None
        self._asks = False
        self._dialog: LineScreen | None = None

    def follow(self, pictures: Sequence[PictureSaved], before: Sequence[PictureSaved]) -> None:
        """Take care of the new pictures that are not in their folder."""
        if pictures is before:
            return
        known = set(before)
        new = [one for one in pictures if one.trouble and one not in known]
        if new:
            self._pictures += new
            self._go_on(new[-1].trouble)
        elif self._dialog is not None:
            self._look_for_moved(pictures)

    def _look_for_moved(self, pictures: Sequence[PictureSaved]) -> None:
        """Ask no longer where another screen has moved them all."""
        there, moved = set(pictures), bool(self._pictures)
        self._pictures = [one for one in self._pictures if one in there]
        is_settled = moved and not self._pictures and not self._draws
        if is_settled and self._dialog is not None and self._dialog.is_current:
            self._dialog.dismiss(None)
            folder = clean_line(str(pictures[-1].path.parent), 200) if pictures else "elsewhere"
            self._app.toast(f"Another screen has moved the pictures: {folder}.", "information")

    async def draw_elsewhere(self, draw: Draw) -> bool:
        """Offer another folder for what was not drawn; False where its own is not to blame."""
        from engine.generate.save import require_folder

        try:
            await in_background(require_folder, draw.request.output)
        except EngineError as error:
            self._draws.append(draw)
            self._go_on(str(error))
            return True
        return False

    def _go_on(self, trouble: str) -> None:
        if self._asks:
            return
        if self._place is None:
            self._ask(trouble)
        else:
            self._use(self._place)

    def _ask(self, trouble: str) -> None:
        from tui_loraswitch.screens.line import LineScreen

        self._asks = True
        hint = f"{trouble} Enter saves in this folder, and what is drawn until you leave."
        place = str(Path.home() / _NAME)
        self._dialog = LineScreen("Another folder for the pictures", place, hint)
        self._app.push_screen(self._dialog, self._take)

    def _take(self, typed: str | None) -> None:
        self._asks, self._dialog = False, None
        if typed is not None and typed.strip():
            self._use(Path(typed.strip()).expanduser().absolute())
            return
        if self._pictures:
            folder = clean_line(str(self._pictures[-1].path.parent), 200)
            words = f"What is drawn lies in {folder}: move it before the machine restarts."
            self._app.toast(words, "warning")
        self._pictures, self._draws = [], []

    def _use(self, folder: Path) -> None:
        self._app.run_worker(self._move_to(folder), name="rescue", group="rescue")

    async def _move_to(self, folder: Path) -> None:
        from engine.gallery.move import move_picture
        from engine.generate.save import require_folder

        control, count = self._app.control, 0
        try:
            await in_background(require_folder, folder)
            while self._pictures:
                path = self._pictures[0].path
                to = await in_background(move_picture, path, folder, control.settings.store_path)
                self._pictures = self._pictures[1:]
                if to is not None:
                    count += 1
                    control.send(MovePicture(path, to))
        except EngineError as error:
            self._place = None
            self._ask(str(error))
            return
        if folder != self._place:
            self._draw_into(folder)
        draws, self._draws = self._draws, []
        for draw in draws:
            request = replace(draw.request, output=folder)
            self._app.control.send(structs.replace(draw, request=request))
        what = f"{plural(count, 'picture')} moved; " if count else ""
        words = f"{what}what is drawn goes to {clean_line(str(folder), 200)} until you leave."
        self._app.toast(words, "information")

    def _draw_into(self, folder: Path) -> None:
        """The gallery shows the folder of before as well."""
        self._place, control = folder, self._app.control
        before = control.settings
        pictures = (*before.pictures, before.output)
        control.settings = structs.replace(before, output=folder, pictures=pictures)
