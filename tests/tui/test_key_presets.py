"""Keys of the config, sequences and counts; each key that the help shows does what it says."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from msgspec import structs
from textual.command import CommandList, CommandPalette
from textual.widgets import Input, Static

from engine.protocol.commands import Draw
from engine.protocol.refs import LoraRef
from engine.store.recipes import Member, Recipe
from tui_loraswitch.app import palette_search
from tui_loraswitch.app.app import LoraSwitchApp
from tui_loraswitch.config.key_presets import PRESETS
from tui_loraswitch.control.model_files import ModelFile
from tui_loraswitch.panes.rows import LoraRow

DRAWING = {"generate", "generate(True)", "generate_again_and_again"}


def done_by(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What keys set off from now on; nothing of it is done."""
    done: list[str] = []

    async def note(self, action, default_namespace=None):
        if self._check_action_state(action, default_namespace) is not True:
            return False
        done.append(action)
        return True

    monkeypatch.setattr(LoraSwitchApp, "run_action", note)
    return done


@pytest.mark.parametrize("preset", PRESETS)
async def test_every_key_of_the_help_does_what_it_says(start, settings, monkeypatch, preset):
    async with start(settings=structs.replace(settings, keys={"preset": preset})) as driver:
        await driver.load()
        assert not [line for line in driver.log if "which is nothing" in line]
        done = done_by(monkeypatch)
        panes = ("library", "picture", "details", "stack", "log")
        for pane in panes if preset == "default" else panes[:1]:
            driver.app.main.show_pane(pane)
            await driver.pilot.pause()
            shown = dict(driver.app.main.active_bindings)
            assert {"app.generate", "app.quit", "app.prompt", "app.help", "app.list"} <= {
                one.binding.id for one in shown.values()
            }
            for key, active in shown.items():
                if not active.binding.tooltip or not active.binding.id:
                    continue  # not in the help
                done.clear()
                await driver.pilot.press(*key.split(" "))
                assert done == [active.binding.action], key
                # A key that begins another one's sequence would never be done.
                assert not any(other.startswith(f"{key} ") for other in shown), key


async def test_no_key_of_vim_draws_by_surprise(start, session, settings, monkeypatch):
    async with start(settings=structs.replace(settings, keys={"preset": "vim"})) as driver:
        await driver.load()
        await driver.press("p", *"fox", "enter")
        done = done_by(monkeypatch)
        letters = "abcdefhijklmnoprstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
        for letter in letters:
            await driver.press(letter, "escape")
        await driver.press("g", "g", "G", "n", "N", "3", "g", "g", "ctrl+d", "ctrl+u")
        assert not DRAWING & set(done)
        await driver.press("g", "d", "g", "r")
        assert done[-2:] == ["generate", "generate(True)"]
    assert session.sent(Draw) == []


async def test_vim_moves_as_hands_expect(start, settings):
    async with start(settings=structs.replace(settings, keys={"preset": "vim"})) as driver:
        await driver.load()
        rows, at = driver.list.rows, lambda: driver.list._cursor
        await driver.press("G")
        assert at() == len(rows) - 1
        await driver.press("g", "g")
        assert at() == 0
        await driver.pilot.resize_terminal(80, 24)
        await driver.sees("^g generate")
        await driver.press("3", "j")
        assert at() == 3
        await driver.press("2", "k", "5", "G")
        assert at() == 4
        await driver.press("2", "g", "g")
        assert at() == 1
        await driver.press("g", "g", "n")
        loras = [number for number, row in enumerate(rows) if isinstance(row, LoraRow)]
        assert at() == loras[0]
        await driver.press("2", "n")
        assert at() == loras[2]
        await driver.press("N")
        assert at() == loras[1]
        await driver.press("1", "0", "0", "j")
        assert at() == len(rows) - 1


async def test_what_may_follow_a_key_is_said(start, settings):
    async with start(settings=structs.replace(settings, keys={"preset": "vim"})) as driver:
        await driver.load()
        await driver.press("g")
        assert "g first" in driver.screen[-1]
        assert "d generate" in driver.screen[-1]
        await driver.press("escape")
        assert "switch" in driver.screen[-1]
        await driver.press("g", "slash")
        assert driver.app.focused is driver.list, "the key after a prefix is no command of its own"


async def test_keys_of_the_config_take_the_place_of_the_apps(start, session, settings):
    keys = {"app.generate": "ctrl+d ctrl+d, F5", "app.verify": "V", "app.nothing": "k"}
    async with start(settings=structs.replace(settings, keys=keys)) as driver:
        await driver.load()
        assert any("app.nothing" in line for line in driver.log)
        await driver.press("p", *"fox", "enter", "g")
        assert session.sent(Draw) == []
        await driver.press("ctrl+d", "ctrl+d")
        assert len(session.sent(Draw)) == 1
        await driver.press("question_mark")
        assert "^d ^d" in driver.app.screen.query_one(Static).content.plain


async def test_in_a_text_sequences_are_letters(start, session, settings):
    async with start(settings=structs.replace(settings, keys={"preset": "vim"})) as driver:
        await driver.load()
        await driver.press("p", *"gg 3j gd", "enter")
        assert driver.app.control.state.prompt == "gg 3j gd"
        assert session.sent(Draw) == []


async def test_strengths_go_in_hundredths_as_well(start, session):
    async with start() as driver:
        await driver.load()
        await driver.switch_to("ink")
        await driver.press("full_stop", "full_stop", "comma", "plus")
        await driver.confirm()
        (member,) = session.view.wanted
        assert member.unet == 1.06


async def test_ctrl_c_explains_itself_and_cancels(start, session):
    async with start() as driver:
        await driver.load()
        await driver.press("ctrl+c")
        assert "q leaves" in driver.toasts[-1]
        await driver.press("p", *"fox", "enter", "g", "ctrl+c")
        await driver.sees("Ctrl+C ends nothing by itself", "cancel 1 picture")
        assert len(session.view.jobs) == 1
        await driver.press("enter")
        await driver.until(lambda: not session.view.jobs)


@pytest.mark.parametrize("key", ["colon", "ctrl+p"])
async def test_the_palette_finds_loras_settings_and_models(start, session, key):
    async with start() as driver:
        await driver.load()
        await driver.press(key, *"night")
        await driver.sees("switch to this LoRA", "styles/deep/night")
        await driver.press("escape", "escape")
        await driver.press(key, *"hires fix: t")
        await driver.sees("a setting of the next picture")
        await driver.press("enter")
        await driver.sees("Settings of the next picture")
        assert driver.app.screen.focused.id == "hires_scale"
        await driver.press("escape", key, *"ink")
        await driver.sees("switch to this LoRA")
        await driver.press("enter")
        await driver.until(lambda: session.view.wanted)
        assert session.view.wanted[0].name == "ink"


async def test_the_whole_screen_is_drawn_anew_on_ctrl_l_and_after_a_shell_had_it(
    start, monkeypatch
):
    async with start() as driver:
        written: list[str] = []
        monkeypatch.setattr(driver.app._driver, "write", written.append)
        await driver.press("ctrl+l")
        assert written == ["\x1b[2J"]
        driver.app.app_resume_signal.publish(driver.app)
        await driver.pilot.pause()
        assert written == ["\x1b[2J"] * 2


async def test_the_palette_does_not_wait_for_folders_of_models(start, monkeypatch):
    cancelled = threading.Event()

    def find(folders, beside, note, is_cancelled):
        note(ModelFile(Path("dream.safetensors"), "dream", 6_900_000_000, "SDXL"))
        while not is_cancelled():
            threading.Event().wait(0.01)
        cancelled.set()

    monkeypatch.setattr(palette_search, "find_models", find)
    async with start() as driver:
        await driver.load()
        await driver.press("colon")
        await driver.sees("Draw with new seeds until x stops it")
        await driver.press(*"dream")
        await driver.sees("open this model · dream.safetensors")
        await driver.press("escape")
        await driver.until(cancelled.is_set)


async def test_models_that_are_found_late_come_into_the_open_palette(start, monkeypatch):
    found = threading.Event()

    def find(folders, beside, note, is_cancelled):
        found.wait(30)
        note(ModelFile(Path("dream.safetensors"), "dream", 6_900_000_000, "SDXL"))

    monkeypatch.setattr(palette_search, "find_models", find)
    async with start() as driver:
        await driver.load()
        await driver.press("colon", *"dream")
        await driver.sees("No matches found")
        found.set()
        await driver.sees("open this model · dream.safetensors")


async def test_models_that_are_found_late_do_not_move_the_cursor(start, monkeypatch):
    found, searched = threading.Event(), []
    search = palette_search.ModelSearch.search

    def counted(self, query):
        searched.append(self)
        return search(self, query)

    monkeypatch.setattr(palette_search.ModelSearch, "search", counted)
    monkeypatch.setattr(palette_search, "find_models", lambda *_: found.wait(30))
    async with start() as driver:
        await driver.load()
        await driver.press("colon", *"ink")
        await driver.sees("switch to this LoRA")
        hits = driver.app.screen.query_one(CommandList)
        gathering = CommandPalette._GATHER_COMMANDS_GROUP
        await driver.until(lambda: gathering not in {work.group for work in driver.app.workers})
        assert hits.option_count > 1
        await driver.press("down")
        assert hits.highlighted == 1
        before = len(searched)
        found.set()
        await driver.until(searched[0]._looking.done)
        await driver.pilot.pause()
        assert (hits.highlighted, len(searched)) == (1, before)


async def test_a_fault_in_looking_for_models_is_logged_and_the_others_are_shown(
    start, monkeypatch, caplog
):
    def find(folders, beside, note, is_cancelled):
        note(ModelFile(Path("dream.safetensors"), "dream", 6_900_000_000, "SDXL"))
        raise RuntimeError("a fault")

    monkeypatch.setattr(palette_search, "find_models", find)
    async with start() as driver:
        await driver.load()
        await driver.press("colon", *"dream")
        await driver.sees("open this model · dream.safetensors")
        assert "looking for models has failed" in caplog.text
        assert "RuntimeError: a fault" in caplog.text


async def test_the_palette_finds_recipes(start, session):
    async with start() as driver:
        await driver.load()
        await driver.until(lambda: driver.app.services.recipes)
        ink = next(r.entry.path for r in driver.list.rows if isinstance(r, LoraRow)
                   and r.entry.name == "ink")  # fmt: skip
        member = Member.of(LoraRef(ink, 0.4, 0.4), "ink", "")
        driver.app.services.recipes.save(Recipe("evening mood", (member,), "a quiet lake", ""))
        await driver.press("colon", *"evening")
        await driver.sees("have this recipe's stack")
        await driver.press("enter")
        await driver.until(lambda: session.view.wanted)
        assert [(ref.name, ref.unet) for ref in session.view.wanted] == [("ink", 0.4)]
        assert driver.app.control.state.prompt == "a quiet lake"


async def test_names_of_strangers_are_no_markup_in_the_palette(start):
    async with start() as driver:
        await driver.load()
        await driver.until(lambda: driver.app.services.recipes)
        for name in ("mood [red]x", "mood[/b]", "[@click=app.quit]mood"):
            driver.app.services.recipes.save(Recipe(name, (), "", ""))
        await driver.press("colon", *"mood")
        await driver.sees("mood [red]x", "mood[/b]", "[@click=app.quit]mood")


async def test_a_recipe_that_is_saved_over_comes_back(start, session):
    async with start() as driver:
        await driver.load()
        await driver.until(lambda: driver.app.services.recipes)
        recipes = driver.app.services.recipes
        recipes.save(Recipe("evening", (), "a quiet lake", ""))
        await driver.switch_to("ink")
        await driver.press("S")
        await driver.sees("Recipes 1")
        await driver.press(*"evening", "ctrl+s")
        await driver.until(lambda: recipes.all()[0].members)
        await driver.press("u")
        await driver.until(lambda: not recipes.all()[0].members)
        assert recipes.all()[0].prompt == "a quiet lake"


async def test_recipes_are_gone_through_and_deleted_from_the_line_that_is_typed_in(start):
    async with start() as driver:
        await driver.load()
        await driver.until(lambda: driver.app.services.recipes)
        await driver.press("S", "down", *"dusk")
        assert driver.app.screen.query_one(Input).value == "dusk"
        await driver.press("escape")
        for name in ("dawn", "noon", "dusk"):
            driver.app.services.recipes.save(Recipe(name, (), f"a lake at {name}", ""))
        await driver.press("S")
        await driver.sees("Recipes 3", "a lake at dusk")
        await driver.press("down", "down", "up")
        await driver.sees("a lake at noon")
        await driver.press("ctrl+d")
        await driver.sees("Recipes 2")
        assert [one.name for one in driver.app.services.recipes.all()] == ["dusk", "dawn"]


async def test_a_recipe_that_is_gone_is_said(start):
    async with start() as driver:
        await driver.load()
        await driver.until(lambda: driver.app.services.recipes)
        driver.app.services.recipes.save(Recipe("evening", (), "a quiet lake", ""))
        await driver.press("S")
        await driver.sees("Recipes 1")
        driver.app.services.recipes.delete("evening")
        await driver.press("enter")
        await driver.until(lambda: any("no longer there" in words for words in driver.toasts))
