"""The LoRAs that a prompt names in `<lora:…>` tags, found in the library."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from engine.errors import EngineError
from engine.library.entry import LibraryEntry
from engine.library.names import NamedEntries, NamedFiles, names_for_tags
from engine.protocol.stack_edits import Stack
from engine.words.lora_tags import LoraTag
from engine.words.prompt_language.regions import tags_by_region
from tui_loraswitch.config.settings import AppSettings
from tui_loraswitch.control.wanted_lora import WantedLora


class UnknownLoraError(EngineError):
    """A tag names a LoRA that the library does not have, as far as it knows."""


class PromptLoras:
    """Reads tags as the settings say, and knows the library as far as it was scanned."""

    def __init__(self, settings: AppSettings) -> None:
        self._settings = settings
        self._files: NamedFiles = NamedEntries()
        self._is_complete = False

    def know(self, files: NamedFiles, is_complete: bool) -> None:
        """Look for names in these from now on."""
        self._files, self._is_complete = files, is_complete

    def find(self, prompt: str) -> tuple[Stack, tuple[Stack, ...]]:
        """The files that the prompt's tags name: for all of the picture, and for each region.

        Raises `EngineError` for a tag that cannot be read, for a name that no file has or that
        several have, and for a file that is not for SDXL.
        """
        whole, own = tags_by_region(prompt, self._settings.tag_order)
        return self._refs(whole), tuple(map(self._refs, own))

    def why_unknown(self, name: str) -> str:
        """What is wrong with a name in a tag, as a sentence; "" where it can be used."""
        try:
            self._find(name)
        except EngineError as error:
            return str(error)
        return ""

    def entry(self, name: str) -> LibraryEntry:
        """The LoRA of a name, that can be used; raises `EngineError` as `find` does."""
        return self._find(name)

    def name_of(self, path: Path) -> str:
        """The shortest name by which a tag finds the file."""
        return self._files.names.written(path)

    def written(self, stack: Stack) -> tuple[tuple[str, str], ...]:
        """Paths with the names for their tags, where the file's own name means another as well."""
        return names_for_tags(stack, self._files.names)

    def named(self, name: str) -> Path | None:
        """The file that has a name, if one does. Raises `EngineError` where several have it."""
        entry = self._files.names.find(name) or self._files.trained_as(name)
        return entry.path if entry is not None else None

    def _refs(self, tags: Iterable[LoraTag]) -> Stack:
        presets = self._settings.block_weights
        wanted = map(WantedLora.of_tag, tags)
        return tuple(lora.ref(self._find(lora.name).path, presets) for lora in wanted)

    def _find(self, name: str) -> LibraryEntry:
        entry = self._files.names.find(name) or self._files.trained_as(name)
        if entry is None:
            yet = "" if self._is_complete else ", which is still being read"
            raise UnknownLoraError(
                f"The prompt names the LoRA “{name}”, and there is none in the library{yet}: "
                "correct its tag, or take it out."
            )
        require_fit(entry)
        return entry


def require_fit(entry: LibraryEntry) -> None:
    """Raise `EngineError` for a file that cannot be used with SDXL, as far as its header tells."""
    if entry.error:
        raise EngineError(entry.error)
    if not entry.fits_sdxl:
        raise EngineError(f"{entry.name} is made for {entry.base_model}, not for SDXL.")
