"""From the prompt and settings of now to the pictures that the engine is asked for."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

from msgspec import structs

from engine.protocol.commands import Draw
from engine.protocol.jobs import Turn
from engine.protocol.request import GenerateRequest
from engine.protocol.stack_edits import Stack
from tui_loraswitch.config.settings import AppSettings
from tui_loraswitch.config.ui_state import UiState
from tui_loraswitch.control.prompt_loras import PromptLoras
from tui_loraswitch.control.resolving import MOST_RESOLVED, Resolving, leaves_to_chance


class Asked(NamedTuple):
    """The commands, and sentences on what of the prompt is not as it should be."""

    draws: list[Draw]
    notes: tuple[str, ...]


def asked_pictures(
    state: UiState, settings: AppSettings, loras: PromptLoras, stack: Stack, forever: bool
) -> Asked:
    """What to ask the engine for; `stack` is there beside what the prompt names.

    Where chance decides, each picture has a prompt of its own, by its seed; those that are drawn
    for ever take turns. Raises `EngineError` for prompts that cannot be read, and for LoRAs, styles
    and wildcards that are not there.
    """
    resolving = Resolving(settings)
    names = [name for name in map(str.strip, state.styles.split(",")) if name]
    prompt, negative = resolving.styled(state.prompt, state.negative_prompt, names)
    state = structs.replace(state, prompt=prompt, negative_prompt=negative)
    texts = prompt, negative, state.hires_prompt
    if not leaves_to_chance(texts):
        request, whole = with_loras(state.request(settings.output), settings, loras, stack)
        return Asked([Draw(request, whole, forever)], tuple(resolving.notes))
    count = MOST_RESOLVED if forever else state.batch
    pictures = []
    for seed, (prompt, negative, of_hires) in resolving.choices(texts, state.seed, count):
        own = structs.replace(state, prompt=prompt, negative_prompt=negative, hires_prompt=of_hires)
        request = structs.replace(own, seed=seed, batch=1).request(settings.output)
        pictures.append(with_loras(request, settings, loras, stack))
    draws = [Draw(*picture) for picture in pictures]
    if forever:
        first, *others = pictures
        turns = tuple(Turn.of(*picture) for picture in (*others, first))
        draws = [Draw(*first, forever=True, turns=turns)]
    return Asked(draws, tuple(resolving.notes))


def with_loras(
    request: GenerateRequest, settings: AppSettings, loras: PromptLoras, stack: Stack
) -> tuple[GenerateRequest, Stack]:
    """A request with the LoRAs that its prompts name, and its stack; raises `EngineError`."""
    tagged, own = loras.find(request.prompt)
    whole = (*stack, *tagged)
    hires = request.hires
    if hires is not None and hires.prompt:
        tags, of_hires = loras.find(hires.prompt)
        over = (*stack, *tags)
        hires = replace(hires, stack=None if over == whole else over, region_stacks=of_hires)
    request = replace(
        request,
        embeddings=settings.embeddings,
        region_stacks=own,
        hires=hires,
        picture_format=settings.picture_format,
        file_names=settings.picture_names,
        # Where none is shown, none is made and sent.
        preview_every=0 if settings.image_protocol == "off" else request.preview_every,
    )
    written = loras.written((*whole, *request.own_loras))
    return replace(request, lora_names=written), whole
