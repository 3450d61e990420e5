"""From a request's prompts to what the UNet reads in each of its calls."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from engine.embeddings.vocabulary import Vocabulary
from engine.generate.encode import EmbeddingsCache, PromptEmbeddings, encode_texts
from engine.protocol.request import GenerateRequest
from engine.words.lora_tags import split_tags
from engine.words.other_tags import without_other_tags
from engine.words.prompt import is_empty
from engine.words.prompt_language.editing import TextUntil, texts_over_steps
from engine.words.prompt_language.parts import PromptPart, notes_on_negative, read_prompt


@dataclass(frozen=True)
class Guidance:
    """What the UNet reads in one call; all embeddings are of the same length."""

    prompts: tuple[tuple[PromptEmbeddings, float], ...]
    """Each with its weight; several are those that `AND` joins."""
    negative: PromptEmbeddings | None = None
    """What to lead away from; without it there is one prompt, and no guidance."""


@dataclass(frozen=True)
class EncodedPrompts:
    """A request's prompts, encoded: call it with the number of a call of the UNet, from 0."""

    parts: Sequence[PromptPart]
    negative: Sequence[TextUntil] | None
    encoded: dict[str, PromptEmbeddings]
    zeros: PromptEmbeddings | None
    """What stands for a negative prompt without a word, if not its embeddings."""
    cfg_scale: float
    notes: tuple[str, ...] = ()
    """What was not understood."""

    def __call__(self, call: int) -> Guidance:
        prompts = tuple((self.encoded[_at(part.texts, call)], part.weight) for part in self.parts)
        if self.negative is None:
            return Guidance(prompts)
        text = _at(self.negative, call)
        if self.zeros is not None and is_empty(text):
            return Guidance(prompts, self.zeros)
        return Guidance(prompts, self.encoded[text])


def encode_prompts(
    pipe: Any,
    request: GenerateRequest,
    calls: int,
    cache: EmbeddingsCache | None,
    vocabulary: Vocabulary,
    steps_before: int = 0,
) -> EncodedPrompts:
    """Encode all that the prompts of a request come to in so many calls of the UNet.

    As in A1111, prompt editing counts the calls of samplers that need two a step. `steps_before`
    are those of the pass before this one. Raises `EngineError` for a prompt that cannot be read.
    """
    halves = -(-calls // request.steps)
    steps, before = request.steps * halves, steps_before * halves
    prompt, avoided = (
        without_other_tags(split_tags(text)[0])
        for text in (request.prompt, request.negative_prompt)
    )
    read = read_prompt(prompt, steps, before)
    negative, notes = texts_over_steps(avoided, steps, before)
    texts = [text for part in read.parts for _, text in part.texts]
    has_zeros = request.empty_negative == "zeros"
    if request.is_guided:
        texts += [text for _, text in negative if not (has_zeros and is_empty(text))]
    texts = list(dict.fromkeys(texts))
    embeddings = encode_texts(pipe, texts, request.clip_skip, cache, vocabulary, "encoded")
    return EncodedPrompts(
        read.parts,
        negative if request.is_guided else None,
        dict(zip(texts, embeddings, strict=True)),
        embeddings[0].zeros() if has_zeros else None,
        # CFG++ is made for scales below 1, which are none elsewhere.
        request.cfg_scale if request.is_plus else max(1.0, request.cfg_scale),
        (*read.notes, *notes, *notes_on_negative(avoided)),
    )


def _at(texts: Sequence[TextUntil], call: int) -> str:
    """The text at a call, or the last one."""
    return next((text for last, text in texts if call < last), texts[-1].text)
