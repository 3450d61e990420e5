"""How far the keys go with a LoRA, and what is typed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import EngineError
from engine.library.entry import LibraryEntry
from engine.protocol.refs import LoraRef
from engine.protocol.stack_edits import USUAL_BOUND, WIDE_BOUND, Part, stepped
from tui_loraswitch.control.strengths import STEP, bound_of, with_typed

ROOT = Path("/loras")
A = LoraRef(ROOT / "a.safetensors")


def entry(name: str, **values: object) -> LibraryEntry:
    return LibraryEntry(ROOT / f"{name}.safetensors", ROOT, 1, 1, 1, **values)


@pytest.mark.parametrize(
    ("lora", "bound"),
    [
        (entry("neon"), USUAL_BOUND),
        (entry("neon", preferred_strength=0.8), USUAL_BOUND),
        (entry("neon", preferred_strength=8.0), WIDE_BOUND),
        (entry("neon", preferred_strength=-15.0), WIDE_BOUND),
        (entry("Age_Slider_v2"), WIDE_BOUND),
        (entry("sliders/age"), WIDE_BOUND),
        (entry("x", title="Detail Slider"), WIDE_BOUND),
    ],
)
def test_the_bound_goes_by_the_lora(lora: LibraryEntry, bound: float) -> None:
    assert bound_of(lora) == bound


@pytest.mark.parametrize(
    ("start", "presses", "bound", "end"),
    [
        (1.0, 1, USUAL_BOUND, 1.05),
        (1.0, -1, USUAL_BOUND, 0.95),
        (0.0, -1, USUAL_BOUND, -0.05),
        (4.98, 1, USUAL_BOUND, 5.0),
        (1.0, 200, USUAL_BOUND, 5.0),
        (1.0, -200, USUAL_BOUND, -5.0),
        (1.0, 400, WIDE_BOUND, 20.0),
        (8.0, 1, USUAL_BOUND, 8.05),
        (8.0, -1, USUAL_BOUND, 7.95),
        (-15.0, -1, USUAL_BOUND, -15.05),
        (20.0, 1, WIDE_BOUND, 20.0),
        (35.0, 1, USUAL_BOUND, 35.0),
        (35.0, -1, USUAL_BOUND, 34.95),
        (0.125, 1, USUAL_BOUND, 0.175),
    ],
)
def test_the_keys_step_within_it_and_never_pull_back(start, presses, bound, end) -> None:
    ref = A.at(start)
    for _ in range(abs(presses)):
        ref = stepped(ref, STEP if presses > 0 else -STEP, "both", bound)
    assert (ref.unet, ref.text_encoder, ref.text_encoder_2) == (end, end, None)


@given(
    st.floats(-100, 100).map(lambda x: round(x, 3)),
    st.sampled_from([STEP, -STEP]),
    st.sampled_from(["both", "unet", "text_encoder", "text_encoder_2"]),
)
def test_a_step_is_at_most_a_step_in_its_direction(value: float, delta: float, part: Part) -> None:
    ref = stepped(A.at(value), delta, part, USUAL_BOUND)
    for after in (ref.unet, ref.text_encoder, ref.text_encoder_2_strength):
        assert -1e-9 <= (after - value) * delta / STEP <= STEP + 1e-9


def test_each_part_goes_its_own_way_until_they_meet() -> None:
    ref = stepped(A, -STEP, "text_encoder_2", USUAL_BOUND)
    assert (ref.unet, ref.text_encoder, ref.text_encoder_2) == (1.0, 1.0, 0.95)
    ref = stepped(ref, 0.5, "text_encoder", USUAL_BOUND)
    assert (ref.text_encoder, ref.text_encoder_2) == (1.5, 1.45)
    ref = stepped(ref, STEP, "text_encoder_2", USUAL_BOUND)
    assert ref.text_encoder_2 is None
    assert stepped(ref, STEP, "unet", USUAL_BOUND) == replace(ref, unet=1.05)


@pytest.mark.parametrize(
    ("text", "strengths"),
    [
        ("0.8", (0.8, 0.8, None)),
        (" -7.5 ", (-7.5, -7.5, None)),
        ("−3", (-3.0, -3.0, None)),
        ("0,85", (0.85, 0.85, None)),
        (".5", (0.5, 0.5, None)),
        ("12.", (12.0, 12.0, None)),
        ("0.8/0.6", (0.8, 0.6, None)),
        ("0.8 / 0.6 / 0", (0.8, 0.6, 0.0)),
        ("1 0.5 0.5", (1.0, 0.5, None)),
        ("100", (100.0, 100.0, None)),
        ("0", (0.0, 0.0, None)),
    ],
)
def test_typed_strengths(text: str, strengths: tuple[float, float, float | None]) -> None:
    ref = with_typed(replace(A, text_encoder_2=0.3), text)
    assert (ref.unet, ref.text_encoder, ref.text_encoder_2) == strengths


@pytest.mark.parametrize(
    "text",
    ["", "/", "x", "nan", "1e3", "100.1", "-101", "1/2/3/4", "1//2", "1_0", "٣", ".", "+", "$1"],
)
def test_what_is_no_strength_is_said(text: str) -> None:
    with pytest.raises(EngineError, match=r"number|strength"):
        with_typed(A, text)


async def test_a_strength_is_typed_in_the_app(start, session) -> None:
    async with start() as driver:
        await driver.load()
        await driver.press("e")
        assert "No LoRA is live" in driver.toasts[-1]
        await driver.switch_to("ink")
        await driver.press("e", *"8.5/7", "enter")
        (ref,) = session.view.wanted
        assert (ref.unet, ref.text_encoder) == (8.5, 7.0)
        await driver.confirm()
        await driver.press("plus")
        (ref,) = session.view.wanted
        assert (ref.unet, ref.text_encoder) == (8.55, 7.05)
        await driver.confirm()
        await driver.press("e", *"loud")
        assert "Write a number" in driver.text
        await driver.press("enter", "escape")
        assert session.view.wanted == (ref,)


async def test_at_its_bound_a_key_says_what_helps(start, session) -> None:
    async with start() as driver:
        await driver.load()
        await driver.switch_to("ink")
        await driver.press("e", *"5", "enter")
        await driver.confirm()
        await driver.press("plus")
        assert "e types any strength" in driver.toasts[-1]
        assert session.view.wanted[0].unet == 5.0


async def test_a_recommended_strength_beyond_the_usual_is_where_the_keys_begin(
    start, session, loras
) -> None:
    (loras / "styles/ink.json").write_text('{"preferred weight": 12}')
    async with start() as driver:
        await driver.load()
        await driver.switch_to("ink")
        await driver.press("plus")
        assert session.view.wanted[0].unet == 12.05
