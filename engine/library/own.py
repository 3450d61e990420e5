"""What the list has to know of the user's own words about a file."""

from __future__ import annotations

from dataclasses import dataclass, replace

from engine.library.entry import LibraryEntry, TriggerWords
from engine.library.list_row import FITS, OTHER_MODEL, PART, UNUSABLE, ListRow, folded, folded_base
from engine.store.lora_words import LoraWords


@dataclass(frozen=True)
class Own(LoraWords):
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


def with_own(row: ListRow, own: Own) -> ListRow:
    """The row of a file with the user's words beside those of the file."""
    name, tags, notes = row.text.split(PART, 2)
    text = PART.join(
        (name, "\n".join((tags, *map(folded, own.tags))), f"{notes}\n{folded(own.notes)}")
    )
    if not own.base_model or row.fits == UNUSABLE:
        return row._replace(text=text)
    fits = FITS if own.base_model.startswith("SDXL") else OTHER_MODEL
    return row._replace(text=text, base=folded_base(own.base_model), fits=fits)
