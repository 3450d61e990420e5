"""Strengths over the steps: points, windows and turns, as tags say them."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.block_weights import PRESETS
from engine.errors import EngineError
from engine.words.course import STEADY, Course, Point, strengths
from engine.words.lora_tags import LoraTag, split_tags
from tui_loraswitch.control.wanted_lora import WantedLora


def _tag(text: str) -> LoraTag:
    (tag,) = split_tags(text)[1]
    return tag


def _unet(text: str, steps: int) -> list[float]:
    return [unet for unet, _ in _tag(text).strengths(steps)]


def test_lines_between_points_and_held_ends() -> None:
    assert _unet("<lora:x:0@0,1@0.5>", 5) == [0, 0.5, 1, 1, 1]
    assert _unet("<lora:x:0@0,1@1>", 5) == [0, 0.25, 0.5, 0.75, 1]
    assert _unet("<lora:x:1@0.5;0@1>", 5) == [1, 1, 1, 0.5, 0]
    assert _unet("<lora:x:0.8@0,-0.2@0.5,0.8@1>", 5) == pytest.approx([0.8, 0.3, -0.2, 0.3, 0.8])


def test_places_above_1_are_steps() -> None:
    assert _unet("<lora:x:0@0,1@4>", 6) == [0, 0.25, 0.5, 0.75, 1, 1]
    assert _unet("<lora:x:0@1,1@3>", 5) == [0, 0, 0.5, 1, 1]
    assert _unet("<lora:x:1@100>", 3) == [1, 1, 1]


def test_two_points_at_one_place_are_a_jump() -> None:
    assert _unet("<lora:x:1@0,1@2,0@2,0@9>", 4) == [1, 1, 0, 0]


def test_points_in_any_order_and_for_each_part() -> None:
    tag = _tag("<lora:x:te=0.5:unet=1@1,0@0>")
    assert tag.strengths(3) == [(0, 0.5), (0.5, 0.5), (1, 0.5)]
    assert _tag("<lora:x:0.5:0@0,1@1>").strengths(2) == [(0, 0.5), (1, 0.5)]


@pytest.mark.parametrize("steps", [1, 2, 7])
def test_constants_are_exact(steps: int) -> None:
    assert strengths(0.1, steps) == (0.1,) * steps
    assert strengths((Point(0.1, 0), Point(0.1, 1)), steps) == (0.1,) * steps
    assert _tag("<lora:x:0.7:0.3>").strengths(steps) == [(0.3, 0.7)] * steps


def test_windows() -> None:
    expected = [0, 0] + [0.8] * 5 + [0] * 3
    assert _unet("<lora:x:0.8:start=0.2,end=0.7>", 10) == expected
    assert _unet("<lora:x:0.8:start=0.2:end=0.7>", 10) == expected
    assert _unet("<lora:x:0.8:start=2:end=7>", 10) == expected
    assert _unet("<lora:x:start=0,end=1>", 3) == [1, 1, 1]
    assert _unet("<lora:x:end=0.5>", 4) == [1, 1, 0, 0]
    assert _tag("<lora:x:0.8:start=0.5>").strengths(2) == [(0, 0), (0.8, 0.8)]


def test_members_take_turns() -> None:
    assert _unet("<lora:x:0.8:turn=1/2>", 5) == [0.8, 0, 0.8, 0, 0.8]
    assert _unet("<lora:x:0.8:turn=2/2>", 5) == [0, 0.8, 0, 0.8, 0]
    assert _unet("<lora:x:turn=3/3,every=2>", 8) == [0, 0, 0, 0, 1, 1, 0, 0]
    assert _unet("<lora:x:0@0,1@1:turn=1/2:start=0.4>", 5) == [0, 0, 0.5, 0, 1]


_shares = st.integers(0, 20).map(lambda n: n / 20)


@given(_shares, st.integers(1, 60))
def test_windows_that_meet_share_no_step_and_leave_none_out(place: float, steps: int) -> None:
    before, after = Course(end=place), Course(start=place)
    for step in range(steps):
        assert before.counts_at(step, steps) != after.counts_at(step, steps)


@given(st.integers(1, 6), st.integers(1, 4), st.integers(1, 40))
def test_exactly_one_of_those_that_take_turns_counts(turns: int, every: int, steps: int) -> None:
    members = [Course(turn=n, turns=turns, every=every) for n in range(1, turns + 1)]
    for step in range(steps):
        assert sum(member.counts_at(step, steps) for member in members) == 1


_points = st.lists(
    st.builds(Point, st.sampled_from([-1.0, 0.0, 1e-9, 0.25, 1.5]), _shares | st.integers(2, 30)),
    min_size=1,
    max_size=6,
).map(tuple)


@given(_points, st.integers(1, 40))
def test_strengths_stay_within_their_points(points: tuple[Point, ...], steps: int) -> None:
    found = strengths(points, steps)
    assert len(found) == steps
    levels = [point.strength for point in points]
    assert min(levels) <= min(found)
    assert max(found) <= max(levels)


@given(_points, _points, _shares, st.integers(2, 9), st.sampled_from([(), (("lbw", "a=1,b=2"),)]))
def test_a_tag_reads_back_as_itself(
    unet: tuple[Point, ...],
    te: tuple[Point, ...],
    start: float,
    turns: int,
    options: tuple[tuple[str, str], ...],
) -> None:
    course = Course(unet, te, start, float(turns), 2, turns, 3)
    tag = LoraTag("x", unet[-1].strength, te[-1].strength, options, course)
    assert _tag(str(tag)) == tag


@pytest.mark.parametrize(
    ("tag", "said"),
    [
        ("<lora:x:0@0,1>", "is no list of points"),
        ("<lora:x:0@0,z@1>", "is no list of points"),
        ("<lora:x:0@-1>", "is not a number"),
        ("<lora:x:0@>", "is not a number"),
        ("<lora:x:1:start=x>", "is no place"),
        ("<lora:x:1:start=1.5>", "is no place"),
        ("<lora:x:1:end=-1>", "is no place"),
        ("<lora:x:1:end=nan>", "is no place"),
        ("<lora:x:1:step=5>", "write a range, as step=5-10"),
        ("<lora:x:1:step=10-5>", "ends before it starts"),
        ("<lora:x:1:step=0.7-0.2>", "ends before it starts"),
        ("<lora:x:1:step=10-0>", "ends before it starts"),
        ("<lora:x:1:start=10:end=5>", "ends before it starts"),
        ("<lora:x:1:step=5-10-15>", "is no place"),
        ("<lora:x:1:turn=3/2>", "is no turn"),
        ("<lora:x:1:turn=0/2>", "is no turn"),
        ("<lora:x:1:turn=1>", "is no turn"),
        ("<lora:x:1:every=0>", "is no number of steps"),
        ("<lora:x:1:start=0.1,until=0.5>", "none of start, end, stop, step, turn, every"),
        ("<lora:x:" + "1@0," * 600 + "1@1>", "601 points"),
    ],
)
def test_what_is_not_understood_is_refused_with_the_tag(tag: str, said: str) -> None:
    with pytest.raises(EngineError) as refusal:
        split_tags(tag)
    assert said in str(refusal.value)
    assert "<lora:x:" in str(refusal.value)
    assert len(str(refusal.value)) < 400


def test_the_fields_of_block_weights_extensions() -> None:
    """`stop=` and `step=` of lora-block-weight."""
    assert _tag("<lora:x:1:stop=10>").course == Course(end=10)
    assert _tag("<lora:x:1:step=5-10>").course == Course(start=5, end=10)
    assert _tag("<lora:x:1: step = 0.2-0.6 >").course == Course(start=0.2, end=0.6)
    assert _tag("<lora:x:1:step=10-0.9>").course == Course(start=10, end=0.9)
    assert _tag("<lora:x:1:step=2-4>").course.strengths(6, 1, 1) == [
        (0, 0), (0, 0), (1, 1), (1, 1), (0, 0), (0, 0)]  # fmt: skip


def test_names_with_signs_of_points_stay_names() -> None:
    assert _tag("<lora:a@b:0.5>").name == "a@b"
    assert _tag("<lora:a:b@1:0.5>").name == "a:b@1"


def test_a_changing_strength_goes_with_the_member_of_the_stack() -> None:
    wanted = WantedLora.of_tag(_tag("<lora:x:0@0,1@1:te2=0.5:start=0.5>"))
    ref = wanted.ref(Path("x.safetensors"), PRESETS)
    assert [(r.unet, r.text_encoder, r.text_encoder_2_strength) for r in ref.over(5)] == [
        (0, 0, 0), (0, 0, 0), (0.5, 0.5, 0.5), (0.75, 0.75, 0.5), (1, 1, 0.5),
    ]  # fmt: skip
    assert {r.course for r in ref.over(5)} == {STEADY}
    # While nothing is drawn it is the last point.
    assert (ref.unet, ref.text_encoder) == (1, 1)
