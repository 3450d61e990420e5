"""What a LoRA does, in words and a row of bars."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from engine.protocol.text import plural


def effect_fields(path: Path) -> Iterator[tuple[str, str]]:
    """Labels and values; nothing where its factors alone do not tell."""
    from engine.lora.effect import effect_of
    from tui_loraswitch.control.effect_chart import chart

    effect = effect_of(path)
    if effect.modules:
        yield "changes", chart(effect, with_shares=True)
    if effect.left_out:
        count = plural(effect.left_out, "module")
        yield "", f"{count} whose change depends on the model's own weights"


def likeness_words(path: Path, other: Path) -> str:
    """How alike two LoRAs are."""
    from engine.lora.effect import likeness

    found = likeness(path, other)
    if not found.shared:
        return f"{other.name}: they change no module in common"
    shared = plural(found.shared, "shared module")
    return f"{other.name}: cosine {found.cosine:.2f} over {shared}"
