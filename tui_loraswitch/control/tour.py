"""A tour: every LoRA drawn once with one prompt and seed, its own trigger words put in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from engine.errors import EngineError
from engine.library.entry import LibraryEntry
from engine.library.names import LibraryNames
from engine.protocol.refs import LoraRef
from engine.protocol.request import GenerateRequest
from engine.sweep.cell_names import value_names
from engine.sweep.cells import Cell, Resolver, Stack
from tui_loraswitch.control.prompt_words import joined, missing
from tui_loraswitch.control.triggers import trigger_groups


def tour_cells(
    entries: Sequence[LibraryEntry],
    names: LibraryNames[LibraryEntry],
    request: GenerateRequest,
    beneath: Stack,
    resolver: Resolver,
    on_problem: Callable[[str], object],
) -> list[Cell]:
    """A cell for each LoRA, at the strength its files recommend, above the stack `beneath`.

    `on_problem` is told of LoRAs whose words no prompt can hold; they are drawn without them.
    """
    labels = [names.written(entry.path) for entry in entries]
    cells = []
    numbered = enumerate(zip(entries, labels, value_names(labels), strict=True))
    for number, (entry, label, name) in numbered:
        strength = 1.0 if entry.preferred_strength is None else entry.preferred_strength
        stack = (*beneath, LoraRef(entry.path, strength, strength))
        worded = replace(request, prompt=with_triggers(entry, request.prompt))
        try:
            wanted = resolver.picture(worded, stack)
        except EngineError as error:
            on_problem(f"{entry.name} is drawn without its trigger words: {error}")
            wanted = resolver.picture(request, stack)
        cells.append(Cell(name, (number,), {"lora": label}, *wanted))
    return cells


def with_triggers(entry: LibraryEntry, prompt: str) -> str:
    """A prompt with the first group of a LoRA's trigger words, as far as they are missing."""
    groups = trigger_groups(entry)
    items = missing(prompt, groups[0].text) if groups else []
    return joined(prompt, items) if items else prompt
