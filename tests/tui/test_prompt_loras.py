"""LoRAs named by tags in the prompt: live for their picture, and gone afterwards."""

from __future__ import annotations

import pytest
from msgspec import structs

from engine.block_weights import PRESETS
from engine.generate.infotext import ModelUsed, describe_picture
from engine.protocol.commands import Draw
from engine.protocol.events import CommandFailed, GenerationFinished
from engine.session.work import DrawWork
from tests.tui.conftest import write_lora


async def write(driver, prompt: str) -> None:
    """Put a prompt in place of the one that is there."""
    await driver.press("p", "end", "ctrl+u")
    driver.app.focused.insert(prompt)
    await driver.press("enter")


async def draw(driver, prompt: str):
    """Ask for a picture, and let the engine begin with it."""
    await write(driver, prompt)
    await driver.press("g")
    return await driver.begin_picture()


def names(stack) -> list[tuple[str, float, float]]:
    return [(ref.name, ref.unet, ref.text_encoder) for ref in stack]


def infotext_prompt(job) -> str:
    return describe_picture(job.request, 1, model=ModelUsed("m"), stack=job.stack).prompt


async def test_tags_are_live_for_their_picture_and_cost_no_second_switch(start, session):
    async with start() as driver:
        await driver.load()
        await driver.switch_to("aya")
        job = await draw(driver, "a fox <lora:Neon:0.4> in <lora:styles/ink:0.2:0.6>")
        tagged = [("neon", 0.4, 0.4), ("ink", 0.6, 0.2)]
        assert names(job.stack) == [("aya", 1.0, 1.0), *tagged]
        shown = "● aya 1.00 + <neon> 0.40 + <ink> 0.60/0.20"
        assert shown in driver.screen[0]
        assert "● <neon>" in driver.text
        assert "Stack 3" in driver.text
        await driver.press("r")
        await driver.emit(GenerationFinished((), 1.0))
        work = session.take()
        assert isinstance(work, DrawWork), "the same tags again"
        assert work.job.stack == job.stack == session.view.live
        await driver.emit()
        assert shown in driver.screen[0]


async def test_the_wanted_stack_comes_back_after_the_picture(start, session):
    async with start() as driver:
        await driver.load()
        await driver.switch_to("aya")
        await draw(driver, "a fox <lora:neon>")
        await driver.emit(GenerationFinished((), 1.0))
        assert names(session.view.wanted) == [("aya", 1.0, 1.0)]
        assert "<neon>" not in driver.text
        await driver.begin()
        assert driver.screen[0].rstrip().endswith("◌ switching to aya 1.00")
        await driver.confirm()
        assert driver.screen[0].rstrip().endswith("● aya 1.00")
        await driver.begin()
        assert session.view.working != "switch", "once"


async def test_the_next_picture_without_tags_is_drawn_with_the_stack_alone(start):
    async with start() as driver:
        await driver.load()
        await draw(driver, "a fox <lora:neon>")
        await driver.emit(GenerationFinished((), 1.0))
        job = await draw(driver, "a fox")
        assert job.stack == ()
        assert driver.screen[0].rstrip().endswith("● base")


@pytest.mark.parametrize("key", ["enter", "0"])
async def test_another_wish_waits_for_the_picture_and_takes_the_prompts_members_out(
    start, session, key
):
    async with start() as driver:
        await driver.load()
        await driver.switch_to("aya")
        job = await draw(driver, "a fox <lora:neon>")
        await driver.highlight("ink")
        driver.list.focus()
        await driver.press(key)
        assert names(session.view.wanted) == ([("ink", 1.0, 1.0)] if key == "enter" else [])
        assert session.view.live == job.stack, "it is being drawn"
        assert driver.screen[0].rstrip().endswith("● aya 1.00 + neon 1.00")
        assert ("◌ ink" if key == "enter" else "going back to base") in driver.text
        await driver.emit(GenerationFinished((), 1.0))
        await driver.confirm()
        live = "● ink 1.00" if key == "enter" else "● base"
        assert driver.screen[0].rstrip().endswith(live)


async def test_a_tag_adds_to_the_member_of_the_stack(start, session):
    async with start() as driver:
        await driver.load()
        await driver.switch_to("neon")
        job = await draw(driver, "a fox <lora:neon:0.3>")
        assert names(job.stack) == [("neon", 0.8, 0.8), ("neon", 0.3, 0.3)]
        assert "● neon 0.80 + <neon> 0.30" in driver.screen[0]
        assert any("● neon" in row and " 1.10" in row for row in driver.screen), "in the list"
        await driver.press("4", "plus", "plus")
        assert names(session.view.wanted) == [("neon", 0.9, 0.9)], "the user's own"
        assert "◌ neon" in driver.text
        await driver.emit(GenerationFinished((), 1.0))
        await driver.confirm()
        assert driver.screen[0].rstrip().endswith("● neon 0.90")


async def test_the_same_lora_in_two_tags_counts_twice(start):
    async with start() as driver:
        await driver.load()
        job = await draw(driver, "a fox <lora:neon:0.3> <lora:styles\\NEON.safetensors:0.3>")
        assert names(job.stack) == [("neon", 0.3, 0.3), ("neon", 0.3, 0.3)]
        assert infotext_prompt(job) == "a fox <lora:neon:0.6>"
        assert any("● neon" in row and " 0.60" in row for row in driver.screen), "in the list"


async def test_own_and_tagged_of_one_strength_are_told_apart(start, session):
    async with start() as driver:
        await driver.load()
        await driver.switch_to("neon")
        await draw(driver, "a fox <lora:neon:0.8>")
        assert "● neon 0.80 + <neon> 0.80" in driver.screen[0]
        await driver.press("4", "j", "plus")
        assert driver.toasts[-1] == "neon comes from the prompt: edit its tag there."
        assert names(session.view.wanted) == [("neon", 0.8, 0.8)]
        await driver.press("k", "plus")
        assert names(session.view.wanted) == [("neon", 0.85, 0.85)]


async def test_a_lora_is_found_by_the_name_its_trainer_gave_it(start, loras):
    write_lora(loras / "file_0007.safetensors", ss_output_name="Élan_v3")
    async with start() as driver:
        await driver.load()
        job = await draw(driver, "a fox <lora:élan_v3:0.5>")
        assert names(job.stack) == [("file_0007", 0.5, 0.5)]


async def test_the_infotext_names_the_folder_where_two_files_have_a_name(start, loras):
    for folder in ("a", "b"):
        write_lora(loras / folder / "twin.safetensors")
    async with start() as driver:
        await driver.load()
        job = await draw(driver, "a fox <lora:b/twin:0.5> <lora:neon:0.2>")
        assert infotext_prompt(job) == "a fox <lora:b/twin:0.5> <lora:neon:0.2>"


async def test_the_prompt_of_a_picture_gives_its_stack(start, settings):
    presets = {**PRESETS, "FACE": "1,0.5,1,1,1,0,1,1,1,1,1,1"}
    async with start(settings=structs.replace(settings, block_weights=presets)) as driver:
        await driver.load()
        tags = "<lora:neon:te=0.2:unet=0.7:te2=0.1:lbw=face> <lora:ink:0.5>"
        job = await draw(driver, f"a fox {tags}")
        assert job.stack[0].blocks == (("IN04", 0.5), ("MID", 0.0))
        assert job.stack[0].text_encoder_2 == 0.1
        await driver.emit(GenerationFinished((), 1.0))
        again = await draw(driver, infotext_prompt(job))
        assert again.stack == job.stack


async def test_comfyuis_order_of_strengths(start, settings):
    async with start(settings=structs.replace(settings, tag_order="unet, te")) as driver:
        await driver.load()
        job = await draw(driver, "a fox <lora:neon:0.7:0.2>")
        assert names(job.stack) == [("neon", 0.7, 0.2)]


@pytest.mark.parametrize(
    ("tag", "reason"),
    [
        ("nobody", "The prompt names the LoRA “nobody”, and there is none in the library"),
        ("twin", "“twin” may mean"),
        ("old15", "made for SD 1.5"),
        ("broken", "truncated"),
        ("neon:much", "is not a number"),
        ("neon:1:lbw=nose", "no block weights named"),
        ("neon:1:pace=5", "“pace=” of the LoRA neon is not known"),
    ],
)
async def test_a_tag_that_cannot_be_is_refused_and_nothing_is_drawn(
    start, session, loras, tag, reason
):
    for folder in ("a", "b"):
        write_lora(loras / folder / "twin.safetensors")
    async with start() as driver:
        await driver.load()
        await write(driver, f"a fox <lora:{tag}>")
        seed = driver.app.control.state.seed
        await driver.press("r")
        assert reason in driver.toasts[-1]
        assert session.sent(Draw) == []
        assert driver.app.control.state.seed == seed


async def test_a_tag_that_the_model_refuses_stops_its_picture(start, session, loras):
    async with start() as driver:
        await driver.load()
        await write(driver, "a fox <lora:neon>")
        await driver.press("g")
        await driver.begin()
        path = loras / "styles/neon.safetensors"
        await driver.emit(CommandFailed("draw", "neon does not fit.", refused=True, path=path))
        assert driver.toasts[-1] == "neon does not fit."
        assert any("! neon" in row and "refused" in row for row in driver.screen)
        assert driver.screen[0].rstrip().endswith("● base")
        assert session.view.jobs == ()
        await driver.press("g")
        (job,) = session.view.waiting
        assert names(job.stack) == [("neon", 1.0, 1.0)], "asked for again, it is tried again"


async def test_members_of_the_prompt_are_changed_in_the_prompt(start, session):
    async with start() as driver:
        await driver.load()
        job = await draw(driver, "a fox <lora:neon>")
        await driver.press("4")
        for key in ("plus", "w", "space"):
            driver.app.clear_notifications()
            await driver.press(key)
            assert driver.toasts == ["neon comes from the prompt: edit its tag there."]
        assert session.view.wanted == ()
        assert session.view.running == job


async def test_embeddings_of_the_settings_go_with_the_picture(start, session, settings, tmp_path):
    async with start(settings=structs.replace(settings, embeddings=(tmp_path,))) as driver:
        await driver.load()
        await write(driver, "a twig")
        await driver.press("g")
        assert session.sent(Draw)[0].request.embeddings == (tmp_path,)
