"""A prompt in parts that are joined with weights: A1111's `a :1.2 AND b :0.5`."""

from __future__ import annotations

import re
from dataclasses import dataclass

from engine.words.prompt_language.editing import TextUntil, find_changing, texts_over_steps
from engine.words.prompt_language.notes import quoted

_AND = re.compile(r"\bAND\b")
_WEIGHT = re.compile(r"(?<!\\):\s*+([+-]?(?:[0-9]++\.?[0-9]*+|\.[0-9]++))\Z")
_TAG_IN_PROMPT = re.compile(r"<(?:lora|lyco):[^<>]*+>", re.IGNORECASE)


@dataclass(frozen=True)
class PromptPart:
    """A part of a prompt: its weight beside the others, and its text over the steps."""

    weight: float
    texts: tuple[TextUntil, ...]

    def at(self, step: int) -> str:
        """The text at a step, counted from 1."""
        return next(text for last, text in self.texts if step <= last)


@dataclass(frozen=True)
class ReadPrompt:
    """A prompt over the steps, and notes on what was taken as text or otherwise than one may think.

    Drawn is: unconditional + CFG × Σ weight × (part − unconditional).
    """

    parts: tuple[PromptPart, ...]
    notes: tuple[str, ...] = ()


def read_prompt(text: str, steps: int, steps_before: int = 0) -> ReadPrompt:
    """Read AND, prompt editing and alternation of a prompt for a number of steps.

    Weights in brackets, escapes and BREAK stay in the texts, for `parse_prompt`; so do tags, which
    are not part of what changes: take them out first (`split_tags`). With `steps_before`, the steps
    of the pass before, it is read for a second pass. Raises `EngineError` for too many brackets.
    """
    parts: list[PromptPart] = []
    notes: list[str] = []
    pieces = _AND.split(text)
    for piece in pieces:
        words, weight, written = _weighed(piece)
        if written and len(pieces) == 1:
            notes.append(
                f"{quoted(written)} at the end of the prompt is its weight; “\\{written}” is text."
            )
        texts, of_piece = texts_over_steps(words, steps, steps_before)
        parts.append(PromptPart(weight, texts))
        notes += of_piece
    return ReadPrompt(tuple(parts), tuple(dict.fromkeys(notes)))


def tags_that_never_change(text: str) -> tuple[str, ...]:
    """Notes on tags in brackets that change over the steps, as they count at all steps."""
    changing, _ = find_changing(text)
    return tuple(
        f"{quoted(tag[0])} counts at all steps, though it is in brackets that change; "
        "start= and end= in the tag say when it counts."
        for tag in _TAG_IN_PROMPT.finditer(text)
        if any(brackets.start < tag.start() < brackets.end for brackets in changing)
    )


def notes_on_negative(text: str) -> tuple[str, ...]:
    """A note on AND in a negative prompt, of which there is one."""
    if _AND.search(text) is None:
        return ()
    return ("“AND” in the negative prompt is a word like others.",)


def _weighed(piece: str) -> tuple[str, float, str]:
    """A part without the weight at its end, the weight, and how it is written."""
    stripped = piece.rstrip()
    found = _WEIGHT.search(stripped)
    if found is None:
        return piece, 1.0, ""
    return stripped[: found.start()].rstrip(), float(found[1]), found[0]
