"""Titles, trigger words and tags from a header's metadata."""

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from engine.library.entry import TriggerWords
from engine.library.metadata import describe_metadata, shown_metadata, training_tags

_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=6,
)


def test_modelspec_and_kohya_keys() -> None:
    said = describe_metadata(
        {
            "modelspec.title": "Neon \x1b[31mglow",
            "modelspec.author": "someone",
            "modelspec.license": "None",
            "modelspec.description": "<p>Bright.</p>",
            "modelspec.trigger_phrase": "neon glow",
            "modelspec.usage_hint": "0.8 is enough",
            "modelspec.tags": "style, neon, style",
            "ss_datasets": json.dumps([{"subsets": [{"class_tokens": "ohwx"}, {}]}]),
        }
    )
    assert said.title == "Neon glow"
    assert said.author == "someone"
    assert said.licence == ""
    assert said.description == "Bright."
    assert said.notes == "0.8 is enough"
    assert said.tags == (("style", 0), ("neon", 0))
    assert said.trigger_words == (
        TriggerWords("modelspec", ("neon glow",)),
        TriggerWords("class tokens", ("ohwx",)),
    )


def test_tags_are_summed_over_folders_and_the_most_used_are_triggers() -> None:
    frequency = {"10_a": {"neon": 20, "city": 3}, "5_b": {"neon": 5, "rain": 20}}
    metadata = {"ss_tag_frequency": json.dumps(frequency)}
    assert training_tags(metadata) == (("neon", 25), ("rain", 20), ("city", 3))
    assert describe_metadata(metadata).trigger_words == (
        TriggerWords("training tags", ("neon", "rain")),
    )


def test_captions_are_split_into_words() -> None:
    frequency = {"10_a": {"a photo of ohwx, standing": 2, "ohwx under a tree": 1}}
    tags = dict(training_tags({"ss_tag_frequency": json.dumps(frequency)}))
    assert tags["ohwx"] == 3
    assert tags["photo"] == 2


def test_amounts_are_bounded() -> None:
    many = {"d": {f"t{n}": n + 1 for n in range(5000)}}
    metadata = {f"key{n}": "v" * 1000 for n in range(1000)}
    metadata["ss_tag_frequency"] = json.dumps(many)
    assert len(describe_metadata(metadata).tags) == 60
    shown = shown_metadata(metadata)
    assert len(shown) == 200
    assert all(len(value) == 301 and value.endswith("…") for _, value in shown)


def test_shown_metadata_leaves_pictures_and_empty_values_out() -> None:
    shown = shown_metadata({"b": "2\x07", "a": "1", "c": "None", "ssmd_cover_images": "[...]"})
    assert shown == (("a", "1"), ("b", "2"))


@given(
    st.dictionaries(
        st.sampled_from(
            ["ss_tag_frequency", "ss_datasets", "modelspec.tags", "modelspec.title",
             "modelspec.trigger_phrase", "modelspec.description"]
        ),
        _JSON.map(json.dumps) | st.text(),
    )
)  # fmt: skip
def test_any_metadata_is_described(metadata: dict[str, str]) -> None:
    said = describe_metadata(metadata)
    assert all(isinstance(tag, str) and count >= 0 for tag, count in said.tags)
    assert "\x1b" not in said.title


_TAGS = st.dictionaries(st.text(max_size=4), st.integers() | _JSON, max_size=4)


@given(st.dictionaries(st.text(max_size=3), _TAGS, max_size=3))
@settings(max_examples=50)
def test_any_tag_table_gives_counts_in_order(table: dict[str, object]) -> None:
    counts = [count for _, count in training_tags({"ss_tag_frequency": json.dumps(table)})]
    assert counts == sorted(counts, reverse=True)
