"""LoRAs named by tags in the prompt: live for their picture, and gone when another is wanted."""

from __future__ import annotations

from dataclasses import replace

import pytest

from engine.block_weights import PRESETS
from engine.events import CommandFailed, GenerationFinished
from engine.generate.infotext import ModelUsed, describe_picture
from tests.tui.conftest import write_lora


async def write(driver, prompt: str) -> None:
    """Put a prompt in place of the one that is there."""
    await driver.press("p", "end", "ctrl+u")
    driver.app.focused.insert(prompt)
    await driver.press("enter")


def names(stack) -> list[tuple[str, float, float]]:
    return [(ref.name, ref.unet, ref.text_encoder) for ref in stack]


async def test_tags_are_switched_to_before_their_picture_and_cost_no_second_switch(start, session):
    async with start() as driver:
        await driver.load()
        await driver.switch_to("aya")
        await write(driver, "a fox <lora:Neon:0.4> in <lora:styles/ink:0.2:0.6>")
        await driver.press("g")
        assert [command[0] for command in session.commands[-2:]] == ["switch", "generate"]
        tagged = [("neon", 0.4, 0.4), ("ink", 0.6, 0.2)]
        assert names(session.sent("switch")[-1]) == [("aya", 1.0, 1.0), *tagged]
        await driver.confirm()
        assert "● aya 1.00 + <neon> 0.40 + <ink> 0.60/0.20" in driver.screen[0]
        assert "● <neon>" in driver.text
        assert "Stack 3" in driver.text
        await driver.emit(GenerationFinished((), 1.0))
        await driver.press("r")
        assert len(session.sent("generate")) == 2
        assert len(session.sent("switch")) == 2, "the same tags again"


async def test_the_next_picture_without_tags_is_drawn_with_the_stack_alone(start, session):
    async with start() as driver:
        await driver.load()
        await write(driver, "a fox <lora:neon>")
        await driver.press("g")
        await driver.confirm()
        await write(driver, "a fox")
        await driver.press("g")
        assert names(session.sent("switch")[-1]) == []
        await driver.confirm()
        assert driver.screen[0].rstrip().endswith("● base")


@pytest.mark.parametrize("key", ["enter", "0"])
async def test_another_wish_takes_the_prompts_members_out(start, session, key):
    async with start() as driver:
        await driver.load()
        await write(driver, "a fox <lora:neon>")
        await driver.press("g")
        await driver.confirm()
        await driver.highlight("ink")
        await driver.press(key)
        stack = [("ink", 1.0, 1.0)] if key == "enter" else []
        assert names(session.sent("switch")[-1]) == stack


async def test_a_tag_adds_to_the_member_of_the_stack(start, session):
    async with start() as driver:
        await driver.load()
        await driver.switch_to("neon")
        await write(driver, "a fox <lora:neon:0.3>")
        await driver.press("g")
        assert names(session.sent("switch")[-1]) == [("neon", 0.8, 0.8), ("neon", 0.3, 0.3)]
        await driver.confirm()
        assert "● neon 0.80 + <neon> 0.30" in driver.screen[0]
        assert any("● neon" in row and " 1.10" in row for row in driver.screen), "in the list"
        await driver.press("4", "plus")
        await driver.confirm()
        assert names(session.sent("switch")[-1]) == [("neon", 0.85, 0.85)], "the user's own"
        await write(driver, "a fox")
        await driver.press("g")
        assert len(session.sent("switch")) == 3


async def test_the_same_lora_in_two_tags_counts_twice(start, session):
    async with start() as driver:
        await driver.load()
        await write(driver, "a fox <lora:neon:0.3> <lora:styles\\NEON.safetensors:0.3>")
        await driver.press("g")
        stack = session.sent("switch")[-1]
        assert names(stack) == [("neon", 0.3, 0.3), ("neon", 0.3, 0.3)]
        info = describe_picture(session.sent("generate")[0], 1, model=ModelUsed("m"), stack=stack)
        assert info.prompt == "a fox <lora:neon:0.6>"
        await driver.confirm()
        await driver.press("4", "j", "space")
        assert names(session.sent("switch")[-1]) == [("neon", 0.3, 0.3)], "one of the two"


async def test_own_and_tagged_of_one_strength_are_told_apart(start, session):
    async with start() as driver:
        await driver.load()
        await driver.switch_to("neon")
        await write(driver, "a fox <lora:neon:0.8>")
        await driver.press("g")
        await driver.confirm()
        assert "● neon 0.80 + <neon> 0.80" in driver.screen[0]
        await driver.press("4", "j", "plus")
        assert driver.toasts[-1] == "neon comes from the prompt: edit its tag there."
        await driver.press("space")
        assert names(session.sent("switch")[-1]) == [("neon", 0.8, 0.8)]


async def test_a_lora_is_found_by_the_name_its_trainer_gave_it(start, session, loras):
    write_lora(loras / "file_0007.safetensors", ss_output_name="Élan_v3")
    async with start() as driver:
        await driver.load()
        await write(driver, "a fox <lora:élan_v3:0.5>")
        await driver.press("g")
        assert names(session.sent("switch")[-1]) == [("file_0007", 0.5, 0.5)]


async def test_the_infotext_names_the_folder_where_two_files_have_a_name(start, session, loras):
    for folder in ("a", "b"):
        write_lora(loras / folder / "twin.safetensors")
    async with start() as driver:
        await driver.load()
        await write(driver, "a fox <lora:b/twin:0.5> <lora:neon:0.2>")
        await driver.press("g")
        stack = session.sent("switch")[-1]
        info = describe_picture(session.sent("generate")[0], 1, model=ModelUsed("m"), stack=stack)
        assert info.prompt == "a fox <lora:b/twin:0.5> <lora:neon:0.2>"


async def test_the_prompt_of_a_picture_gives_its_stack(start, session, settings):
    presets = {**PRESETS, "FACE": "1,0.5,1,1,1,0,1,1,1,1,1,1"}
    async with start(settings=replace(settings, block_weights=presets)) as driver:
        await driver.load()
        await write(driver, "a fox <lora:neon:te=0.2:unet=0.7:te2=0.1:lbw=face> <lora:ink:0.5>")
        await driver.press("g")
        await driver.confirm()
        (stack,) = session.sent("switch")
        assert stack[0].blocks == (("IN04", 0.5), ("MID", 0.0))
        assert stack[0].text_encoder_2 == 0.1
        info = describe_picture(session.sent("generate")[0], 1, model=ModelUsed("m"), stack=stack)
        await driver.press("0")
        await driver.confirm()
        await write(driver, info.prompt)
        await driver.press("g")
        assert session.sent("switch")[-1] == stack


async def test_comfyuis_order_of_strengths(start, session, settings):
    async with start(settings=replace(settings, tag_order="unet, te")) as driver:
        await driver.load()
        await write(driver, "a fox <lora:neon:0.7:0.2>")
        await driver.press("g")
        assert names(session.sent("switch")[-1]) == [("neon", 0.7, 0.2)]


@pytest.mark.parametrize(
    ("tag", "reason"),
    [
        ("nobody", "The prompt names the LoRA “nobody”, and there is none in the library"),
        ("twin", "“twin” may mean"),
        ("old15", "made for SD 1.5"),
        ("broken", "truncated"),
        ("neon:much", "is not a number"),
        ("neon:1:lbw=nose", "no block weights named"),
        ("neon:1:start=5", "“start=” of the LoRA neon is not known"),
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
        assert session.sent("switch") == session.sent("generate") == []
        assert driver.app.control.state.seed == seed


async def test_a_tag_that_the_model_refuses_stops_its_picture(start, session):
    async with start() as driver:
        await driver.load()
        await write(driver, "a fox <lora:neon>")
        await driver.press("g")
        await driver.emit(CommandFailed("switch", "neon does not fit.", refused=True))
        assert session.commands[-1][0] == "generate", "the engine refuses it: nothing is cancelled"
        (expected,) = session.expected
        assert expected.path.stem == "neon"
        await driver.emit(CommandFailed("generate", "The picture was not drawn."))
        assert driver.screen[0].rstrip().endswith("● base")
        assert driver.app.control.queued == 0
        await driver.press("g")
        assert len(session.sent("switch")) == 2, "asked for again, it is tried again"


async def test_members_of_the_prompt_are_changed_in_the_prompt(start, session):
    async with start() as driver:
        await driver.load()
        await write(driver, "a fox <lora:neon>")
        await driver.press("g")
        await driver.confirm()
        await driver.press("4")
        for key in ("plus", "w"):
            await driver.press(key)
            assert driver.toasts[-1] == "neon comes from the prompt: edit its tag there."
        assert len(session.sent("switch")) == 1
        await driver.press("space")
        assert session.sent("switch")[-1] == ()


async def test_embeddings_of_the_settings_go_with_the_picture(start, session, settings, tmp_path):
    async with start(settings=replace(settings, embeddings=(tmp_path,))) as driver:
        await driver.load()
        await write(driver, "a twig")
        await driver.press("g")
        assert session.sent("generate")[0].embeddings == (tmp_path,)
