"""What the keys do: wishes of the user turned into commands for the engine, without a screen."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

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
from engine.library.entry import LibraryEntry
from engine.library.text import clean_line
from engine.prediction import PredictionChoice
from engine.refs import LoraRef
from engine.reports import MemoryReport, Tier
from tui_loraswitch.backup_tiers import next_tier
from tui_loraswitch.model_control import ModelControl
from tui_loraswitch.prompt_loras import PromptLoras, require_fit
from tui_loraswitch.session_like import SessionLike, load_model
from tui_loraswitch.settings import AppSettings
from tui_loraswitch.stack_control import Stack, StackControl
from tui_loraswitch.strengths import USUAL_BOUND, Part, bound_of, stepped
from tui_loraswitch.trigger_cycle import Insertion, TriggerCycle
from tui_loraswitch.ui_state import UiState

MAX_NEW_SEED = 2**32 - 1


class CannotError(EngineError):
    """A wish that cannot be met just now; the text says why and what helps."""


@dataclass(frozen=True)
class _Asked:
    """A picture asked for, with the settings, the stack and the prompt's LoRAs of that moment."""

    state: UiState
    stack: Stack
    tagged: Stack


class Control:
    """Keeps the user's wishes and the engine's state; raises `EngineError` for what cannot be.

    `session` gives the engine, None until it is there.
    """

    def __init__(
        self, session: Callable[[], SessionLike | None], settings: AppSettings, state: UiState
    ) -> None:
        self._session = session
        self.settings = settings
        self.state = state
        self.models = ModelControl(settings.model, settings.remembered_model)
        self.stack = StackControl(self._switch)
        self.prompt_loras = PromptLoras(settings)
        self.refused: dict[Path, str] = {}
        """LoRAs the loaded model did not take, and why."""
        self._memory = MemoryReport()
        self._asked_tier: Tier | None = None
        self._queue: deque[_Asked] = deque()
        """Generations sent and not answered; of these the first `cancelled` will not be drawn."""
        self.cancelled = 0
        self._waiting: list[_Asked] = []
        self._triggers = TriggerCycle()
        self._bounds: dict[Path, float] = {}

    @property
    def model(self) -> ModelInfo | None:
        """The loaded model."""
        return self.models.loaded

    @property
    def queued(self) -> int:
        """Generations asked for and neither done nor cancelled."""
        return len(self._queue) - self.cancelled

    @property
    def waiting(self) -> int:
        """Generations that wait for the model."""
        return len(self._waiting)

    def load(self, model: Path | None) -> None:
        """Open another model in place of this one; None is the embedded demo."""
        session = self._require_session()
        if self.models.is_loading:
            # The newest choice counts alone: loading takes too long to wait for the others.
            self.cancel()
        self.stack.pause()
        self.models.want(model)
        load_model(session, self.settings, model)

    def predict(self, model: Path | None, choice: PredictionChoice) -> bool:
        """Say what a model predicts, from the next time on that it is opened; True for news."""
        before = self.settings
        self.settings = before.predicting(model, choice)
        return self.settings != before

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

    def remove(self, ref: LoraRef, is_tagged: bool = False) -> None:
        """Take a member out of the stack; one that the prompt names is back with its picture."""
        if is_tagged:
            left = list(self.stack.view.tagged)
            left.remove(ref)
            self.stack.tag(tuple(left))
        else:
            self.stack.toggle(ref)

    def base(self) -> None:
        """Back to the base model."""
        self.stack.choose(())

    def member(self, highlighted: Path | None, is_tagged: bool = False) -> LoraRef:
        """The user's member of the stack that is meant: the highlighted one, or the only one."""
        members = {Path(ref.path): ref for ref in self.stack.wanted}
        if highlighted in members and not is_tagged:
            return members[highlighted]
        if any(Path(ref.path) == highlighted for ref in self.stack.view.tagged):
            raise _in_the_prompt(highlighted)
        if not members:
            raise CannotError("No LoRA is live: Enter switches to the highlighted one.")
        if len(members) > 1:
            raise CannotError("Highlight the member of the stack whose strength is to change.")
        return next(iter(members.values()))

    def adjust(self, delta: float, ref: LoraRef, part: Part = "both") -> None:
        """Change the strength of a member by a step."""
        changed = stepped(ref, delta, part, self._bounds.get(Path(ref.path), USUAL_BOUND))
        if changed == ref:
            raise CannotError("The keys go no further with this LoRA; e types any strength.")
        self.stack.put(changed)

    def change(self, changed: LoraRef, is_tagged: bool = False) -> None:
        """Give the member of this file other strengths or block weights."""
        if is_tagged:
            raise _in_the_prompt(Path(changed.path))
        self.stack.put(changed)

    def generate(self, new_seed: bool = False) -> None:
        """Draw with the settings of now; whatever was switched before counts.

        While the model is loading, the picture waits for it.
        """
        is_loading = self.models.is_loading
        if not is_loading:
            self._require_model()
        if not self.state.prompt.strip():
            raise CannotError("The prompt is empty: write what the picture shall show.")
        tagged = self.prompt_loras.find(self.state.prompt)
        seed = random.randint(0, MAX_NEW_SEED) if new_seed else self.state.seed
        asked = _Asked(replace(self.state, seed=seed), self.stack.wanted, tagged)
        if seed != -1 and asked in self._waiting:
            raise CannotError("This very picture waits for the model; r draws one with a new seed.")
        if seed != -1 and self.queued and self._queue[-1] == asked:
            raise CannotError("This very picture is being drawn; r draws one with a new seed.")
        self.state = asked.state
        if is_loading:
            self._waiting.append(asked)
        else:
            self._draw(asked)

    def _draw(self, asked: _Asked) -> None:
        """Have a picture drawn with the stack of now and the LoRAs that its prompt names."""
        session, model = self._require_model()
        self.stack.tag(asked.tagged)
        stack = self.stack.whole
        request = replace(
            asked.state.request(self.settings.output, model.default_size),
            embeddings=self.settings.embeddings,
            lora_names=self.prompt_loras.written(stack),
        )
        self._queue.append(asked)
        session.generate(request, stack)

    def _draw_waiting(self) -> None:
        """Draw what waited for the model, each with its own stack; the stack of now comes back."""
        waiting, self._waiting = self._waiting, []
        wanted = self.stack.wanted
        for asked in waiting:
            if self.stack.wanted != asked.stack:
                self.stack.choose(asked.stack)
            self._draw(asked)
        if self.stack.wanted != wanted:
            self.stack.choose(wanted)

    def cancel(self) -> None:
        """Stop the running generation or load, and drop all that wait; the engine answers each."""
        session = self._session()
        self._waiting.clear()
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

    def insert_trigger(self, entry: LibraryEntry) -> Insertion:
        """Put the LoRA's next group of trigger words into the prompt."""
        insertion = self._triggers.insert(entry, self.state.prompt)
        self.state = replace(self.state, prompt=insertion.after)
        return insertion

    def receive(self, event: Event) -> None:
        """Follow the engine."""
        self.models.receive(event)
        match event:
            case ModelLoaded() if not self.models.is_loading:
                self.refused.clear()
                self._asked_tier = None
                self.stack.start()
                self._draw_waiting()
            case CommandFailed(command="load") if not self.models.is_loading:
                self._waiting.clear()
                if self.model is not None:
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
        self._bounds[entry.path] = bound_of(entry)
        known = self.stack.strengths.get(entry.path)
        if known is not None:
            return known
        recommended = entry.preferred_strength or 1.0
        return LoraRef(entry.path, recommended, recommended)

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


def _in_the_prompt(path: Path | None) -> CannotError:
    name = clean_line(path.stem) if path else "It"
    return CannotError(f"{name} comes from the prompt: edit its tag there.")
