"""What is drawn while somebody looks around: the highlighted LoRA with the stack, small and quick.

Where the cursor rests, the full picture follows, as `g` would draw it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from msgspec import structs

from engine.demo import DEMO_LORAS
from engine.library.entry import LibraryEntry
from engine.protocol.commands import Audition
from engine.protocol.events import ModelInfo
from engine.protocol.refs import LoraRef
from engine.protocol.request import GenerateRequest
from engine.protocol.stack_edits import Stack
from engine.words.sampler_spellings import read_sampler_and_schedule
from engine.words.sizes import shape_size
from tui_loraswitch.config.audition import AuditionSettings
from tui_loraswitch.control.prompt_loras import require_fit

if TYPE_CHECKING:
    from tui_loraswitch.control.control import Control

_DEMO_LORA = DEMO_LORAS / "speed" / "four_steps.safetensors"
_DEMO_STEPS, _DEMO_SIZE = 3, 160
"""What the demo needs for shapes that can be known: half of its size is too little."""
_SMALLEST = 64
_SEED = 1
"""Where every picture has a new one: two LoRAs are compared by the same."""


def quick_look(
    control: Control, entry: LibraryEntry | None, settings: AuditionSettings
) -> Audition | None:
    """The picture for while the cursor moves; None where there is nothing to draw with.

    Raises `EngineError` for a LoRA that does not fit, and a prompt that cannot be read.
    """
    full, model = full_look(control, entry), control.view.model
    if full is None or full.request is None or model is None:
        return None
    how, request, stack = _on(settings, model), full.request, full.stack
    width, height = smaller(request, how.size or model.default_size // 2, model.default_size)
    quick = replace(
        request,
        steps=min(how.steps, request.steps),
        cfg_scale=how.cfg_scale or request.cfg_scale,
        width=width,
        height=height,
        shape="",
        hires=None,
    )
    if how.sampler:
        sampler, schedule = read_sampler_and_schedule(how.sampler, "Automatic")
        quick = replace(quick, sampler=sampler, schedule=schedule)
    if how.lora is not None and all(ref.path != how.lora for ref in stack):
        stack = (*stack, LoraRef(how.lora, 1.0, 0.0))
    return Audition(quick, stack)


def _on(settings: AuditionSettings, model: ModelInfo) -> AuditionSettings:
    """The settings for a model; the demo brings a LoRA for four steps along."""
    if model.is_demo and settings.lora is None:
        steps, size = min(settings.steps, _DEMO_STEPS), settings.size or _DEMO_SIZE
        return structs.replace(
            settings, steps=steps, size=size, lora=_DEMO_LORA, sampler="LCM", cfg_scale=1.0
        )
    return settings


def full_look(control: Control, entry: LibraryEntry | None) -> Audition | None:
    """The picture for where the cursor rests; None and raises as `quick_look`."""
    state = control.state
    if control.view.model is None or not state.prompt.strip():
        return None
    seed = _SEED if state.seed == -1 else state.seed
    one = structs.replace(state, batch=1, seed=seed)
    stack = _with(control, entry)
    # Here: see `Control.generate`.
    from tui_loraswitch.control.asking import asked_pictures

    asked = asked_pictures(one, control.settings, control.prompt_loras, stack, forever=False)
    draw = asked.draws[0]
    return Audition(draw.request, draw.stack or ())


def _with(control: Control, entry: LibraryEntry | None) -> Stack:
    """The wanted stack, and the highlighted LoRA where it is not in it."""
    wanted = control.view.wanted
    if entry is None or any(ref.path == entry.path for ref in wanted):
        return wanted
    require_fit(entry)
    return (*wanted, control.ref(entry))


def smaller(request: GenerateRequest, longest: int, trained: int) -> tuple[int, int]:
    """The size, in the same shape, that has no longer side; a multiple of 8."""
    own = shape_size(request.shape, trained) if request.shape else (trained, trained)
    width, height = request.width or own[0], request.height or own[1]
    share = min(1.0, longest / max(width, height))
    return _multiple(width * share), _multiple(height * share)


def _multiple(side: float) -> int:
    return max(_SMALLEST, round(side / 8) * 8)
