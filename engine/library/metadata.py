"""What a LoRA's own header says: kohya's `ss_` keys and the ModelSpec.

Kohya writes every value as a string (`None` as "None"), tables as JSON in a string.
ModelSpec: https://github.com/Stability-AI/ModelSpec
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from engine.files.json_text import parse_json
from engine.library.description import MAX_TAGS, Description, trigger_words
from engine.library.html_text import plain_description
from engine.words.clean import clean_line, clean_text

MAX_JSON = 8_000_000
"""Characters of a JSON value that is still read."""
MAX_KEYS = 200
"""Metadata entries kept for showing."""
MAX_SHOWN = 300
"""Characters of one metadata value kept for showing."""

_CAPTION_LENGTH = 16
"""Mean tag length from which the "tags" are whole captions."""
_PICTURE_KEYS = ("ssmd_cover_images", "modelspec.thumbnail")
_SAYING_NOTHING = ("", "None", "{}", "[]")
_MAX_TRAINING_TRIGGERS = 5


def describe_metadata(metadata: Mapping[str, str]) -> Description:
    """Read title, texts, trigger words and tags from a header's metadata."""
    training = training_tags(metadata)
    listed = tuple((tag, 0) for tag in dict.fromkeys(_words(_spec(metadata, "tags"))))
    return Description(
        source="header",
        title=clean_line(_spec(metadata, "title")),
        description=plain_description(_spec(metadata, "description")),
        author=clean_line(_spec(metadata, "author")),
        licence=clean_line(_spec(metadata, "license")),
        trigger_words=(
            *trigger_words("modelspec", [_spec(metadata, "trigger_phrase")]),
            *trigger_words("class tokens", _class_tokens(metadata)),
            *trigger_words("training tags", _most_used(training)),
        ),
        tags=(training or listed)[:MAX_TAGS],
        notes=clean_text(_spec(metadata, "usage_hint")),
    )


def training_tags(metadata: Mapping[str, str]) -> tuple[tuple[str, int], ...]:
    """Tags of the training pictures with their counts, most frequent first.

    Summed over the training folders of `ss_tag_frequency`; captions are split into words.
    """
    if "ss_tag_frequency" not in metadata:
        return ()
    folders = json_or_none(metadata["ss_tag_frequency"])
    counts: Counter[str] = Counter()
    for tags in folders.values() if isinstance(folders, dict) else ():
        for tag, count in tags.items() if isinstance(tags, dict) else ():
            if type(count) is int and 0 < count < 2**53:
                counts[tag] += count
    if counts and sum(map(len, counts)) / len(counts) >= _CAPTION_LENGTH:
        captions, counts = counts, Counter()
        for caption, count in captions.items():
            for word in caption.replace(",", " ").split():
                counts[word] += count
    cleaned: Counter[str] = Counter()
    for tag, count in counts.most_common(MAX_TAGS):
        if word := clean_line(tag):
            cleaned[word] += count
    return tuple(cleaned.most_common())


def shown_metadata(metadata: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """The metadata for a table of the details: sorted, cleaned, long values cut.

    Pictures and values that say nothing are left out.
    """
    shown = []
    for key in sorted(metadata)[:MAX_KEYS]:
        if key in _PICTURE_KEYS or metadata[key] in _SAYING_NOTHING:
            continue
        value = clean_line(metadata[key], MAX_SHOWN)
        shown.append((clean_line(key), value + "…" * (len(metadata[key]) > MAX_SHOWN)))
    return tuple(shown)


def json_or_none(text: str) -> Any:
    """The value of a JSON text; None when it is not JSON, or too long to be sensible."""
    if not text or len(text) > MAX_JSON:
        return None
    try:
        return parse_json(text)
    except ValueError:
        return None


def _spec(metadata: Mapping[str, str], key: str) -> str:
    value = metadata.get(f"modelspec.{key}", "")
    return "" if value == "None" else value


def _words(text: str) -> list[str]:
    return [word for part in text.split(",", MAX_TAGS)[:MAX_TAGS] if (word := clean_line(part))]


def _class_tokens(metadata: Mapping[str, str]) -> list[str]:
    tokens: list[str] = []
    if "ss_datasets" not in metadata:
        return tokens
    datasets = json_or_none(metadata["ss_datasets"])
    for dataset in datasets if isinstance(datasets, list) else ():
        subsets = dataset.get("subsets") if isinstance(dataset, dict) else None
        for subset in subsets if isinstance(subsets, list) else ():
            token = subset.get("class_tokens") if isinstance(subset, dict) else None
            if isinstance(token, str) and token != "None":
                tokens.append(token)
    return tokens


def _most_used(training: tuple[tuple[str, int], ...]) -> list[str]:
    """The tags that nearly every training picture had: they are what the LoRA listens to."""
    most = training[0][1] if training else 0
    return [tag for tag, count in training[:_MAX_TRAINING_TRIGGERS] if 2 * count >= most]
