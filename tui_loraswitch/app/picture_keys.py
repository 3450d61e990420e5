"""Keys about pictures that are there: the gallery, copying, using one again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from textual import work

from engine.errors import EngineError
from engine.protocol.request import GenerateRequest
from tui_loraswitch.app.app_base import AppBase
from tui_loraswitch.app.clipboard import copied_words
from tui_loraswitch.app.dialogs import ask
from tui_loraswitch.app.state_undo import note_state_and_stack
from tui_loraswitch.panes.background import in_background

if TYPE_CHECKING:
    from tui_loraswitch.control.caption import Caption
    from tui_loraswitch.control.use_again import Again, Found


class PictureKeys(AppBase):
    """Acts on the picture that is shown, or on the one chosen in the gallery.

    What reads pictures is imported at the first of these keys, so that the first frame is not late.
    """

    def action_gallery(self) -> None:
        """Show all pictures."""
        from engine.gallery.thumbnails import Thumbnails
        from tui_loraswitch.screens.gallery.records import GalleryRecords
        from tui_loraswitch.screens.gallery.screen import GalleryScreen

        if self.screen is not self.main:
            return
        settings = self.control.settings
        records = GalleryRecords(settings.store_path, (settings.output, *settings.pictures))
        thumbnails = Thumbnails(settings.thumbnails_path)
        area = self.main.picture.another_area
        self.push_screen(GalleryScreen(records, thumbnails, self, area))

    def action_copy(self) -> None:
        """Copy something of the picture that is shown."""
        if (path := self._shown) is not None:
            self.copy_of(path)

    def action_use_again(self) -> None:
        """Load prompt, settings and stack of the picture that is shown."""
        if (path := self._shown) is not None:
            self.use_again(path)

    @property
    def _shown(self) -> Path | None:
        path = self.main.picture.shown_file
        if path is None:
            self.toast("No picture is shown: g draws one, P shows those of before.", "warning")
        return path

    @work(exclusive=True, group="copy")
    async def copy_of(self, path: Path) -> None:
        """Offer prompt, infotext and path of a picture."""
        from tui_loraswitch.control.caption import Caption, caption_of

        try:
            caption = await in_background(caption_of, path)
        except EngineError as error:
            self.toast(str(error), "warning")
            caption = Caption()
        texts = _copyable(caption, path)
        ask(self, "Copy", {name: partial(self._copy, name, text) for name, text in texts.items()})

    def _copy(self, name: str, text: str) -> None:
        self.copy_to_clipboard(text)
        self.toast(f"{name} {copied_words()}.", "information")

    @work(exclusive=True, group="tell")
    async def tell_of(self, path: Path) -> None:
        """Show all that a picture's file says of how it was made."""
        from tui_loraswitch.control.caption import caption_of
        from tui_loraswitch.screens.text import TextScreen

        try:
            caption = await in_background(caption_of, path)
        except EngineError as error:
            self.toast(str(error), "warning")
            return
        text = caption.infotext or "The file does not say how it was made."
        self.push_screen(TextScreen(path.name, text, partial(self._copy, "Infotext", text)))

    @work(exclusive=True, group="use-again")
    async def use_again(self, path: Path, draw: bool = False) -> None:
        """Take over what a picture was drawn with; `draw` it with a new seed."""
        from engine.generate.picture_said import read_picture
        from tui_loraswitch.control.use_again import again_of, find_members

        settings, state = self.control.settings, self.control.state
        defaults = state.request(settings.output)
        by_name = self.control.prompt_loras.named

        def read() -> tuple[Again, Found]:
            again = again_of(
                read_picture(path), defaults, settings.block_weights, settings.tag_order
            )
            return again, find_members(again, by_name, settings.index_path)

        try:
            again, found = await in_background(read)
        except EngineError as error:
            self.toast(str(error), "warning")
            return
        for note in found.notes:
            self.warn(note)
        take = partial(self._take, again.request, found, draw)
        if not found.missing:
            take()
            return
        words = f"Not here: {found.missing_words}"
        ask(self, words, {"Go on without": take, "Change nothing": lambda: None})

    def _take(self, request: GenerateRequest, found: Found, draw: bool) -> None:
        request, before = replace(request, batch=1), self.control.state
        if not self.attempt(partial(self.control.use_again, request, found.stack)):
            return
        note_state_and_stack(self, "taking over a picture's prompt, settings and stack", before)
        self.control.share_draft()
        self.show_state(is_other=True)
        if draw and self.attempt(partial(self.control.generate, new_seed=True)):
            self.toast("A picture like it waits to be drawn, with a new seed.", "information")
            self.show_state(is_other=True)
        elif not draw:
            words = "Prompt, settings and stack are those of the picture: g draws, u takes back."
            self.toast(words, "information")


def _copyable(caption: Caption, path: Path) -> Mapping[str, str]:
    texts = {
        "Prompt": caption.prompt,
        "Negative prompt": caption.negative_prompt,
        "Infotext": caption.infotext,
        "Path": str(path),
    }
    return {name: text for name, text in texts.items() if text}
