"""Favourites, tags, notes and recipes by key, and the undo of all of them and of files."""

from __future__ import annotations

from textual.widgets import Input

from engine.protocol.commands import SetStack
from engine.protocol.refs import LoraRef
from tests.tui.test_library_pane import shown_names


async def test_a_favourite_tags_and_a_note_are_kept_found_and_undone(start, settings):
    async with start() as driver:
        await driver.load()
        await driver.highlight("ink")
        await driver.press("f")
        await driver.until(lambda: any("★ ink" in line for line in driver.screen))
        await driver.press("number_sign", *"wet, rain", "enter")
        await driver.until(lambda: driver.app.main.library.highlighted_own.tags == ("wet", "rain"))
        await driver.press("N", *"for Monday", "enter")
        await driver.until(lambda: driver.app.main.library.highlighted_own.notes == "for Monday")
        await driver.press("slash", *"fav:yes tag:rain monday", "enter")
        await driver.until(lambda: shown_names(driver) == ["styles/", "ink"])
        await driver.press("escape")
    async with start() as driver:
        await driver.load()
        await driver.highlight("ink")
        assert driver.app.main.library.highlighted_own.favourite, "also at the next start"
        await driver.press("f")
        await driver.until(lambda: not driver.app.main.library.highlighted_own.favourite)
        await driver.until(lambda: driver.app.undo._done)
        await driver.press("u")
        await driver.until(lambda: driver.app.main.library.highlighted_own.favourite)
        assert driver.toasts[-1] == "Taken back: favourite of ink."
        await driver.press("u")
        assert driver.toasts[-1] == "There is nothing to take back."


async def test_a_change_of_the_stack_is_undone(start, session, loras):
    async with start() as driver:
        await driver.load()
        await driver.highlight("ink")
        await driver.press("enter")
        await driver.highlight("neon")
        await driver.press("enter", "u")
        (ref,) = session.sent(SetStack)[-1].stack
        assert ref.path == loras / "styles/ink.safetensors"
        await driver.press("u")
        assert session.sent(SetStack)[-1] == SetStack(())


async def test_what_was_written_and_set_is_undone_by_the_same_key(start, session):
    async with start() as driver:
        await driver.load()
        prompt, steps = driver.app.control.state.prompt, driver.app.control.state.steps
        await driver.press("p", *"a cat", "enter")
        await driver.press("o")
        driver.app.screen.query_one("#steps", Input).value = "9"
        await driver.press("enter", "p", *" in rain", "enter", "ctrl+e", *"!", "ctrl+s")
        state = driver.app.control.state
        assert (state.prompt, state.steps) == (f"{prompt}a cat in rain!", 9)
        for after in (
            (f"{prompt}a cat in rain", 9),
            (f"{prompt}a cat", 9),
            (f"{prompt}a cat", steps),
            (prompt, steps),
        ):
            await driver.press("u")
            await driver.until(
                lambda after=after: (
                    (driver.app.control.state.prompt, driver.app.control.state.steps) == after
                )
            )
        assert driver.app.main.prompt.query_one("#prompt-text").text == prompt
        await driver.press("u")
        await driver.until(lambda: driver.toasts[-1] == "There is nothing to take back.")


async def test_a_recipe_is_taken_back_with_its_prompt(start, session, loras):
    async with start() as driver:
        await driver.load()
        await driver.press("p", *"a fox", "enter")
        await driver.highlight("ink")
        await driver.press("enter")
        await driver.until(lambda: driver.app.services.recipes is not None)
        await driver.press("S", *"My ink", "ctrl+s")
        await driver.until(lambda: driver.toasts[-1] == "Saved: My ink.")
        await driver.press("0", "p", *" at night", "enter")
        prompt = driver.app.control.state.prompt
        await driver.press("S")
        await driver.until(lambda: "My ink" in driver.text)
        await driver.press("enter")
        await driver.until(lambda: driver.toasts[-1] == "Stack and prompt are those of My ink.")
        assert driver.app.control.view.wanted
        assert driver.app.control.state.prompt == "a fox"
        await driver.press("u")
        await driver.until(lambda: not driver.app.control.view.wanted)
        assert driver.app.control.state.prompt == prompt == "a fox at night"


async def test_a_live_lora_stays_live_under_its_new_name(start, session, loras):
    async with start() as driver:
        await driver.load()
        await driver.switch_to("ink")
        await driver.press("f2")
        driver.app.screen.query_one(Input).value = "styles/wash"
        await driver.press("enter")
        await driver.until(lambda: "wash" in shown_names(driver))
        assert [ref.name for ref in driver.app.control.view.wanted] == ["wash"]
        await driver.until(lambda: "Done: renaming ink. u takes it back." in driver.toasts)
        await driver.press("u")
        await driver.until(lambda: "ink" in shown_names(driver))
        await driver.until(lambda: [ref.name for ref in driver.app.control.view.wanted] == ["ink"])


async def test_a_stack_is_saved_as_a_recipe_and_applied_with_its_prompt(start, session, loras):
    async with start() as driver:
        await driver.load()
        await driver.highlight("ink")
        await driver.press("enter", "minus", "minus")
        await driver.until(lambda: driver.app.services.recipes is not None)
        stack = driver.app.control.view.wanted
        prompt = driver.app.control.state.prompt
        await driver.press("S", *"My ink", "ctrl+s")
        await driver.until(lambda: driver.toasts[-1] == "Saved: My ink.")
        await driver.press("0")
        await driver.press("S")
        await driver.until(lambda: "My ink" in driver.text)
        driver.app.screen.query_one(Input).value = "ink"
        await driver.press("enter")
        await driver.until(lambda: driver.app.control.view.wanted == stack)
        assert stack == (LoraRef(loras / "styles/ink.safetensors", 0.9, 0.9),)
        assert driver.app.control.state.prompt == prompt


async def test_marked_files_are_deleted_and_brought_back(start, loras, monkeypatch):
    monkeypatch.setattr("engine.library.arrange.to_trash", lambda path: path.unlink())
    async with start() as driver:
        await driver.load()
        await driver.highlight("ink")
        await driver.press("M", "M", "D")
        await driver.sees("LoRAs 5 · 2 marked", "Delete 2 LoRAs")
        await driver.press("enter")
        await driver.until(
            lambda: shown_names(driver) == ["styles/", "deep/", "night", "aya", "broken"]
        )
        assert not (loras / "styles/ink.safetensors").exists()
        await driver.until(lambda: driver.app.undo._done)
        await driver.press("u")
        await driver.until(lambda: any("Taken back: deleting" in text for text in driver.toasts))
        assert (loras / "styles/ink.safetensors").exists(), "it is said when it is done"
        await driver.until(lambda: "ink" in shown_names(driver) and "neon" in shown_names(driver))
        await driver.highlight("ink")
        await driver.press("f2")
        driver.app.screen.query_one(Input).value = "other/wash"
        await driver.press("enter")
        await driver.until(lambda: (loras / "other/wash.safetensors").exists())
        await driver.until(lambda: "wash" in shown_names(driver))
