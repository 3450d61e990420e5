"""What the keys do: wishes of the user turned into commands for the engine, without a screen."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import structs

from engine.client.engine import Engine
from engine.demo import DEMO_MODEL
from engine.errors import EngineError
from engine.library.entry import LibraryEntry
from engine.protocol.commands import (
    AdjustStrength,
    CancelAll,
    ChangeMember,
    Command,
    Load,
    Prefetch,
    SetBackup,
    SetDraft,
    SetStack,
    StackEdit,
    ToggleLora,
    Unload,
    Verify,
)
from engine.protocol.refs import LoraRef
from engine.protocol.reports import Tier
from engine.protocol.request import GenerateRequest
from engine.protocol.stack_edits import (
    USUAL_BOUND,
    Part,
    Stack,
    adjusted,
    changed,
    stepped,
    toggled,
)
from engine.protocol.view import EngineView
from engine.sdxl.prediction import PredictionChoice
from engine.words.clean import clean_line
from tui_loraswitch.config.settings import AppSettings
from tui_loraswitch.config.ui_state import UiState
from tui_loraswitch.control.backup_tiers import next_tier
from tui_loraswitch.control.load_command import load_command
from tui_loraswitch.control.pending_edits import PendingEdits
from tui_loraswitch.control.prompt_loras import PromptLoras, require_fit
from tui_loraswitch.control.strengths import bound_of

if TYPE_CHECKING:
    from tui_loraswitch.control.trigger_cycle import Insertion, TriggerCycle

MAX_NEW_SEED = 2**32 - 1


class CannotError(EngineError):
    """A wish that cannot be met just now; the text says why and what helps."""


class Control:
    """Turns wishes into commands, by what the engine is like; raises `EngineError` for the rest.

    `engine` gives the engine, None until it is there. `view` is set by the app as it changes; its
    wanted stack is what all that was asked for here will make of it.
    """

    def __init__(
        self, engine: Callable[[], Engine | None], settings: AppSettings, state: UiState
    ) -> None:
        self._engine = engine
        self.settings = settings
        self.state = state
        self.view = EngineView()
        self.prompt_loras = PromptLoras(settings)
        self.wanted_model = settings.model
        """What was asked for last; None is the embedded demo."""
        self.last_file = settings.model or settings.remembered_model
        """The last that was not the demo: others of the user's lie beside it."""
        self.asked: dict[str, Command] = {}
        """Commands whose end concerns this screen."""
        self._edits = PendingEdits()
        self._strengths: dict[Path, LoraRef] = {}
        self._bounds: dict[Path, float] = {}
        self._asked_tier: Tier | None = None
        self._draft: GenerateRequest | None = None
        """The prompt and settings that all screens have."""
        self.on_edit: Callable[[Stack], object] = lambda before: None
        """Called with the stack of before, when another one is asked for."""
        self.on_draw: Callable[[tuple[Path, ...]], object] = lambda paths: None
        """Called with the files that a picture is asked for with."""

    def follow(self, view: EngineView, taken: str | None = None) -> None:
        """Take what the engine is like now; `taken` is the command that it has taken in."""
        before = self.view
        self._edits.drop_until(taken)
        self.view = structs.replace(view, wanted=self._edits.applied(view.wanted))
        self._note_strengths()
        if view.model is not before.model:
            self._asked_tier = None
            # The model that a job brings along comes and goes with it.
            if view.model is not None and view.working != "draw":
                self.wanted_model = None if view.model.is_demo else view.model.path
                self.last_file = self.wanted_model or self.last_file

    def lose(self) -> None:
        """The engine is gone: what was asked of it is not answered any more."""
        self._edits.clear()
        self.asked.clear()

    @property
    def is_demo(self) -> bool:
        """Whether the demo is loaded, or wanted while something is loading."""
        model = self.view.model
        if model is not None and self.view.working != "load":
            return model.is_demo
        return self.wanted_model in (None, DEMO_MODEL)

    @property
    def loads(self) -> bool:
        """Whether a model is on its way that was asked for here."""
        return any(isinstance(command, Load) for command in self.asked.values())

    @property
    def advice(self) -> str:
        """What is there after a load that failed, and which keys help."""
        model = self.view.model
        name = clean_line(self.wanted_model.stem, 60) if self.wanted_model else "the demo"
        stays = f"{clean_line(model.name, 60)} stays loaded; " if model else ""
        return f"{stays}L loads {name} again, m chooses another model"

    def load(self, model: Path | None) -> None:
        """Open another model in place of this one; None is the embedded demo."""
        self.wanted_model = model
        self.last_file = model or self.last_file
        self.send(load_command(self.settings, model))

    def predict(self, model: Path | None, choice: PredictionChoice) -> bool:
        """Say what a model predicts, from the next time on that it is opened; True for news."""
        before = self.settings
        self.settings = before.predicting(model, choice)
        return self.settings != before

    def share_draft(self) -> None:
        """Let other screens, and this one when it comes back, have the prompt and settings."""
        engine, draft = self._engine(), self.state.request(self.settings.output)
        if engine is not None and draft != self._draft:
            self._draft = draft
            engine.send(SetDraft(draft))

    def take_draft(self) -> bool:
        """Take the prompt and settings of another screen; True when they are news."""
        draft = self.view.draft
        if draft is None or draft == self._draft:
            return False
        self._draft = draft
        before, self.state = self.state, self.state.with_draft(draft)
        return self.state != before

    def unload(self) -> None:
        """Give the model's memory back; stack and queue stay for when it is loaded again."""
        if self.view.model is None and self.view.working != "load":
            raise CannotError("No model is loaded: L loads it again, m chooses one.")
        self.send(Unload())

    def load_again(self) -> None:
        """Load what could not be loaded, or whose loading was cancelled."""
        if self.view.working == "load":
            raise CannotError("The model is still loading.")
        if self.view.model is not None and not self.view.load_failure:
            raise CannotError("The model is loaded; m chooses another one.")
        self.load(self.wanted_model)

    def choose(self, entry: LibraryEntry) -> None:
        """Switch to one LoRA."""
        require_fit(entry)
        ref = self.ref(entry)
        self._edit(SetStack((ref,)), lambda stack: (ref,))

    def toggle(self, entry: LibraryEntry) -> None:
        """Add a LoRA to the stack, or take it out."""
        if not any(ref.path == entry.path for ref in self.view.wanted):
            require_fit(entry)
        ref = self.ref(entry)
        self._edit(ToggleLora(ref), lambda stack: toggled(stack, ref))

    def remove(self, ref: LoraRef, is_tagged: bool = False) -> None:
        """Take a member out of the stack."""
        if is_tagged:
            raise _in_the_prompt(ref.path)
        if any(member.path == ref.path for member in self.view.wanted):
            self._edit(ToggleLora(ref), lambda stack: toggled(stack, ref))

    def base(self) -> None:
        """Back to the base model."""
        self._edit(SetStack(), lambda stack: ())

    def have_stack(self, stack: Stack) -> None:
        """Have this stack, as one change that can be taken back."""
        self._edit(SetStack(stack), lambda _: stack)

    def set_stack(self, stack: Stack) -> None:
        """Have this stack, as when a change is taken back."""
        command = SetStack(stack)
        self._edits.add(self.send(command), lambda _: stack)
        self.view = structs.replace(self.view, wanted=stack)

    def member(self, highlighted: Path | None, is_tagged: bool = False) -> LoraRef:
        """The user's member of the stack that is meant: the highlighted one, or the only one."""
        members = {ref.path: ref for ref in self.view.wanted}
        if highlighted in members and not is_tagged:
            return members[highlighted]
        if is_tagged:
            raise _in_the_prompt(highlighted)
        if not members:
            raise CannotError("No LoRA is live: Enter switches to the highlighted one.")
        if len(members) > 1:
            raise CannotError("Highlight the member of the stack whose strength is to change.")
        return next(iter(members.values()))

    def adjust(self, delta: float, ref: LoraRef, part: Part = "both") -> None:
        """Change the strength of a member by a step."""
        bound = self._bounds.get(ref.path, USUAL_BOUND)
        if stepped(ref, delta, part, bound) == ref:
            raise CannotError("The keys go no further with this LoRA; e types any strength.")
        self._edit(
            AdjustStrength(ref.path, delta, part, bound),
            lambda stack: adjusted(stack, ref.path, delta, part, bound),
        )

    def change(self, ref: LoraRef, is_tagged: bool = False) -> None:
        """Give the member of this file other strengths or block weights."""
        if is_tagged:
            raise _in_the_prompt(ref.path)
        self._edit(ChangeMember(ref), lambda stack: changed(stack, ref))

    def generate(self, new_seed: bool = False, forever: bool = False) -> tuple[str, ...]:
        """Put the picture of now at the end of the queue; it is drawn with the stack of now.

        `forever` draws it again and again, with new seeds. Where chance decides, each picture of a
        batch is one of its own. Returns what is to be said of the prompt.
        """
        if not self.state.prompt.strip():
            raise CannotError("The prompt is empty: write what the picture shall show.")
        seed = random.randint(0, MAX_NEW_SEED) if new_seed else self.state.seed
        state = structs.replace(self.state, seed=seed)
        # Here: the first frame does not wait for all that a prompt can say.
        from tui_loraswitch.control.asking import asked_pictures

        asked = asked_pictures(state, self.settings, self.prompt_loras, self.view.wanted, forever)
        # One that is being cancelled may be asked for again.
        left = self.view.waiting if self.view.stopping else self.view.jobs
        queued = [(job.request, job.stack) for job in left[-len(asked.draws) :]]
        if seed != -1 and queued == [(draw.request, draw.stack) for draw in asked.draws]:
            raise CannotError("This very picture is in the queue; r draws one with a new seed.")
        self.state = state
        for draw in asked.draws:
            self.send(draw)
            own = chain.from_iterable(draw.request.region_stacks)
            stack = self.view.wanted if draw.stack is None else draw.stack
            self.on_draw(tuple(ref.path for ref in (*stack, *own)))
        return asked.notes

    def begin_with(self, picture: Path) -> bool:
        """Draw this picture anew from now on; if that is done already, no longer. True if it is."""
        is_new = self.state.start_picture != str(picture)
        self.state = structs.replace(
            self.state, start_picture=str(picture) if is_new else "", mask=""
        )
        return is_new

    def use_again(self, request: GenerateRequest, stack: Stack) -> None:
        """Take the prompt, the settings and the stack of a picture as those of now.

        Tags that count for all of the picture are in the stack, and so no longer in the prompt.
        """
        # Here: see `generate`.
        from engine.words.lora_tags import split_tags
        from engine.words.prompt_language.regions import read_regions

        prompt = request.prompt
        if not read_regions(prompt).regions:
            prompt = split_tags(prompt)[0].strip()
        else:
            tagged, _ = self.prompt_loras.find(prompt)
            stack = tuple(ref for ref in stack if ref not in tagged)
        self.state = self.state.with_draft(replace(request, prompt=prompt))
        self._edit(SetStack(stack), lambda _: stack)

    def cancel(self) -> None:
        """Stop the running picture or load, and drop all that wait."""
        self.send(CancelAll())

    def why_refused(self, entry: LibraryEntry) -> str:
        """Why the loaded model did not take this file, as it is now; empty if it was not tried."""
        refused = (one for one in self.view.refused if one.path == entry.path)
        return next((one.message for one in refused if one.is_of(entry.mtime_ns)), "")

    def verify(self) -> None:
        """Compare the base with its fingerprints."""
        self.send(Verify())

    def move_backup(self) -> None:
        """Move the backups to the next place."""
        if self.view.model is None:
            raise CannotError("No model is loaded: L loads it again, m chooses one.")
        tier = next_tier(self.view.model.device, self.view.memory.backup_tier, self._asked_tier)
        self._asked_tier = tier
        self.send(SetBackup(tier))

    def prefetch(self, entry: LibraryEntry) -> None:
        """Read a LoRA ahead while nothing else is going on."""
        engine = self._engine()
        if engine is not None and self.view.model and self.view.is_idle and entry.fits_sdxl:
            engine.send(Prefetch(self.ref(entry)))

    @cached_property
    def _triggers(self) -> TriggerCycle:
        # Here: see `generate`.
        from tui_loraswitch.control.trigger_cycle import TriggerCycle

        return TriggerCycle()

    def insert_trigger(self, entry: LibraryEntry) -> Insertion:
        """Put the LoRA's next group of trigger words into the prompt."""
        insertion = self._triggers.insert(entry, self.state.prompt)
        self.state = structs.replace(self.state, prompt=insertion.after)
        return insertion

    def ref(self, entry: LibraryEntry) -> LoraRef:
        """The LoRA as used the last time, else at the strength its files recommend."""
        self._bounds[entry.path] = bound_of(entry)
        known = self._strengths.get(entry.path)
        if known is not None:
            return known
        recommended = entry.preferred_strength or 1.0
        return LoraRef(entry.path, recommended, recommended)

    def adjust_unchosen(self, entry: LibraryEntry, delta: float, part: Part = "both") -> bool:
        """Change the strength with which a LoRA will be chosen; False where it is chosen already.

        Raises `CannotError` where the keys go no further.
        """
        if any(ref.path == entry.path for ref in self.view.wanted):
            return False
        ref = self.ref(entry)
        changed = stepped(ref, delta, part, self._bounds[entry.path])
        if changed == ref:
            raise CannotError("The keys go no further with this LoRA.")
        self._strengths[entry.path] = changed
        return True

    def _note_strengths(self) -> None:
        """Keep those of now for when the LoRAs are chosen again."""
        self._strengths.update({ref.path: ref for ref in self.view.wanted})

    def _edit(self, command: StackEdit, edit: Callable[[Stack], Stack]) -> None:
        """Ask for a change of the stack, and count on it before the engine has told of it."""
        before = self.view.wanted
        self._edits.add(self.send(command), edit)
        self.on_edit(before)
        self.view = structs.replace(self.view, wanted=edit(self.view.wanted))
        self._note_strengths()

    def send(self, command: Command) -> str:
        """Ask the engine; returns the command's id. Raises `CannotError` while there is none."""
        engine = self._engine()
        if engine is None:
            raise CannotError("The engine has not started; the log says why if it cannot.")
        id = engine.send(command)
        self.asked[id] = command
        return id


def _in_the_prompt(path: Path | None) -> CannotError:
    name = clean_line(path.stem) if path else "It"
    return CannotError(f"{name} comes from the prompt: edit its tag there.")
