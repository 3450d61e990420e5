"""The prompt editor: lines, weights, tokens, faults, suggestions, the user's own editor."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs
from textual.events import Paste

from engine.protocol.commands import Draw
from tui_loraswitch.control.prompt_completion import Completion
from tui_loraswitch.control.prompt_faults import prompt_faults
from tui_loraswitch.control.prompt_weights import weighed
from tui_loraswitch.screens.prompt_editor import PromptEditor
from tui_loraswitch.screens.prompt_text import PromptText


@pytest.mark.parametrize("leave", ["escape", "ctrl+s"])
async def test_lines_are_kept_as_they_are_written(start, session, leave):
    async with start() as driver:
        await driver.load()
        await driver.press("ctrl+e", *"a fox", "enter", *"in snow", "tab", *"blurry", leave)
        state = driver.app.control.state
        assert (state.prompt, state.negative_prompt) == ("a fox\nin snow", "blurry")
        await driver.press("ctrl+e", "end", *"y", "ctrl+z", "ctrl+g")
        await driver.until(lambda: session.sent(Draw))
        assert session.sent(Draw)[0].request.prompt == "a fox\nin snow"


async def test_the_editor_opens_from_within_the_prompt(start):
    async with start(40, 10) as driver:
        await driver.load()
        await driver.press("p", *"fox", "ctrl+e")
        assert isinstance(driver.app.screen, PromptEditor)
        await driver.press(*" cub", "escape")
        assert driver.app.control.state.prompt == "fox cub"


async def test_a_line_is_deleted_from_the_cursor_though_it_takes_many_rows(start):
    long = ", ".join(["a red star on a blue background"] * 9)
    async with start() as driver:
        await driver.load()
        app = driver.app
        await driver.press("p")
        app.post_message(Paste(f"{long}, the end"))
        await driver.until(lambda: app.focused.text.endswith("the end"))
        await driver.press(*["left"] * 7, "ctrl+k")
        assert app.focused.text == f"{long}, "
        await driver.press("ctrl+u")
        assert app.focused.text == ""
        await driver.press("ctrl+z", "ctrl+e", "ctrl+end", "ctrl+u", *"fox")
        await driver.press("enter", *"owl", "ctrl+u", "ctrl+u", "ctrl+k")
        assert app.focused.text == "fox"


async def test_tokens_are_counted_and_faults_said_and_underlined(start):
    async with start() as driver:
        await driver.load()
        await driver.press("ctrl+e", *"a (fox")
        await driver.sees("2/75 tokens", "( is not closed")
        text = driver.app.screen.query_one("#editor-prompt", PromptText)
        spans = [(span.start, span.end, span.style.underline) for span in text.get_line(0).spans]
        assert spans == [(2, 3, True)]
        await driver.press(*"), <lora:nobody:1>")
        await driver.sees("nobody", "is none in the library")
        text.text = "fox " * 75 + "owl"
        await driver.sees("75 + 1/75 tokens · 2 chunks")
        (border,) = text.get_line(0).spans
        assert (border.start, border.style.reverse) == (300, True)


async def test_a_lora_is_suggested_and_taken(start):
    async with start() as driver:
        await driver.load()
        await driver.press("ctrl+e", *"a fox <lora:ne")
        await driver.sees("styles/neon 0.8")
        await driver.press("tab")
        text = driver.app.screen.query_one("#editor-prompt", PromptText)
        assert text.text == "a fox <lora:neon:0.8>"
        await driver.press("ctrl+up", "ctrl+up", "ctrl+down")
        assert text.text == "a fox <lora:neon:0.85>"
        await driver.press(*" <lora:", "escape", "escape")
        assert not isinstance(driver.app.screen, PromptEditor), "the first closes what is suggested"


async def test_ones_own_editor_has_the_text(start, monkeypatch, tmp_path):
    editor = tmp_path / "editor"
    editor.write_text("#!/bin/sh\nprintf 'an owl\\nat night' > \"$1\"\n")
    editor.chmod(0o755)
    monkeypatch.setenv("VISUAL", str(editor))
    async with start() as driver:
        await driver.load()
        monkeypatch.setattr(driver.app, "suspend", lambda: _Nothing())
        await driver.press("ctrl+e", *"a fox", "ctrl+o")
        text = driver.app.screen.query_one("#editor-prompt", PromptText)
        assert text.text == "an owl\nat night"
        await driver.press("ctrl+z")
        assert text.text == "a fox"
        monkeypatch.setenv("VISUAL", "/nowhere/editor")
        await driver.press("ctrl+o")
        assert "/nowhere/editor cannot be used" in driver.toasts[-1]
        assert text.text == "a fox"


class _Nothing:
    def __enter__(self) -> None: ...
    def __exit__(self, *fault: object) -> None: ...


@pytest.mark.parametrize(
    ("text", "marked", "steps", "after"),
    [
        ("a fox, snow", (3, 3), 1, "a (fox:1.1), snow"),
        ("a fox, snow", (3, 3), -1, "a (fox:0.9), snow"),
        ("a fox in snow", (2, 8), 2, "a (fox in:1.2) snow"),
        ("a (fox:1.1), snow", (4, 4), 1, "a (fox:1.2), snow"),
        ("a (fox:1.1), snow", (4, 4), -1, "a fox, snow"),
        ("<lora:ink:0.8>", (3, 3), 1, "<lora:ink:0.85>"),
        ("<lora:ink:1:te=0.5>", (3, 3), -1, "<lora:ink:0.95:te=0.5>"),
        ("", (0, 0), 1, ""),
        ("a  b", (2, 2), 1, "a  b"),
        ("\\(x\\) y", (7, 7), 1, "\\(x\\) (y:1.1)"),
    ],
)
def test_weights(text, marked, steps, after):
    assert weighed(text, *marked, steps).text == after


@given(st.text("ab (),:1.<>\\", max_size=30), st.integers(0, 30), st.integers(0, 30))
def test_weights_never_fail_and_mark_what_is_there(text, one, other):
    start, end = sorted((min(one, len(text)), min(other, len(text))))
    for steps in (1, -1):
        after = weighed(text, start, end, steps)
        assert 0 <= after.start <= after.end <= len(after.text)


@given(st.text("ab ()[]{}\\<lora:>", max_size=40))
def test_faults_are_parts_of_the_text(text):
    for fault in prompt_faults(text, lambda name: "?" if name else ""):
        assert 0 <= fault.start < fault.end <= len(text)


def test_faults():
    def why(name: str) -> str:
        return "" if name == "ink" else f"no {name}"

    assert prompt_faults("(a:1.2), [b], {c|d} \\( <lora:ink:1>", why) == []
    text = "a) (b <lora:owl:1> <lora:ink:1"
    assert [text[f.start : f.end] for f in prompt_faults(text, why)] == [
        ")", "(", "<lora:owl:1>", "<lora:ink:1",
    ]  # fmt: skip


def test_embeddings_and_wildcards_are_suggested(tmp_path, settings):
    (tmp_path / "e").mkdir()
    (tmp_path / "w" / "deep").mkdir(parents=True)
    for name in ("e/easynegative.safetensors", "e/readme.md", "w/animal.txt", "w/deep/place.txt"):
        (tmp_path / name).touch()
    completion = Completion(lambda query: [])
    completion.read_folders([tmp_path / "e", tmp_path / "missing"], tmp_path / "w")
    assert [s.text for s in completion.suggest("a, easy")] == ["easynegative"]
    assert completion.suggest("easynegative") == []
    assert [s.text for s in completion.suggest("a __")] == ["__animal__", "__deep/place__"]
    assert [s.text for s in completion.suggest("a __pla")] == ["__deep/place__"]
    assert completion.suggest("") == completion.suggest("a ") == []


async def test_folders_of_the_settings_are_read(start, settings, tmp_path):
    (tmp_path / "badhands.pt").touch()
    async with start(settings=structs.replace(settings, embeddings=(tmp_path,))) as driver:
        await driver.load()
        await driver.press("ctrl+e", *"ba")
        for letter in itertools.cycle("db"):
            # The folder is read beside the screen.
            await driver.press(*([letter] if letter == "d" else ["backspace"]))
            if "badhands" in driver.text:
                break
