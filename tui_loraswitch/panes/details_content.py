"""What is known of a LoRA, as text."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby, islice
from operator import attrgetter

from textual.content import Content

from engine.library.entry import LibraryEntry
from engine.protocol.text import file_size, plural
from engine.words.clean import clean_line, clean_text
from tui_loraswitch.control.triggers import GUESSED, TriggerGroup, telling_tags, trigger_groups
from tui_loraswitch.look.theme import FAINT, MUTED


def details_content(entry: LibraryEntry, refused: str = "", effect: str = "") -> Content:
    """The details of a LoRA, most needed first; `refused` says why the model did not take it.

    `effect` shows which blocks it changes.
    """
    trouble = entry.error or refused
    lines = [Content.styled(f"! {clean_line(trouble)}", "$text-error")] if trouble else []
    if entry.title and clean_line(entry.title) != entry.name:
        lines.append(
            Content.assemble((clean_line(entry.title), "bold"), (_by(entry, "title"), FAINT))
        )
    tags = ", ".join(_tag(tag, count) for tag, count in telling_tags(entry)[:12])
    named = (group for group in trigger_groups(entry) if group.source != GUESSED)
    triggers = [_trigger(*item) for item in groupby(named, key=attrgetter("source"))]
    lines += triggers[:1]
    lines += [Content(line) for line in (_format(entry), _reach(entry), _amounts(entry)) if line]
    if not triggers and tags:
        # Where nobody names a trigger, what it was trained on is the nearest thing to one.
        lines.append(_labelled("tags", tags))
    lines += triggers[1:]
    if entry.base_model != "SDXL" and entry.base_evidence:
        lines.append(Content.styled(clean_line(entry.base_evidence), MUTED))
    by = " · ".join(clean_line(text, 120) for text in (entry.author, entry.licence) if text)
    labelled = (
        ("changes", effect),
        ("by", by),
        ("avoid", clean_line(entry.negative_text)),
        ("tags", tags if triggers else ""),
        ("in", clean_line(entry.key)),
    )
    lines += [_labelled(label, text) for label, text in labelled if text]
    lines += [Content.styled(clean_line(text), MUTED) for text in entry.problems]
    for name, text in (("notes", entry.notes), ("description", entry.description)):
        if text:
            lines.append(Content.assemble(clean_text(text), (_by(entry, name), FAINT)))
    return Content("\n").join(lines)


def _tag(tag: str, count: int) -> str:
    return f"{clean_line(tag, 60)} {count}" if count else clean_line(tag, 60)


def _labelled(label: str, text: str) -> Content:
    return Content.assemble((f"{label} ", MUTED), (text, FAINT))


def _trigger(source: str, groups: Iterable[TriggerGroup]) -> Content:
    """What one source names; its groups are told apart."""
    words = " · ".join(clean_line(group.text) for group in islice(groups, 12))
    return Content.assemble(
        ("trigger ", MUTED), (words, "$text-accent"), (f" {clean_line(source, 40)}", FAINT)
    )


def _format(entry: LibraryEntry) -> str:
    rank = f"r{entry.rank}" if entry.rank else ""
    alpha = f"α{entry.alpha:g}" if entry.alpha is not None else ""
    facts = (clean_line(entry.base_label, 60), clean_line(entry.family, 40), rank, alpha)
    return " ".join(fact for fact in facts if fact)


def _reach(entry: LibraryEntry) -> str:
    modules = plural(entry.modules, "module") if entry.modules else ""
    return " · ".join(fact for fact in ("+".join(entry.parts), modules) if fact)


def _amounts(entry: LibraryEntry) -> str:
    best = entry.preferred_strength
    if best is None:
        return file_size(entry.size)
    return f"{file_size(entry.size)} · best at {best:g}{_by(entry, 'preferred_strength')}"


def _by(entry: LibraryEntry, name: str) -> str:
    """Who says it, in brackets."""
    who = clean_line(entry.said_by(name), 40)
    return f" ({who})" if who else ""
