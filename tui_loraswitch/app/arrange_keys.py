"""Keys that mark, rename, move and delete files of the library."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from engine.errors import EngineError
from engine.protocol.text import plural
from engine.words.clean import clean_line
from tui_loraswitch.app.app_base import AppBase
from tui_loraswitch.panes.background import in_background

if TYPE_CHECKING:
    from engine.library.arrange import Moved

_ENDING = ".safetensors"


class ArrangeKeys(AppBase):
    """What is done to files is confirmed, and can be undone until the app is left."""

    def action_mark(self) -> None:
        """Mark the row under the cursor, or take its mark away."""
        self.main.library.toggle_mark()

    def action_rename(self) -> None:
        """Write another name, or another folder and name, for the LoRA under the cursor."""
        from tui_loraswitch.screens.line import LineScreen

        entry = self.main.library.highlighted
        if entry is None:
            return

        def take(typed: str | None) -> None:
            if typed is None or not typed.strip("/ "):
                return
            target = entry.root / f"{typed.strip('/ ').removesuffix(_ENDING)}{_ENDING}"
            if not target.resolve().is_relative_to(entry.root.resolve()):
                self.toast("A LoRA stays in its library folder.", "warning")
                return
            rename = partial(_rename_all, [(entry.path, target)])
            self._arrange(f"renaming {entry.name}", rename, is_renamed=True)

        hint = "A folder before the name moves it; what lies beside the file goes with it."
        self.push_screen(LineScreen(f"Rename {entry.name}", entry.key[: -len(_ENDING)], hint), take)

    def action_delete(self) -> None:
        """Delete the marked LoRAs, else the one under the cursor, once that is confirmed."""
        from tui_loraswitch.app.dialogs import ask

        entries = self.main.library.marked_or_highlighted
        if not entries:
            return
        paths = [entry.path for entry in entries]
        what = clean_line(entries[0].name, 30) if len(entries) == 1 else plural(len(paths), "LoRA")
        words = f"Delete {what}, with sidecars and previews?"
        go = partial(self._arrange, f"deleting {what}", partial(self._set_aside, paths))
        ask(self, words, {"Delete (u brings it back until you leave)": go, "Keep": lambda: None})

    def _set_aside(self, paths: list[Path]) -> list[Moved]:
        from engine.library.arrange import set_aside

        moved: list[Moved] = []
        try:
            for path in paths:
                self.services.aside.note(path)
                moved.append(set_aside(path))
        except EngineError:
            _undo_all(moved)
            raise
        return moved

    def _arrange(
        self, words: str, work: Callable[[], list[Moved]], *, is_renamed: bool = False
    ) -> None:
        self.run_worker(self._do(words, work, is_renamed), name="arrange", group="arrange")

    async def _do(self, words: str, work: Callable[[], list[Moved]], is_renamed: bool) -> None:
        try:
            moved = await in_background(work)
        except EngineError as error:
            self.toast(str(error), "warning")
            return
        self.main.library.clear_marks()
        self.undo.add(words, partial(self._undo, moved))
        self.services.look_at_disk(lambda: None)
        if is_renamed:
            self._follow({old: new for one in moved for old, new in one.pairs})
            self.toast(f"Done: {words}. u takes it back.", "information")

    async def _undo(self, moved: list[Moved]) -> None:
        back = {new: old for one in moved for old, new in one.pairs}
        try:
            await in_background(_undo_all, moved)
        finally:
            self.services.look_at_disk(lambda: None)
        self._follow(back)

    def _follow(self, renamed: Mapping[Path, Path]) -> None:
        """A LoRA of the stack is live under its new name."""
        stack = self.control.view.wanted
        now = tuple(replace(ref, path=renamed.get(ref.path, ref.path)) for ref in stack)
        if now != stack:
            self.attempt(partial(self.control.set_stack, now))


def _rename_all(pairs: list[tuple[Path, Path]]) -> list[Moved]:
    from engine.library.arrange import rename

    moved: list[Moved] = []
    try:
        for old, new in pairs:
            moved.append(rename(old, new))
    except EngineError:
        _undo_all(moved)
        raise
    return moved


def _undo_all(moved: list[Moved]) -> None:
    """The last first; those taken back are no longer in the list."""
    while moved:
        moved[-1].undo()
        moved.pop()
