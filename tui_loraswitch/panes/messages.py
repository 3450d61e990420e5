"""Messages between threads, panes and the app: facts in the past tense."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from textual.message import Message

from engine.library.entry import LibraryEntry
from engine.monitor.reading import Reading
from engine.protocol.events import EventMessage
from engine.protocol.view import EngineView

if TYPE_CHECKING:
    from pathlib import Path

    from engine.files.file_version import FileVersion
    from engine.library.names import NamedFiles
    from engine.library.search import SearchIndex
    from engine.store.lora_words import LoraWords
    from tui_loraswitch.control.cell_task import SweepProgress
    from tui_loraswitch.control.model_files import ModelFile


class EngineAttached(Message):
    """There is an engine, and it is like this."""

    def __init__(self, view: EngineView) -> None:
        super().__init__()
        self.view = view


class ViewChanged(Message):
    """The engine is like this now; `taken` is the command that the view has taken in."""

    def __init__(self, view: EngineView, taken: str | None = None) -> None:
        super().__init__()
        self.view, self.taken = view, taken

    def can_replace(self, message: Message) -> bool:
        """Only the newest view matters, but no command must be missed."""
        return self.taken is None and isinstance(message, ViewChanged)


class EngineAnswered(Message):
    """A command of somebody's has ended."""

    def __init__(self, answer: EventMessage) -> None:
        super().__init__()
        self.answer = answer


class SweepChanged(Message):
    """A sweep has gone on."""

    def __init__(self, progress: SweepProgress) -> None:
        super().__init__()
        self.progress = progress

    def can_replace(self, message: Message) -> bool:
        """Only the newest matters."""
        return isinstance(message, SweepChanged)


class EngineLost(Message):
    """The engine is gone; `reason` says how, as a part of a sentence."""

    def __init__(self, reason: str, starts_again: bool) -> None:
        super().__init__()
        self.reason, self.starts_again = reason, starts_again


class OlderHostFound(Message):
    """A host of the older `version` runs, with `left` jobs that are not drawn yet."""

    def __init__(self, version: str, left: int) -> None:
        super().__init__()
        self.version, self.left = version, left


class ReadingTaken(Message):
    """The monitor read memory and GPU."""

    def __init__(self, reading: Reading) -> None:
        super().__init__()
        self.reading = reading

    def can_replace(self, message: Message) -> bool:
        """Only the newest reading matters."""
        return isinstance(message, ReadingTaken)


class ScanProgressed(Message):
    """The library scan has looked at `done` of `total` files."""

    def __init__(self, done: int, total: int) -> None:
        super().__init__()
        self.done, self.total = done, total

    def can_replace(self, message: Message) -> bool:
        """Only the newest count matters."""
        return isinstance(message, ScanProgressed)


class LibraryFound(Message):
    """These LoRAs are known, from the last time or from the scan that is going on."""

    def __init__(
        self,
        index: SearchIndex,
        is_complete: bool,
        names: NamedFiles | None = None,
    ) -> None:
        super().__init__()
        self.index, self.is_complete, self.names = index, is_complete, names

    def can_replace(self, message: Message) -> bool:
        """Later entries include earlier ones."""
        return isinstance(message, LibraryFound)


class LibraryChanged(Message):
    """`words` say what is new, changed or gone; `was_asked`: somebody wants to know."""

    def __init__(self, words: str, was_asked: bool) -> None:
        super().__init__()
        self.words, self.was_asked = words, was_asked


class OwnWordsChanged(Message):
    """The user's words about a LoRA are others now, and kept; `before` are those until now."""

    def __init__(self, what: str, entry: LibraryEntry, before: LoraWords) -> None:
        super().__init__()
        self.what, self.entry, self.before = what, entry, before


class DiskLookedAt(Message):
    """The library knows what is on the disk now; `then` goes on with what waited for it."""

    def __init__(self, then: Callable[[], object]) -> None:
        super().__init__()
        self.then = then


class ModelsFound(Message):
    """These models lie in the model folders, as far as the search has come."""

    def __init__(
        self, models: tuple[ModelFile, ...], problems: tuple[str, ...], is_complete: bool
    ) -> None:
        super().__init__()
        self.models, self.problems, self.is_complete = models, problems, is_complete

    def can_replace(self, message: Message) -> bool:
        """Later models include earlier ones."""
        return isinstance(message, ModelsFound)


class ProblemNoticed(Message):
    """Something is amiss that stops nothing; `problem` is a sentence."""

    def __init__(self, problem: str) -> None:
        super().__init__()
        self.problem = problem


class PreviewsWritten(Message):
    """Pictures were put beside LoRAs as their previews."""

    def __init__(self, previews: Mapping[Path, FileVersion]) -> None:
        super().__init__()
        self.previews = previews


class EntryHighlighted(Message):
    """The cursor of the library rests on a LoRA, or on none."""

    def __init__(self, entry: LibraryEntry | None) -> None:
        super().__init__()
        self.entry = entry


class PromptBegun(Message):
    """A text field is written into from now on."""


class PromptLeft(Message):
    """A text field was left; its text counts now."""


class PromptChanged(Message):
    """The prompt or the negative prompt was edited."""

    def __init__(self, prompt: str, negative_prompt: str) -> None:
        super().__init__()
        self.prompt, self.negative_prompt = prompt, negative_prompt


class PromptTurned(Message):
    """An earlier (1) or later (-1) prompt is wanted."""

    def __init__(self, by: int) -> None:
        super().__init__()
        self.by = by
