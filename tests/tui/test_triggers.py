"""Named trigger words are one thing, tags of the training pictures another."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from engine.errors import EngineError
from engine.library.read_entry import read_entry
from engine.library.walk import Walk
from tui_loraswitch.config.ui_state import UiState
from tui_loraswitch.control.control import Control
from tui_loraswitch.control.triggers import GUESSED, best_triggers, trigger_groups
from tui_loraswitch.panes.details_content import details_content

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
    with pytest.raises(EngineError, match="no trigger words"):
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
    control.insert_trigger(entry)
    assert control.state.prompt == "a portrait, ohwx woman"


def with_sidecars(folder: Path, **sidecars: object):
    """A LoRA with files beside it, by the end of their names: `json`, `civitai_info`."""
    path = write_lora(folder / "x.safetensors")
    for name, content in sidecars.items():
        path.with_suffix("." + name.replace("_", ".")).write_text(json.dumps(content))
    return entry_of(path)


def groups(entry) -> list[str]:
    return [group.text for group in trigger_groups(entry)]


def test_each_of_the_trained_words_is_a_group_however_many_commas_it_holds(tmp_path):
    words = ["saber, blue dress, armour", "saber, (white shirt, ribbon:1.1)", "saber", ""]
    entry = with_sidecars(tmp_path, civitai_info={"trainedWords": words})
    assert groups(entry) == words[:3]
    assert best_triggers(entry) == tuple(words[:3])


def test_a_long_group_is_whole(tmp_path):
    dress = ", ".join(f"word{number}" for number in range(200))
    assert groups(with_sidecars(tmp_path, civitai_info={"trainedWords": [dress]})) == [dress]


@pytest.mark.parametrize(
    ("trained", "text"),
    [
        ("saber_(fate)", r"saber_\(fate\)"),
        ("hatsune miku (vocaloid), 1girl", r"hatsune miku \(vocaloid\), 1girl"),
        ("artoria_(lancer)_(fate)", r"artoria_\(lancer\)_\(fate\)"),
        ("2b_(nier:automata)", r"2b_\(nier:automata\)"),
        ("nahida(genshin)", r"nahida\(genshin\)"),
        ("smile, :), rain", r"smile, :\), rain"),
        (r"saber \(fate\), (armour)", r"saber \(fate\), (armour)"),
        ("(blue dress:1.2), saber_(fate)", r"(blue dress:1.2), saber_\(fate\)"),
        ("(blue dress)", "(blue dress)"),
        ("dress (red:1.3)", "dress (red:1.3)"),
        ("a picture of a large red (dress)", "a picture of a large red (dress)"),
        ("[sketch]", "[sketch]"),
        ("<lora:saber:0.8>, saber", "saber"),
    ],
)
def test_trained_words_mean_in_a_prompt_what_they_meant_in_training(tmp_path, trained, text):
    assert groups(with_sidecars(tmp_path, civitai_info={"trainedWords": [trained]})) == [text]


def test_a1111s_text_is_left_as_it_is_but_for_tags(tmp_path):
    text = "saber (fate), (armour:1.2), [sketch], :("
    entry = with_sidecars(tmp_path, json={"activation text": f"<lora:x:0.7> {text}"})
    assert groups(entry) == [text]


def test_raw_training_tags_are_escaped(tmp_path):
    entry = tagged(tmp_path / "s.safetensors", **{"saber_(fate)": 90, "armour_[steel]": 80})
    assert groups(entry) == [r"saber \(fate\), armour \[steel\]"]
    classes = json.dumps([{"subsets": [{"class_tokens": "saber (fate)"}]}])
    entry = entry_of(write_lora(tmp_path / "c.safetensors", ss_datasets=classes))
    assert groups(entry) == [r"saber \(fate\)"]


def test_what_two_sources_say_is_one_group(tmp_path):
    entry = with_sidecars(
        tmp_path,
        json={"activation text": "Saber (fate)"},
        civitai_info={"trainedWords": ["saber_(x)", "saber (fate)", "rain"]},
    )
    assert groups(entry) == ["Saber (fate)", r"saber_\(x\)", "rain"]
    assert details_content(entry).plain.splitlines()[0] == "trigger Saber (fate) A1111"
    assert r"trigger saber_\(x\) · rain Civitai" in details_content(entry).plain.splitlines()


async def test_i_goes_through_the_groups_and_takes_out_what_it_put_in(start, loras):
    words = ["ink wash, rain", "ink line", "paper"]
    (loras / "styles/ink.civitai.info").write_text(json.dumps({"trainedWords": words}))
    async with start() as driver:
        await driver.load()
        control = driver.app.control
        await driver.press("p", *"a fox in the rain", "enter")
        await driver.highlight("ink")
        await driver.press("i")
        assert control.state.prompt == "a fox in the rain, ink wash"
        await driver.sees("ink: trigger words 1 of 4 · i: the next")
        for end in ("ink line", "paper", "ink wash"):
            await driver.press("i")
            assert control.state.prompt == f"a fox in the rain, {end}"
        await driver.press("p", *", ink line", "enter", "i")
        assert control.state.prompt == "a fox in the rain, ink wash, ink line, paper"
        assert "trigger words 3 of 4" in driver.text
        await driver.press("p", *"!", "enter")
        assert "trigger words" not in driver.text
        await driver.press("i")
        assert driver.toasts[-1] == "The trigger words of ink are already in the prompt."


async def test_the_only_group_is_put_in_once(start):
    async with start() as driver:
        await driver.load()
        await driver.press("p", *"a category", "enter")
        await driver.highlight("ink")
        await driver.press("i", "i")
        assert driver.app.control.state.prompt == "a category, ink wash"
        assert "already in the prompt" in driver.toasts[-1]
