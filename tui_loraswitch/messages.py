"""Messages between threads, panes and the app: facts in the past tense."""

from __future__ import annotations

from textual.message import Message

from engine.events import Event, GenerationStep, LoadProgress, MemoryChanged
from engine.library.entry import LibraryEntry
from engine.library.names import LibraryNames
from engine.library.search import SearchIndex
from engine.monitor.reading import Reading
from tui_loraswitch.model_files import ModelFile


class EngineReported(Message):
    """The engine said something; of progress only the newest matters."""

    def __init__(self, event: Event) -> None:
        super().__init__()
        self.event = event

    def can_replace(self, message: Message) -> bool:
        """A newer step or progress makes the older one pointless, unless that held a preview."""
        if not isinstance(message, EngineReported):
            return False
        new, old = self.event, message.event
        if isinstance(new, GenerationStep) and isinstance(old, GenerationStep):
            return new.preview is not None or old.preview is None
        return isinstance(new, LoadProgress | MemoryChanged) and type(new) is type(old)


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
        by_name: SearchIndex,
        is_complete: bool,
        names: LibraryNames[LibraryEntry] | None = None,
    ) -> None:
        super().__init__()
        self.by_name, self.is_complete, self.names = by_name, is_complete, names

    def can_replace(self, message: Message) -> bool:
        """Later entries include earlier ones."""
        return isinstance(message, LibraryFound)


class LibraryReread(Message):
    """The library was read again; `words` say what is new, changed or gone."""

    def __init__(self, words: str) -> None:
        super().__init__()
        self.words = words


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


class EntryHighlighted(Message):
    """The cursor of the library rests on a LoRA, or on none."""

    def __init__(self, entry: LibraryEntry | None) -> None:
        super().__init__()
        self.entry = entry


class PromptLeft(Message):
    """A text field was left; its text counts now."""


class PromptChanged(Message):
    """The prompt or the negative prompt was edited."""

    def __init__(self, prompt: str, negative_prompt: str) -> None:
        super().__init__()
        self.prompt, self.negative_prompt = prompt, negative_prompt
