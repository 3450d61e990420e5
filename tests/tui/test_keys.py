"""Keys become commands for the engine."""

from __future__ import annotations

import tomllib

import pytest
from msgspec import structs
from PIL import Image
from textual import events
from textual.widgets import Input, Static

from engine.protocol.commands import (
    AdjustStrength,
    CancelAll,
    Draw,
    Load,
    Prefetch,
    SetBackup,
    SetStack,
    Verify,
)
from engine.protocol.events import (
    CommandFailed,
    GenerationCancelled,
    GenerationFinished,
    GenerationStarted,
    JobChanged,
    MemoryChanged,
    PictureSaved,
    StateChanged,
)
from engine.protocol.passes import StartPicture
from engine.protocol.reports import MemoryReport
from engine.protocol.request import GenerateRequest
from engine.session.work import SwitchWork
from engine.words.prompt_language.chance import resolve_chance
from tests.tui.conftest import MODEL, switched
from tui_loraswitch.screens.prompt_search import PromptSearch
from tui_loraswitch.screens.recipes import RecipesScreen
from tui_loraswitch.screens.sweep_form import SweepForm


def names(stack) -> list[tuple[str, float]]:
    return [(ref.name, ref.unet) for ref in stack]


async def test_the_model_is_loaded_as_the_settings_say(start, session):
    async with start():
        assert session.commands[0] == Load(MODEL.path)


async def test_enter_switches_at_the_preferred_strength_and_0_goes_back(start, session):
    async with start() as driver:
        await driver.load()
        await driver.highlight("neon")
        await driver.press("enter")
        assert [names(command.stack) for command in session.sent(SetStack)] == [[("neon", 0.8)]]
        await driver.confirm()
        await driver.press("0")
        assert session.sent(SetStack)[-1] == SetStack()


async def test_space_stacks_and_unstacks(start, session):
    async with start() as driver:
        await driver.load()
        stacks = []
        for name in ("neon", "ink", "neon"):
            await driver.highlight(name)
            await driver.press("space")
            stacks.append(names(session.take().stack))
            await driver.confirm()
        assert stacks == [[("neon", 0.8)], [("neon", 0.8), ("ink", 1.0)], [("ink", 1.0)]]


async def test_plus_and_minus_switch_again_at_another_strength(start, session):
    async with start() as driver:
        await driver.load()
        await driver.switch_to("ink")
        members = []
        for key in ("plus", "minus", "minus"):
            await driver.press(key)
            members.extend(session.take().stack)
            await driver.confirm()
        assert [ref.unet for ref in members] == [1.05, 1.0, 0.95]
        assert all(ref.text_encoder == ref.unet for ref in members)


async def test_a_lora_comes_back_with_the_strength_it_was_left_with(start, session):
    async with start() as driver:
        await driver.load()
        await driver.switch_to("ink")
        await driver.press("minus", "0")
        await driver.confirm()
        await driver.press("enter")
        assert names(session.take().stack) == [("ink", 0.95)]


async def test_held_keys_do_not_pile_up_behind_a_slow_switch(start, session):
    async with start() as driver:
        await driver.load()
        await driver.highlight("ink")
        await driver.press("enter")
        first = session.take().stack
        await driver.press(*["plus"] * 5)
        await driver.emit(StateChanged("stack", first), switched(first))
        second = session.take().stack
        await driver.confirm()
        assert names(first) + names(second) == [("ink", 1.0), ("ink", 1.25)]
        assert not isinstance(session.take(), SwitchWork)


async def test_a_picture_is_drawn_with_the_strength_wanted_when_it_was_asked_for(start, session):
    async with start() as driver:
        await driver.load()
        await driver.press("p", "f", "o", "x", "enter")
        await driver.highlight("ink")
        await driver.press("enter", "plus", "plus", "g")
        await driver.press("plus")
        (job,) = session.view.jobs
        assert names(job.stack) == [("ink", 1.1)]
        assert names(session.view.wanted) == [("ink", 1.15)]


async def test_only_text_encoders_or_unet_follow_when_the_stack_pane_says_so(start, session):
    async with start() as driver:
        await driver.load()
        await driver.switch_to("ink")
        await driver.press("4", "t", "t", "minus")
        (ref,) = session.take().stack
        assert (ref.unet, ref.text_encoder) == (1.0, 0.95)


async def test_g_keeps_the_seed_and_r_draws_a_new_one(start, session, settings):
    async with start() as driver:
        await driver.load()
        await driver.press("p", *"a fox", "enter", "n", *"blur", "escape", "g")
        request = session.sent(Draw)[0].request
        size = {"width": 0, "height": 0}  # the model's own
        assert request == GenerateRequest(
            "a fox", settings.output, "blur", seed=1, schedule="Karras", **size
        )
        await driver.press("r")
        assert session.sent(Draw)[1].request.seed != 1
        await driver.emit(GenerationFinished((), 1.0), GenerationFinished((), 1.0))
        await driver.press("g")
        assert session.sent(Draw)[2] == session.sent(Draw)[1]


async def test_asking_twice_for_the_same_picture_is_answered_once(start, session):
    async with start() as driver:
        await driver.load()
        await driver.press("p", "x", "enter", "g", "g")
        assert len(session.sent(Draw)) == 1
        assert "in the queue" in driver.toasts[0]


async def test_without_a_prompt_g_asks_for_one(start, session):
    async with start() as driver:
        await driver.load()
        await driver.press("g")
        assert session.sent(Draw) == []
        assert driver.app.focused.id == "prompt-text"


async def test_keys_are_letters_while_a_text_has_the_focus(start, session):
    async with start() as driver:
        await driver.load()
        letters = "g0rxvbq+-?/ios"
        await driver.press("p", *letters.replace("/", "").replace("?", "").replace("+", ""))
        assert driver.app.control.state.prompt == "g0rxvbq-ios"
        assert {type(command) for command in session.commands} <= {Load, Prefetch}
        await driver.press("enter")
        assert driver.app.focused is driver.list
        assert "\n" not in driver.app.control.state.prompt


async def test_ctrl_g_draws_from_within_the_prompt(start, session):
    async with start() as driver:
        await driver.load()
        await driver.press("p", *"fox", "ctrl+g")
        assert session.sent(Draw)[0].request.prompt == "fox"
        assert driver.app.focused.id == "prompt-text"


@pytest.mark.parametrize(("key", "command"), [("x", CancelAll()), ("v", Verify())])
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
            assert session.sent(SetBackup)[-1] == SetBackup(tier)
            await driver.emit(MemoryChanged(MemoryReport(backup=1, backup_tier=tier)))


async def test_b_passes_over_a_place_that_cannot_be(start, session):
    async with start() as driver:
        await driver.load()
        await driver.emit(MemoryChanged(MemoryReport(backup=1, backup_tier="cpu")))
        await driver.press("b")
        await driver.emit(CommandFailed("set_backup", "The weights are not those of the file."))
        assert "▸" not in driver.screen[0]
        await driver.press("b")
        assert [command.tier for command in session.sent(SetBackup)] == ["file", "device"]


async def test_on_a_cpu_the_backup_is_in_memory_or_in_the_file(start, session):
    async with start() as driver:
        await driver.load(structs.replace(MODEL, device="cpu"))
        await driver.press("b")
        await driver.emit(CommandFailed("set_backup", "The weights are not those of the file."))
        await driver.press("b")
        await driver.emit(MemoryChanged(MemoryReport(backup_tier="file")))
        await driver.press("b")
        await driver.emit(MemoryChanged(MemoryReport(backup=1, backup_tier="cpu")))
        await driver.press("b")
        tiers = [command.tier for command in session.sent(SetBackup)]
        assert tiers == ["file", "file", "device", "file"]


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
        assert "◌ ink" in driver.text
        await driver.load()
        assert names(session.take().stack) == [("ink", 1.0)]


async def test_a_lora_is_read_ahead_when_the_cursor_rests_on_it(start, session):
    async with start() as driver:
        await driver.load()
        await driver.highlight("ink")
        await driver.until(
            lambda: "ink" in [command.ref.name for command in session.sent(Prefetch)]
        )


async def test_settings_are_edited_by_keyboard(start, session):
    async with start() as driver:
        await driver.load()
        await driver.press("o", "backspace", "backspace", *"12")
        await driver.press(*["tab"] * 4, "backspace", *"77", "enter")
        assert driver.app.control.state.steps == 12
        assert driver.app.control.state.seed == 77
        assert "12 steps" in driver.text
        await driver.press("p", "x", "enter", "g")
        assert session.sent(Draw)[0].request.steps == 12


async def test_clip_skip_the_empty_negative_and_noise_are_among_the_settings(
    start, session, settings, tmp_path
):
    path = tmp_path / "config.toml"
    async with start(settings=structs.replace(settings, config_path=path)) as driver:
        await driver.load()
        await driver.press("p", "ctrl+a", "x", "enter", "g")
        request = session.sent(Draw)[0].request
        assert (request.clip_skip, request.empty_negative) == (2, "zeros")
        await driver.press("o", *["tab"] * 7, "backspace", "3", "tab", "enter", "down", "enter")
        await driver.press("tab", "enter", "down", "enter", "ctrl+s", "g")
        request = session.sent(Draw)[1].request
        assert (request.clip_skip, request.empty_negative) == (3, "encoded")
        assert request.noise == "GPU"
        assert "clip skip 3" in driver.text
        await driver.until(lambda: path.exists() and "empty_negative" in path.read_text())
    assert tomllib.loads(path.read_text())["empty_negative"] == "encoded"


async def test_a_remembered_empty_negative_counts(start, session, settings):
    async with start(settings=structs.replace(settings, empty_negative="encoded")) as driver:
        await driver.load()
        await driver.press("p", "x", "enter", "g")
        assert session.sent(Draw)[0].request.empty_negative == "encoded"


async def test_the_demo_changes_nothing_of_what_is_remembered(start, settings, tmp_path):
    path = tmp_path / "config.toml"
    async with start(settings=structs.replace(settings, config_path=path, model=None)) as driver:
        await driver.load(structs.replace(MODEL, is_demo=True))
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
        request = session.sent(Draw)[0].request
        await driver.emit(GenerationStarted(request, 1, 28))
        assert "▸ drawing +2" in driver.screen[0]
        await driver.press("x")
        assert "▸ cancelling " in driver.screen[0]
        await driver.emit(GenerationCancelled(3, 28))
        assert "▸" not in driver.screen[0]
        assert session.view.jobs == ()


async def test_a_picture_cancelled_while_its_text_is_encoded_can_be_asked_for_again(start, session):
    async with start() as driver:
        await driver.load()
        await driver.press("p", "x", "enter", "g")
        await driver.begin()
        (job,) = session.view.jobs
        await driver.emit(JobChanged(structs.replace(job, state="running")))
        await driver.press("x", "g", "g")
        first, second = session.sent(Draw)
        assert first == second
        assert "in the queue" in driver.toasts[-1]
        await driver.emit(GenerationCancelled(0, 0))
        await driver.emit(GenerationStarted(second.request, 1, 28))
        assert "▸ drawing  " in driver.screen[0]
        assert len(session.view.jobs) == 1
        await driver.emit(GenerationFinished((), 1.0))
        assert session.view.jobs == ()


async def test_keys_that_arrive_in_a_bunch_are_handled_in_order(start, session):
    async with start() as driver:
        await driver.load()
        app = driver.app
        for key in ("p", *"fox", "enter", "slash", *"ink", "enter", "enter", "plus", "g"):
            char = key if len(key) == 1 else None
            app.post_message(events.Key(key, char))
        await driver.until(lambda: session.sent(Draw))
        assert session.sent(Draw)[0].request.prompt == "fox"
        assert names(session.sent(SetStack)[0].stack) == [("ink", 1.0)]
        assert len(session.sent(AdjustStrength)) == 1
        assert names(session.sent(Draw)[0].stack) == [("ink", 1.05)]
        assert app.control.state.negative_prompt == ""


@pytest.mark.parametrize(
    ("key", "screen"), [("S", RecipesScreen), ("W", SweepForm), ("ctrl+r", PromptSearch)]
)
async def test_what_is_typed_before_a_dialog_is_read_is_its_own(start, key, screen):
    async with start() as driver:
        await driver.load()
        app = driver.app
        await driver.until(lambda: app.services.recipes)
        app.control.state = structs.replace(app.control.state, prompt="a fox")
        if key == "ctrl+r":
            await driver.press("p")
        for one in (key, *"dusk"):
            app.post_message(events.Key(one, one if len(one) == 1 else None))
        await driver.until(
            lambda: [field.value for field in app.screen.query(Input)][:1] == ["dusk"]
        )
        assert isinstance(app.screen, screen)


async def test_i_begins_with_the_picture_that_is_shown(start, session, tmp_path):
    async with start() as driver:
        await driver.load()
        await driver.press("I")
        assert driver.toasts[-1].startswith("No picture is shown")
        path = tmp_path / "00042-7.png"
        Image.new("RGB", (64, 64)).save(path)
        await driver.emit(PictureSaved(path, 7, 64, 64, 28, ""))
        await driver.until(lambda: driver.app.main.picture.shown_file == path)
        await driver.press("p", "ctrl+a", "x", "enter", "I", "g")
        assert session.sent(Draw)[-1].request.start == StartPicture(path)
        words = driver.app.main.prompt.query_one("#settings-line", Static).visual
        assert "from 00042-7.png 0.75" in str(words)
        await driver.press("I", "g")
        assert session.sent(Draw)[-1].request.start is None


async def test_g_decides_what_is_left_to_chance_for_each_picture(
    start, session, settings, tmp_path
):
    styles = tmp_path / "styles.csv"
    styles.write_text("name,prompt,negative_prompt\nInk,ink wash of {prompt},{dim|dark}\n")
    (tmp_path / "wild").mkdir()
    (tmp_path / "wild/beast.txt").write_text("fox\ncat\ndog\n")
    own = structs.replace(settings, styles=styles, wildcards=tmp_path / "wild")
    async with start(settings=own) as driver:
        await driver.load()
        prompt = "a {red|blue} __beast__ <lora:{ink|neon}:0.5> {"
        driver.app.control.state = structs.replace(
            driver.app.control.state, prompt=prompt, styles="Ink", seed=3, batch=4
        )
        await driver.press("g")
        draws = session.sent(Draw)

        def beasts(_: str) -> tuple[str, ...]:
            return ("fox", "cat", "dog")

        assert [draw.request.seed for draw in draws] == [3, 4, 5, 6]
        for draw in draws:
            decided, _ = resolve_chance(f"ink wash of {prompt}", draw.request.seed, beasts)
            assert draw.request.prompt == decided
            assert draw.request.negative_prompt in ("dim", "dark")
            assert draw.request.batch == 1
            (member,) = draw.stack
            assert f"<lora:{member.name}:0.5>" in draw.request.prompt
        assert len({draw.request.prompt for draw in draws}) > 1
        assert any("no closing brace" in toast for toast in driver.toasts)
        await driver.press("A")
        job = session.view.jobs[-1]
        first, *others = [draw for draw in session.sent(Draw) if draw.forever]
        assert others == []
        assert len(first.turns) == 100
        again = job.again(seed=9)
        assert again.request.prompt == first.turns[0].prompt
        assert again.stack == first.turns[0].stack
        assert again.request.seed == 9
        for _ in range(99):
            again = again.again(10)
        assert again.request.prompt == job.request.prompt
