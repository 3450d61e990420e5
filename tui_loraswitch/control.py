"""What the keys do: wishes of the user turned into commands for the engine, without a screen."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from engine.errors import EngineError
from engine.events import (
    CommandFailed,
    Event,
    GenerationCancelled,
    GenerationFinished,
    GenerationStarted,
    MemoryChanged,
    ModelInfo,
    ModelLoaded,
    StateChanged,
    Switched,
)
from engine.generate.request import GenerateRequest
from engine.library.entry import LibraryEntry
from engine.refs import LoraRef
from engine.reports import MemoryReport, StateName
from tui_loraswitch.session_like import SessionLike
from tui_loraswitch.stack_control import Part, Stack, StackControl
from tui_loraswitch.ui_state import UiState

DEMO_PROMPT = "a large red star on a blue background"
MAX_NEW_SEED = 2**32 - 1


class CannotError(EngineError):
    """A wish that cannot be met just now; the text says why and what helps."""


class Control:
    """Keeps the user's wishes and the engine's state; raises `CannotError` for what cannot be.

    `session` gives the engine, None until it is there.
    """

    def __init__(
        self, session: Callable[[], SessionLike | None], output: Path, state: UiState
    ) -> None:
        self._session = session
        self._output = output
        self.state = state
        self.model: ModelInfo | None = None
        self.weights: StateName = "empty"
        self.stack = StackControl(self._switch)
        self.refused: dict[Path, str] = {}
        """LoRAs the loaded model did not take, and why."""
        self._memory = MemoryReport()
        self._is_drawing = False
        self._queue: deque[tuple[GenerateRequest, Stack]] = deque()

    @property
    def queued(self) -> int:
        """Generations asked for and not done."""
        return len(self._queue)

    def choose(self, entry: LibraryEntry) -> None:
        """Switch to one LoRA."""
        self._require_fit(entry)
        self.stack.choose((self._ref(entry),))

    def toggle(self, entry: LibraryEntry) -> None:
        """Add a LoRA to the stack, or take it out."""
        if not any(Path(ref.path) == entry.path for ref in self.stack.wanted):
            self._require_fit(entry)
        self.stack.toggle(self._ref(entry))

    def remove(self, ref: LoraRef) -> None:
        """Take a member out of the stack."""
        self.stack.toggle(ref)

    def base(self) -> None:
        """Back to the base model."""
        self.stack.choose(())

    def adjust(self, delta: float, highlighted: Path | None, part: Part = "both") -> None:
        """Change the strength of the highlighted member, or of the only one."""
        members = [Path(ref.path) for ref in self.stack.wanted]
        if not members:
            raise CannotError("No LoRA is live: Enter switches to the highlighted one.")
        if highlighted not in members and len(members) > 1:
            raise CannotError("Highlight the member of the stack whose strength is to change.")
        path = highlighted if highlighted in members else members[0]
        self.stack.adjust(path, delta, part)

    def generate(self, new_seed: bool = False) -> None:
        """Draw with the settings of now; whatever was switched before counts."""
        session, model = self._require_model()
        if not self.state.prompt.strip():
            raise CannotError("The prompt is empty: write what the picture shall show.")
        if new_seed:
            self.state = replace(self.state, seed=random.randint(0, MAX_NEW_SEED))
        self.stack.flush()
        request = self.state.request(self._output, model.default_size)
        wish = (request, self.stack.wanted)
        if self._queue and self._queue[-1] == wish and request.seed != -1:
            raise CannotError("This very picture is being drawn; r draws one with a new seed.")
        self._queue.append(wish)
        session.generate(request)

    def cancel(self) -> None:
        """Stop the running generation or load; those that wait are dropped without a word."""
        session = self._session()
        if session is not None:
            session.cancel()
            while len(self._queue) > int(self._is_drawing):
                self._queue.pop()

    def verify(self) -> None:
        """Compare the base with its fingerprints."""
        self._require_model()[0].verify()

    def move_backup(self) -> None:
        """Move the backups to the other memory."""
        session, model = self._require_model()
        if model.device.startswith("cpu"):
            raise CannotError("Model and backup are both in main memory: there is no other place.")
        session.set_backup("cpu" if self._memory.backup_tier == "device" else "device")

    def prefetch(self, entry: LibraryEntry) -> None:
        """Read a LoRA ahead while nothing else is going on."""
        session = self._session()
        if session is not None and self.model is not None and entry.fits_sdxl and not self._queue:
            session.prefetch(self._ref(entry))

    def insert_trigger(self, entry: LibraryEntry) -> list[str]:
        """Put trigger words that are not in the prompt at its end; returns those added."""
        if not entry.trigger_words:
            raise CannotError(f"{entry.name} names no trigger words.")
        prompt = self.state.prompt
        words = [
            word.strip() for group in entry.trigger_words[0].words for word in group.split(",")
        ]
        new = [word for word in words if word and word.casefold() not in prompt.casefold()]
        parts = [prompt.rstrip().rstrip(","), *new] if prompt.strip() else new
        self.state = replace(self.state, prompt=", ".join(parts))
        return new

    def receive(self, event: Event) -> None:
        """Follow the engine."""
        match event:
            case ModelLoaded(model=model):
                self.model = model
                self.refused.clear()
                if model.is_demo and not self.state.prompt:
                    self.state = replace(self.state, prompt=DEMO_PROMPT)
                self.stack.start()
            case StateChanged(state=state, stack=stack):
                self.weights = state
                self.stack.live = stack
            case Switched(report=report):
                self.stack.live = report.stack
                self.stack.confirm()
                for ref in report.stack:
                    self.refused.pop(Path(ref.path), None)
            case CommandFailed(command="switch", message=message, refused=refused):
                blamed = self.stack.fail()
                if refused and blamed is not None:
                    self.refused[blamed] = message
            case GenerationStarted():
                self._is_drawing = True
            case CommandFailed(command="generate") | GenerationFinished() | GenerationCancelled():
                self._is_drawing = False
                if self._queue:
                    self._queue.popleft()
            case MemoryChanged(memory=memory):
                self._memory = memory

    def _ref(self, entry: LibraryEntry) -> LoraRef:
        """The LoRA as used the last time, else at the strength its files recommend."""
        known = self.stack.strengths.get(entry.path)
        if known is not None:
            return known
        recommended = entry.preferred_strength or 1.0
        return LoraRef(entry.path, recommended, recommended)

    def _require_fit(self, entry: LibraryEntry) -> None:
        if entry.error:
            raise CannotError(entry.error)
        if not entry.fits_sdxl:
            raise CannotError(f"{entry.name} is made for {entry.base_model}, not for SDXL.")

    def _require_model(self) -> tuple[SessionLike, ModelInfo]:
        session = self._session()
        if session is None or self.model is None:
            raise CannotError("No model is loaded.")
        return session, self.model

    def _switch(self, stack: Stack) -> None:
        session = self._session()
        if session is not None:
            session.switch(stack)
