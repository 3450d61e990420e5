"""Keys become commands for the engine."""

from __future__ import annotations

import tomllib
from dataclasses import replace

import pytest
from textual import events

from engine.events import (
    CommandFailed,
    GenerationCancelled,
    GenerationFinished,
    GenerationStarted,
    MemoryChanged,
)
from engine.generate.request import GenerateRequest
from engine.reports import MemoryReport
from tests.tui.conftest import MODEL


def names(stack) -> list[tuple[str, float]]:
    return [(ref.name, ref.unet) for ref in stack]


async def test_the_model_is_loaded_as_the_settings_say(start, session):
    async with start():
        assert session.commands[0] == ("load", MODEL.path, None, None, "auto")


async def test_enter_switches_at_the_preferred_strength_and_0_goes_back(start, session):
    async with start() as driver:
        await driver.load()
        await driver.highlight("neon")
        await driver.press("enter")
        assert [names(stack) for stack in session.sent("switch")] == [[("neon", 0.8)]]
        await driver.confirm()
        await driver.press("0")
        assert session.sent("switch")[-1] == ()


async def test_space_stacks_and_unstacks(start, session):
    async with start() as driver:
        await driver.load()
        for name in ("neon", "ink", "neon"):
            await driver.highlight(name)
            await driver.press("space")
            await driver.confirm()
        stacks = [names(stack) for stack in session.sent("switch")]
        assert stacks == [[("neon", 0.8)], [("neon", 0.8), ("ink", 1.0)], [("ink", 1.0)]]


async def test_plus_and_minus_switch_again_at_another_strength(start, session):
    async with start() as driver:
        await driver.load()
        await driver.switch_to("ink")
        await driver.press("plus")
        await driver.confirm()
        await driver.press("minus")
        await driver.confirm()
        await driver.press("minus")
        assert [stack[0].unet for stack in session.sent("switch")] == [1.0, 1.05, 1.0, 0.95]
        assert all(stack[0].text_encoder == stack[0].unet for stack in session.sent("switch"))


async def test_held_keys_do_not_pile_up_behind_a_slow_switch(start, session):
    async with start() as driver:
        await driver.load()
        await driver.highlight("ink")
        await driver.press("enter", *["plus"] * 5)
        assert len(session.sent("switch")) == 1
        await driver.confirm()
        assert [stack[0].unet for stack in session.sent("switch")] == [1.0, 1.25]


async def test_a_picture_is_drawn_with_the_strength_wanted_when_it_was_asked_for(start, session):
    async with start() as driver:
        await driver.load()
        await driver.press("p", "f", "o", "x", "enter")
        await driver.highlight("ink")
        await driver.press("enter", "plus", "plus", "g")
        sent = [command for command in session.commands if command[0] in ("switch", "generate")]
        assert [command[0] for command in sent] == ["switch", "switch", "generate"]
        assert sent[1][1][0].unet == 1.1


async def test_only_text_encoders_or_unet_follow_when_the_stack_pane_says_so(start, session):
    async with start() as driver:
        await driver.load()
        await driver.switch_to("ink")
        await driver.press("4", "t", "t", "minus")
        (ref,) = session.sent("switch")[-1]
        assert (ref.unet, ref.text_encoder) == (1.0, 0.95)


async def test_g_keeps_the_seed_and_r_draws_a_new_one(start, session, settings):
    async with start() as driver:
        await driver.load()
        await driver.press("p", *"a fox", "enter", "n", *"blur", "escape", "g")
        request = session.sent("generate")[0]
        expected = GenerateRequest("a fox", settings.output, "blur", seed=1, schedule="Karras")
        assert request == expected
        await driver.press("r")
        assert session.sent("generate")[1].seed != 1
        await driver.emit(GenerationFinished((), 1.0), GenerationFinished((), 1.0))
        await driver.press("g")
        assert session.sent("generate")[2] == session.sent("generate")[1]


async def test_asking_twice_for_the_same_picture_is_answered_once(start, session):
    async with start() as driver:
        await driver.load()
        await driver.press("p", "x", "enter", "g", "g")
        assert len(session.sent("generate")) == 1
        assert "being drawn" in driver.toasts[0]


async def test_without_a_prompt_g_asks_for_one(start, session):
    async with start() as driver:
        await driver.load()
        await driver.press("g")
        assert session.sent("generate") == []
        assert driver.app.focused.id == "prompt-text"


async def test_keys_are_letters_while_a_text_has_the_focus(start, session):
    async with start() as driver:
        await driver.load()
        letters = "g0rxvbq+-?/ios"
        await driver.press("p", *letters.replace("/", "").replace("?", "").replace("+", ""))
        assert driver.app.control.state.prompt == "g0rxvbq-ios"
        assert {command[0] for command in session.commands} <= {"load", "prefetch"}
        await driver.press("enter")
        assert driver.app.focused is driver.list
        assert "\n" not in driver.app.control.state.prompt


async def test_ctrl_g_draws_from_within_the_prompt(start, session):
    async with start() as driver:
        await driver.load()
        await driver.press("p", *"fox", "ctrl+g")
        assert session.sent("generate")[0].prompt == "fox"
        assert driver.app.focused.id == "prompt-text"


@pytest.mark.parametrize(("key", "command"), [("x", ("cancel",)), ("v", ("verify",))])
async def test_single_commands(start, session, key, command):
    async with start() as driver:
        await driver.load()
        await driver.press(key)
        assert command in session.commands


async def test_b_moves_the_backup_from_place_to_place(start, session):
    async with start() as driver:
        await driver.load()
        for tier in ("cpu", "file", "device"):
            await driver.press("b")
            assert session.sent("set_backup")[-1] == tier
            await driver.emit(MemoryChanged(MemoryReport(backup=1, backup_tier=tier)))


async def test_b_passes_over_a_place_that_cannot_be(start, session):
    async with start() as driver:
        await driver.load()
        await driver.emit(MemoryChanged(MemoryReport(backup=1, backup_tier="cpu")))
        await driver.press("b")
        await driver.emit(CommandFailed("set_backup", "The weights are not those of the file."))
        assert "▸" not in driver.screen[0]
        await driver.press("b")
        assert session.sent("set_backup") == ["file", "device"]


async def test_on_a_cpu_the_backup_is_in_memory_or_in_the_file(start, session):
    async with start() as driver:
        await driver.load(replace(MODEL, device="cpu"))
        await driver.press("b")
        await driver.emit(CommandFailed("set_backup", "The weights are not those of the file."))
        await driver.press("b")
        await driver.emit(MemoryChanged(MemoryReport(backup_tier="file")))
        await driver.press("b")
        await driver.emit(MemoryChanged(MemoryReport(backup=1, backup_tier="cpu")))
        await driver.press("b")
        assert session.sent("set_backup") == ["file", "file", "device", "file"]


async def test_i_puts_the_trigger_words_that_are_missing_into_the_prompt(start):
    async with start() as driver:
        await driver.load()
        await driver.press("p", *"a night city", "enter")
        await driver.highlight("neon")
        await driver.press("i")
        assert driver.app.control.state.prompt == "a night city, neon glow"
        await driver.sees("a night city, neon glow")


async def test_what_is_chosen_before_the_model_is_there_is_switched_to_when_it_is(start, session):
    async with start() as driver:
        await driver.highlight("ink")
        await driver.press("enter")
        assert session.sent("switch") == []
        assert "◌ ink" in driver.text
        await driver.load()
        assert [names(stack) for stack in session.sent("switch")] == [[("ink", 1.0)]]


async def test_a_lora_is_read_ahead_when_the_cursor_rests_on_it(start, session):
    async with start() as driver:
        await driver.load()
        await driver.highlight("ink")
        await driver.until(lambda: "ink" in [ref.name for ref in session.sent("prefetch")])


async def test_settings_are_edited_by_keyboard(start, session):
    async with start() as driver:
        await driver.load()
        await driver.press("o", "backspace", "backspace", *"12")
        await driver.press(*["tab"] * 4, "backspace", *"77", "enter")
        assert driver.app.control.state.steps == 12
        assert driver.app.control.state.seed == 77
        assert "12 steps" in driver.text
        await driver.press("p", "x", "enter", "g")
        assert session.sent("generate")[0].steps == 12


async def test_clip_skip_and_the_empty_negative_are_among_the_settings(
    start, session, settings, tmp_path
):
    path = tmp_path / "config.toml"
    own = replace(settings, config_path=path, model=tmp_path / "model.safetensors")
    async with start(settings=own) as driver:
        await driver.load(replace(MODEL, is_demo=True))
        await driver.press("p", "ctrl+a", "x", "enter", "g")
        request = session.sent("generate")[0]
        assert (request.clip_skip, request.empty_negative) == (2, "zeros")
        await driver.press("o", *["tab"] * 7, "backspace", "3", "tab", "enter", "down", "enter")
        await driver.press("ctrl+s", "g")
        request = session.sent("generate")[1]
        assert (request.clip_skip, request.empty_negative) == (3, "encoded")
        assert "clip skip 3" in driver.text
        await driver.until(path.exists)
    assert tomllib.loads(path.read_text())["empty_negative"] == "encoded"


async def test_a_remembered_empty_negative_counts(start, session, settings):
    async with start(settings=replace(settings, empty_negative="encoded")) as driver:
        await driver.load()
        await driver.press("p", "x", "enter", "g")
        assert session.sent("generate")[0].empty_negative == "encoded"


async def test_the_demo_changes_nothing_of_what_is_remembered(start, settings, tmp_path):
    path = tmp_path / "config.toml"
    async with start(settings=replace(settings, config_path=path, model=None)) as driver:
        await driver.load(replace(MODEL, is_demo=True))
        await driver.press("o", *["tab"] * 8, "enter", "down", "enter", "ctrl+s")
        assert driver.app.control.state.empty_negative == "encoded"
    assert not path.exists()


async def test_settings_that_cannot_be_are_explained_and_not_taken(start):
    async with start() as driver:
        await driver.load()
        await driver.press("o", "backspace", "backspace", *"0", "enter")
        assert "takes 1 to 500 steps" in driver.text
        await driver.press("escape")
        assert driver.app.control.state.steps == 28


async def test_every_binding_has_an_id_and_a_tooltip(start):
    async with start() as driver:
        for node in (driver.app, driver.app.main, *driver.app.main.query("*")):
            if type(node).__module__.startswith("tui_loraswitch"):
                for binding in vars(type(node)).get("BINDINGS", ()):
                    assert binding.id, binding
                    assert binding.tooltip, binding


async def test_the_footer_shows_the_focused_panes_keys_and_fits(start):
    async with start(80, 24) as driver:
        footer = driver.screen[-1]
        assert "switch" in footer
        assert footer.rstrip().endswith("q quit")
        await driver.press("p")
        footer = driver.screen[-1]
        assert "enter done" in footer
        assert "^g generate" in footer
        assert "quit" not in footer


async def test_help_and_palette_name_the_actions(start):
    async with start() as driver:
        await driver.press("question_mark")
        assert "Draw a picture with this seed" in driver.text
        assert driver.screen[1].find("LoRAs") > 0
        await driver.press("escape", "ctrl+p", *"verify")
        await driver.until(lambda: "Prove that the base" in driver.text)


async def test_cancelling_drops_what_waits(start, session):
    async with start() as driver:
        await driver.load()
        await driver.press("p", "x", "enter", "r", "r", "r")
        request = session.sent("generate")[0]
        await driver.emit(GenerationStarted(request, 1, 28))
        assert "▸ drawing +2" in driver.screen[0]
        await driver.press("x")
        assert "▸ cancelling " in driver.screen[0]
        await driver.emit(GenerationCancelled(3, 28), GenerationCancelled(0, 0))
        assert "▸ cancelling " in driver.screen[0]
        await driver.emit(GenerationCancelled(0, 0))
        assert "▸" not in driver.screen[0]


async def test_a_picture_cancelled_while_its_text_is_encoded_can_be_asked_for_again(start, session):
    async with start() as driver:
        await driver.load()
        await driver.press("p", "x", "enter", "g", "x", "g")
        assert [command[0] for command in session.commands[-3:]] == [
            "generate", "cancel", "generate",
        ]  # fmt: skip
        await driver.emit(GenerationCancelled(0, 0))
        request = session.sent("generate")[1]
        await driver.emit(GenerationStarted(request, 1, 28))
        assert "▸ drawing  " in driver.screen[0]
        assert driver.app.control.queued == 1
        await driver.emit(GenerationFinished((), 1.0))
        assert driver.app.control.queued == 0


async def test_keys_that_arrive_in_a_bunch_are_handled_in_order(start, session):
    async with start() as driver:
        await driver.load()
        app = driver.app
        for key in ("p", *"fox", "enter", "slash", *"ink", "enter", "enter", "plus", "g"):
            char = key if len(key) == 1 else None
            app.post_message(events.Key(key, char))
        await driver.until(lambda: session.sent("generate"))
        assert session.sent("generate")[0].prompt == "fox"
        assert [names(stack) for stack in session.sent("switch")] == [
            [("ink", 1.0)],
            [("ink", 1.05)],
        ]
        assert app.control.state.negative_prompt == ""
