"""Named trigger words are one thing, tags of the training pictures another."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from engine.library.read_entry import read_entry
from engine.library.walk import Walk
from tui_loraswitch.control import CannotError, Control
from tui_loraswitch.panes.details_content import details_content
from tui_loraswitch.triggers import GUESSED, best_triggers
from tui_loraswitch.ui_state import UiState

from .conftest import write_lora


def entry_of(path: Path):
    files = [file for batch in Walk(path.parent) for file in batch]
    return read_entry(next(file for file in files if file.path == path))


def tagged(path: Path, trigger: str = "", **tags: int):
    table = {"10_folder": {tag.replace("_", " "): count for tag, count in tags.items()}}
    return entry_of(write_lora(path, trigger=trigger, ss_tag_frequency=json.dumps(table)))


def test_a_slider_trained_on_captions_has_no_trigger_but_tags(tmp_path, settings):
    slider = tagged(tmp_path / "warmth.safetensors", background=77, a=53, purple=18, white=17)
    assert any(group.source == GUESSED for group in slider.trigger_words)
    lines = details_content(slider).plain.splitlines()
    assert "tags purple 18, white 17" in lines
    assert "trigger" not in details_content(slider).plain
    with pytest.raises(CannotError, match="no trigger words"):
        Control(lambda: None, settings, UiState()).insert_trigger(slider)


def test_named_words_go_first_and_tags_last(tmp_path):
    entry = tagged(tmp_path / "neon.safetensors", "neon glow", a=90, neon_sign=90, city=60)
    lines = details_content(entry).plain.splitlines()
    assert lines[0] == "trigger neon glow modelspec"
    assert lines[-2] == "tags neon sign 90, city 60"
    assert best_triggers(entry) == ("neon glow",)


def test_without_named_words_a_telling_tag_of_all_pictures_is_put_into_the_prompt(
    tmp_path, settings
):
    entry = tagged(tmp_path / "ohwx.safetensors", **{"1girl": 90, "ohwx_woman": 90, "smile": 9})
    control = Control(lambda: None, settings, UiState(prompt="a portrait"))
    assert control.insert_trigger(entry) == ["ohwx woman"]
    assert control.state.prompt == "a portrait, ohwx woman"
