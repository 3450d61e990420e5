"""From what is typed into the sweep's form to a plan, and what the words of a plan mean here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from engine.block_weights import BlockWeights, parse_block_weights
from engine.errors import EngineError
from engine.files.toml_text import parse_toml
from engine.protocol.refs import LoraRef
from engine.protocol.request import GenerateRequest
from engine.protocol.stack_edits import Stack
from engine.sweep.plan import SweepPlan, parse_plan, require_few
from engine.sweep.values import SPELLINGS
from tui_loraswitch.config.settings import AppSettings
from tui_loraswitch.config.ui_state import UiState
from tui_loraswitch.control.asking import with_loras
from tui_loraswitch.control.prompt_loras import PromptLoras
from tui_loraswitch.control.resolving import Resolving, leaves_to_chance
from tui_loraswitch.control.typed_numbers import as_list, typed_numbers

NAME = "The plan"
_BEYOND = "# Drawn with a start picture or a second pass, which a plan does not hold.\n"


def plan_text(state: UiState, names: Sequence[str], texts: Mapping[str, str]) -> str:
    """The plan as TOML: the settings of now, and the axes that were typed.

    `texts` are `strength` and `seed` as numbers and ranges, and `more`: lines of further axes.
    Raises `EngineError` where one cannot be read.
    """
    import tomli_w

    fixed: dict[str, object] = {
        "prompt": state.prompt,
        "negative_prompt": state.negative_prompt,
        "steps": state.steps,
        "cfg_scale": state.cfg_scale,
        "sampler": state.sampler,
        "schedule": state.schedule,
        "clip_skip": state.clip_skip,
        "noise": state.noise,
    }
    if state.width and state.height:
        fixed["size"] = [state.width, state.height]
    more = _more_axes(texts.get("more", ""))
    typed = (line.partition("=")[0].strip() for line in more.splitlines())
    swept = {SPELLINGS.get(name, name) for name in typed}
    lines = [tomli_w.dumps({"lora": list(names)}).strip()] if names else []
    for axis, name, whole in (("strength", "strengths", False), ("seed", "seeds", True)):
        if numbers := typed_numbers(texts[axis], name, whole=whole):
            lines.append(f"{axis} = [{as_list(numbers)}]")
    # What is typed as an axis is not the same in every cell.
    kept = {name: value for name, value in fixed.items() if name not in swept or name == "prompt"}
    head = _BEYOND if state.start_picture or state.hires_scale != 1 else ""
    return head + "\n".join((tomli_w.dumps(kept).strip(), "", "[axes]", *lines, more.strip(), ""))


def _more_axes(typed: str) -> str:
    lines = typed.replace(";", "\n")
    try:
        parse_toml(lines)
    except ValueError as error:
        such = "steps = [8, 20]; sampler = ['Euler', 'DDIM']"
        raise EngineError(f"more axes: write them as {such} (names in quotes).") from error
    return lines


def read_form(state: UiState, names: Sequence[str], texts: Mapping[str, str]) -> SweepPlan:
    """The plan of the form; raises `EngineError` with what is wrong with it."""
    return parse_plan(plan_text(state, names, texts), NAME)


def count_cells(state: UiState, loras: int, texts: Mapping[str, str]) -> int:
    """The cells of the form with so many LoRAs; raises as `read_form`."""
    plan = read_form(state, ["LoRA"] if loras else [], texts)
    if plan.filter is not None:
        raise EngineError("Filter the list with / and choose what it shows.")
    count = plan.count * max(1, loras)
    require_few(count)
    return count


class LibraryOfApp:
    """Resolves the words of a plan by the library as the app knows it. Raises `EngineError`."""

    def __init__(self, settings: AppSettings, loras: PromptLoras) -> None:
        self._settings = settings
        self._loras = loras

    def lora(self, name: str) -> LoraRef:
        """The file of a name."""
        return LoraRef(self._loras.entry(name).path)

    def blocks(self, text: str) -> BlockWeights:
        """Block weights, or a preset of the configuration."""
        return parse_block_weights(text, self._settings.block_weights)

    def picture(self, request: GenerateRequest, stack: Stack) -> tuple[GenerateRequest, Stack]:
        """The request with what chance decides, by its seed, and what its tags name."""
        texts = [request.prompt, request.negative_prompt]
        if leaves_to_chance(texts):
            ((_, texts),) = Resolving(self._settings).choices(texts, request.seed, 1)
        prompt, negative = texts
        request = replace(request, prompt=prompt, negative_prompt=negative)
        return with_loras(request, self._settings, self._loras, stack)
