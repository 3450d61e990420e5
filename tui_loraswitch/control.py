"""What the keys do: wishes of the user turned into commands for the engine, without a screen."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from engine.block_weights import BlockWeights
from engine.errors import EngineError
from engine.events import (
    CommandFailed,
    Event,
    GenerationCancelled,
    GenerationFinished,
    MemoryChanged,
    ModelInfo,
    ModelLoaded,
    StateChanged,
    Switched,
)
from engine.generate.request import GenerateRequest
from engine.library.entry import LibraryEntry
from engine.library.text import clean_line
from engine.refs import LoraRef
from engine.reports import MemoryReport, Tier
from tui_loraswitch.backup_tiers import next_tier
from tui_loraswitch.model_control import ModelControl
from tui_loraswitch.prompt_loras import PromptLoras, require_fit
from tui_loraswitch.session_like import SessionLike, load_model
from tui_loraswitch.settings import AppSettings
from tui_loraswitch.stack_control import Part, Stack, StackControl
from tui_loraswitch.triggers import best_triggers
from tui_loraswitch.ui_state import UiState

DEMO_PROMPT = "a large red star on a blue background"
MAX_NEW_SEED = 2**32 - 1


class CannotError(EngineError):
    """A wish that cannot be met just now; the text says why and what helps."""


class Control:
    """Keeps the user's wishes and the engine's state; raises `EngineError` for what cannot be.

    `session` gives the engine, None until it is there.
    """

    def __init__(
        self, session: Callable[[], SessionLike | None], settings: AppSettings, state: UiState
    ) -> None:
        self._session = session
        self._settings = settings
        self.state = state
        self.models = ModelControl(settings.model, settings.remembered_model)
        self.stack = StackControl(self._switch)
        self.prompt_loras = PromptLoras(settings)
        self.refused: dict[Path, str] = {}
        """LoRAs the loaded model did not take, and why."""
        self._memory = MemoryReport()
        self._asked_tier: Tier | None = None
        self._queue: deque[tuple[GenerateRequest, Stack]] = deque()
        """Generations sent and not answered; of these the first `cancelled` will not be drawn."""
        self.cancelled = 0

    @property
    def model(self) -> ModelInfo | None:
        """The loaded model."""
        return self.models.loaded

    @property
    def queued(self) -> int:
        """Generations asked for and neither done nor cancelled."""
        return len(self._queue) - self.cancelled

    def load(self, model: Path | None) -> None:
        """Open another model in place of this one; None is the embedded demo."""
        session = self._require_session()
        if self.models.is_loading:
            # The newest choice counts alone: loading takes too long to wait for the others.
            self.cancel()
        self.stack.pause()
        self.models.want(model)
        load_model(session, self._settings, model)

    def load_again(self) -> None:
        """Load what could not be loaded, or whose loading was cancelled."""
        if self.models.is_loading:
            raise CannotError("The model is still loading.")
        if not self.models.has_failed:
            raise CannotError("The model is loaded; m chooses another one.")
        self.load(self.models.wanted)

    def choose(self, entry: LibraryEntry) -> None:
        """Switch to one LoRA."""
        require_fit(entry)
        self.stack.choose((self._ref(entry),))

    def toggle(self, entry: LibraryEntry) -> None:
        """Add a LoRA to the stack, or take it out."""
        if not any(Path(ref.path) == entry.path for ref in self.stack.wanted):
            require_fit(entry)
        self.stack.toggle(self._ref(entry))

    def remove(self, ref: LoraRef) -> None:
        """Take a member out of the stack; one that the prompt names is back with its picture."""
        if self.stack.is_tagged(Path(ref.path)):
            self.stack.tag(tuple(tagged for tagged in self.stack.view.tagged if tagged != ref))
        else:
            self.stack.toggle(ref)

    def base(self) -> None:
        """Back to the base model."""
        self.stack.choose(())

    def adjust(self, delta: float, highlighted: Path | None, part: Part = "both") -> None:
        """Change the strength of the highlighted member, or of the only one."""
        if highlighted is not None:
            self._require_own(highlighted)
        members = [Path(ref.path) for ref in self.stack.wanted]
        if not members:
            raise CannotError("No LoRA is live: Enter switches to the highlighted one.")
        if highlighted not in members and len(members) > 1:
            raise CannotError("Highlight the member of the stack whose strength is to change.")
        path = highlighted if highlighted in members else members[0]
        self.stack.adjust(path, delta, part)

    def weigh(self, ref: LoraRef, blocks: BlockWeights) -> None:
        """Give a member of the stack other block weights."""
        self._require_own(Path(ref.path))
        self.stack.weigh(Path(ref.path), blocks)

    def generate(self, new_seed: bool = False) -> None:
        """Draw with the settings of now; whatever was switched before counts."""
        session, model = self._require_model()
        if not self.state.prompt.strip():
            raise CannotError("The prompt is empty: write what the picture shall show.")
        tagged = self.prompt_loras.find(self.state.prompt)
        if new_seed:
            self.state = replace(self.state, seed=random.randint(0, MAX_NEW_SEED))
        self.stack.tag(tagged)
        request = replace(
            self.state.request(self._settings.output, model.default_size),
            embeddings=self._settings.embeddings,
        )
        wish = (request, self.stack.whole)
        if self.queued and self._queue[-1] == wish and request.seed != -1:
            raise CannotError("This very picture is being drawn; r draws one with a new seed.")
        self._queue.append(wish)
        session.generate(request, self.stack.whole)

    def cancel(self) -> None:
        """Stop the running generation or load, and drop those that wait; each is answered."""
        session = self._session()
        if session is not None:
            session.cancel()
            self.cancelled = len(self._queue)

    def verify(self) -> None:
        """Compare the base with its fingerprints."""
        self._require_model()[0].verify()

    def move_backup(self) -> None:
        """Move the backups to the next place."""
        session, model = self._require_model()
        tier = next_tier(model.device, self._memory.backup_tier, self._asked_tier)
        self._asked_tier = tier
        session.set_backup(tier)

    def prefetch(self, entry: LibraryEntry) -> None:
        """Read a LoRA ahead while nothing else is going on."""
        session = self._session()
        is_idle = self.model is not None and not self.models.is_loading and not self._queue
        if session is not None and is_idle and entry.fits_sdxl:
            session.prefetch(self._ref(entry))

    def insert_trigger(self, entry: LibraryEntry) -> list[str]:
        """Put trigger words that are not in the prompt at its end; returns those added."""
        known = best_triggers(entry)
        if not known:
            raise CannotError(f"{entry.name} names no trigger words.")
        prompt = self.state.prompt
        words = [word.strip() for group in known for word in group.split(",")]
        new = [word for word in words if word and word.casefold() not in prompt.casefold()]
        parts = [prompt.rstrip().rstrip(","), *new] if prompt.strip() else new
        self.state = replace(self.state, prompt=", ".join(parts))
        return new

    def receive(self, event: Event) -> None:
        """Follow the engine."""
        self.models.receive(event)
        match event:
            case ModelLoaded(model=model) if not self.models.is_loading:
                self.refused.clear()
                self._asked_tier = None
                if model.is_demo and not self.state.prompt:
                    self.state = replace(self.state, prompt=DEMO_PROMPT)
                self.stack.start()
            case CommandFailed(command="load"):
                if self.model is not None and not self.models.is_loading:
                    self.stack.resume()
            case StateChanged(stack=stack):
                self.stack.live = stack
            case Switched(report=report):
                self.stack.live = report.stack
                self.stack.confirm()
                for ref in report.stack:
                    self.refused.pop(Path(ref.path), None)
            case CommandFailed(command="switch", message=message, refused=refused, path=path):
                self.stack.fail()
                if refused and path is not None:
                    self.refused[path] = message
            case CommandFailed(command="generate") | GenerationFinished() | GenerationCancelled():
                if self._queue:
                    self._queue.popleft()
                    self.cancelled = max(0, self.cancelled - 1)
            case MemoryChanged(memory=memory):
                self._memory = memory

    def _ref(self, entry: LibraryEntry) -> LoraRef:
        """The LoRA as used the last time, else at the strength its files recommend."""
        known = self.stack.strengths.get(entry.path)
        if known is not None:
            return known
        recommended = entry.preferred_strength or 1.0
        return LoraRef(entry.path, recommended, recommended)

    def _require_own(self, path: Path) -> None:
        if self.stack.is_tagged(path):
            raise CannotError(f"{clean_line(path.stem)} comes from the prompt: edit its tag there.")

    def _require_session(self) -> SessionLike:
        session = self._session()
        if session is None:
            raise CannotError("The engine has not started; the log says why if it cannot.")
        return session

    def _require_model(self) -> tuple[SessionLike, ModelInfo]:
        if self.models.is_loading:
            raise CannotError("The model is still loading.")
        session = self._require_session()
        if self.model is None:
            raise CannotError("No model is loaded: L loads it again, m chooses one.")
        return session, self.model

    def _switch(self, stack: Stack) -> None:
        session = self._session()
        if session is not None:
            session.switch(stack)
