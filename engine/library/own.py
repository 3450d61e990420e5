"""What the list has to know of the user's own words about a file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from engine.library.columns import Columns
from engine.library.entry import LibraryEntry, TriggerWords
from engine.library.list_row import FITS, OTHER_MODEL, PART, UNUSABLE, folded, folded_base
from engine.store.lora_words import LoraWords


class Own(LoraWords, frozen=True):
    """The user's own words about one file, and what is known of it beside others."""

    is_duplicate: bool = False
    """Whether another file of the library has the same tensors."""


OWN_NOTHING = Own()


def entry_with_own(entry: LibraryEntry, own: Own) -> LibraryEntry:
    """The entry of a file with the user's words before those of the file."""
    base, _, variant = own.base_model.partition(" ") if own.base_model else ("", "", "")
    if base not in ("", "SDXL"):
        base, variant = own.base_model, ""
    triggers = (TriggerWords("mine", own.triggers),) if own.triggers else ()
    notes = "\n".join(filter(None, (own.notes, entry.notes)))
    own_fields = (("preferred_strength", own.strength is not None), ("notes", bool(own.notes)))
    mine = tuple((name, "mine") for name, is_said in own_fields if is_said)
    return replace(
        entry,
        sources=(*entry.sources, *mine),
        base_model=base or entry.base_model,
        base_variant=variant if base else entry.base_variant,
        base_evidence="you say so" if base else entry.base_evidence,
        preferred_strength=entry.preferred_strength if own.strength is None else own.strength,
        tags=(*((tag, 0) for tag in own.tags), *entry.tags),
        trigger_words=(*triggers, *entry.trigger_words),
        notes=notes,
    )


def columns_with_own(rows: Columns, own: Mapping[int, Own]) -> Columns:
    """The rows with the user's words beside those of the files."""
    said = [(number, own[id]) for number, id in enumerate(rows.id) if id in own] if own else []
    if not said:
        return rows
    texts, bases, fits = rows.text[:], rows.base[:], rows.fits[:]
    for number, words in said:
        texts[number] = _text_with_own(texts[number], words)
        if words.base_model and fits[number] != UNUSABLE:
            fits[number] = FITS if words.base_model.startswith("SDXL") else OTHER_MODEL
            bases[number] = folded_base(words.base_model)
    return rows._replace(text=texts, base=bases, fits=fits)


def _text_with_own(text: str, own: Own) -> str:
    name, tags, notes = text.split(PART, 2)
    tags = "\n".join((tags, *map(folded, own.tags)))
    return PART.join((name, tags, f"{notes}\n{folded(own.notes)}"))
