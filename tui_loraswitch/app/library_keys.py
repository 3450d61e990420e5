"""Keys for the user's own words about the LoRA under the cursor."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import structs

from engine.errors import EngineError
from engine.library.entry import LibraryEntry
from engine.protocol.stack_edits import Stack
from engine.words.clean import clean_line
from tui_loraswitch.app.app_base import AppBase
from tui_loraswitch.panes.background import in_background
from tui_loraswitch.panes.messages import OwnWordsChanged

if TYPE_CHECKING:
    from engine.library.service import LibraryService
    from engine.store.lora_words import LoraWords


class LibraryKeys(AppBase):
    """Favourites, tags and notes; each change can be taken back."""

    def action_favourite(self) -> None:
        """Make the LoRA under the cursor a favourite, or no favourite."""

        def turn(words: LoraWords) -> LoraWords:
            return structs.replace(words, favourite=not words.favourite)

        self._say("favourite", turn)

    def action_tags(self) -> None:
        """Write tags for the LoRA under the cursor."""
        own = self.main.library.highlighted_own

        def take(text: str) -> None:
            tags = tuple(dict.fromkeys(filter(None, map(clean_line, text.split(",")))))
            self._say("tags", lambda words: structs.replace(words, tags=tags))

        hint = "With commas between; tag:word finds them."
        self._ask("Tags of {}", ", ".join(own.tags), hint, take)

    def action_note(self) -> None:
        """Write a note about the LoRA under the cursor."""
        own = self.main.library.highlighted_own

        def take(text: str) -> None:
            self._say("note", lambda words: structs.replace(words, notes=clean_line(text, 2000)))

        self._ask("Note about {}", own.notes, "Its words are found as those of the name.", take)

    def note_stack(self, before: Stack) -> None:
        """The stack was another before; that can be taken back."""
        self.undo.add("a change of the stack", partial(self.control.set_stack, before))

    def note_use(self, paths: tuple[Path, ...]) -> None:
        """A picture was asked for with these files."""
        if (library := self.services.library) is not None:
            library.count_use(paths)

    def action_own_words(self) -> None:
        """Write strength, base model and trigger groups of one's own."""
        from engine.store.lora_words import LoraWords
        from tui_loraswitch.screens.own_words import OwnWordsScreen

        entry, own = self.main.library.highlighted, self.main.library.highlighted_own
        if entry is None:
            return

        def take(said: LoraWords | None) -> None:
            if said is not None:
                self._say(
                    "words",
                    lambda words: structs.replace(
                        words,
                        strength=said.strength,
                        lowest=said.lowest,
                        highest=said.highest,
                        base_model=said.base_model,
                        triggers=said.triggers,
                    ),
                )

        words = LoraWords(
            base_model=own.base_model,
            strength=own.strength,
            lowest=own.lowest,
            highest=own.highest,
            triggers=own.triggers,
        )
        self.push_screen(OwnWordsScreen(entry.name, words), take)

    def action_civitai(self) -> None:
        """Copy the address at which Civitai answers for the LoRA under the cursor."""
        entry, library = self.main.library.highlighted, self.services.library
        if entry is not None and library is not None:
            self.run_worker(self._ask_civitai(entry, library), group="civitai", exclusive=True)

    async def _ask_civitai(self, entry: LibraryEntry, library: LibraryService) -> None:
        from engine.library.civitai import ask, by_hash_address, keep_answer

        hashes = await in_background(library.hashes_of, entry.path)
        if hashes is None:
            self.toast(f"{entry.name} cannot be hashed.", "warning")
            return
        self.copy_to_clipboard(by_hash_address(hashes.sha256))
        if not self.control.settings.asks_civitai:
            self.toast("Copied: where Civitai answers for this file.", "information")
            return
        try:
            answer = await in_background(ask, hashes.sha256)
            await in_background(keep_answer, entry.path, answer)
        except EngineError as error:
            self.toast(str(error), "warning")
        else:
            known = "knows it" if answer else "does not know it"
            self.toast(f"Civitai {known}; kept beside {entry.name}.", "information")

    def action_undo(self) -> None:
        """Take the last change of the stack, of own words or of files back."""
        self.run_worker(self._take_back_last(), name="undo", group="undo")

    async def _take_back_last(self) -> None:
        async with self.undo.turn:
            last = self.undo.take()
            if last is None:
                self.toast("There is nothing to take back.", "warning")
                return
            words, take_back = last
            try:
                slow = take_back()
                if slow is not None:
                    await slow
            except EngineError as error:
                # What is left can be tried again.
                self.undo.add(words, take_back)
                self.toast(str(error), "warning")
            else:
                self.toast(f"Taken back: {words}.", "information")

    def _ask(self, title: str, text: str, hint: str, take: Callable[[str], None]) -> None:
        from tui_loraswitch.screens.line import LineScreen

        entry = self.main.library.highlighted
        if entry is not None:
            screen = LineScreen(title.format(entry.name), text, hint)
            self.push_screen(screen, lambda typed: take(typed) if typed is not None else None)

    def _say(self, what: str, change: Callable[[LoraWords], LoraWords]) -> None:
        entry, library = self.main.library.highlighted, self.services.library
        if entry is None or library is None:
            return

        def done(before: LoraWords) -> None:
            self.post_message(OwnWordsChanged(what, entry, before))

        library.say(entry, change, done)

    def on_own_words_changed(self, message: OwnWordsChanged) -> None:
        """It is kept: from now on it can be taken back."""
        self.undo.add(
            f"{message.what} of {message.entry.name}",
            partial(self._say_again, message.entry, message.before),
        )

    def _say_again(self, entry: LibraryEntry, words: LoraWords) -> None:
        library = self.services.library
        if library is not None:
            library.say(entry, lambda _: words, lambda before: None)
