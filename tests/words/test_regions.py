"""Regions in the words of Regional Prompter."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import EngineError
from engine.words.lora_tags import split_tags
from engine.words.prompt_language.regions import (
    MOST_REGIONS,
    Box,
    Region,
    Regions,
    read_regions,
    tags_by_region,
    write_regions,
)


def _boxes(text: str, ratios: str = "") -> list[tuple[float, ...]]:
    return [tuple(region.box) for region in read_regions(text, ratios).regions]


def test_a_prompt_without_the_words_is_all_base() -> None:
    for text in ("", "a fox BREAK rain", "addcol, ADDCOLS"):
        assert read_regions(text) == Regions(text)


def test_columns_each_with_its_own_tags() -> None:
    read = read_regions("a room ADDBASE a fox <lora:neon:0.8> ADDCOL a cat <lora:ink:1>")
    assert read.base == "a room"
    assert read.regions == (
        Region("a fox <lora:neon:0.8>", Box(0, 0, 0.5, 1)),
        Region("a cat <lora:ink:1>", Box(0.5, 0, 1, 1)),
    )
    assert [split_tags(region.text)[1][0].name for region in read.regions] == ["neon", "ink"]
    assert read.notes == ()


def test_rows_of_columns_with_the_ratios_of_regional_prompters_own_example() -> None:
    text = "blue sky ADDCOL\ntwintail ADDCOL\naquarium ADDROW\nmessy desk ADDCOL\norange dress"
    boxes = _boxes(text, "1,2,1,1;2,4,6")
    assert boxes == [
        pytest.approx((0, 0, 0.5, 1 / 3)),
        pytest.approx((0.5, 0, 0.75, 1 / 3)),
        pytest.approx((0.75, 0, 1, 1 / 3)),
        pytest.approx((0, 1 / 3, 0.4, 1)),
        pytest.approx((0.4, 1 / 3, 1, 1)),
    ]
    assert _boxes(text)[3] == (0, 0.5, 0.5, 1)


@pytest.mark.parametrize("ratios", ["1,3", "1;3", " 0.1 , .3 "])
def test_rows_take_ratios_in_a_row_or_by_rows(ratios: str) -> None:
    assert _boxes("a ADDROW b", ratios) == [(0, 0, 1, 0.25), (0, 0.25, 1, 1)]


def test_columns_take_their_ratios_with_a_height_or_without() -> None:
    expected = [(0, 0, 0.25, 1), (0.25, 0, 1, 1)]
    assert _boxes("a ADDCOL b", "1,3") == expected
    assert _boxes("a ADDCOL b", "5,1,3") == expected


def test_what_is_common_stands_before_each_region() -> None:
    read = read_regions("fantasy <lora:ink:1> ADDCOMM sky ADDROW ADDCOL stalls")
    assert [region.text for region in read.regions] == [
        "fantasy <lora:ink:1>, sky",
        "fantasy <lora:ink:1>",
        "fantasy <lora:ink:1>, stalls",
    ]
    assert read.base == ""
    both = read_regions("x ADDCOMM whole ADDBASE a ADDCOL b")
    assert (both.base, both.regions[1].text) == ("whole", "x, b")


def test_masks_are_places_in_order() -> None:
    read = read_regions("moon ADDCOL girl ADDROW dog", masks=True)
    assert [(region.text, region.kind) for region in read.regions] == [
        ("moon", "mask"), ("girl", "mask"), ("dog", "mask"),
    ]  # fmt: skip


def test_what_does_not_fit_is_said() -> None:
    read = read_regions("a ADDCOL b ADDCOL", "1,2")
    assert [region.box.x1 for region in read.regions] == pytest.approx([1 / 3, 2 / 3, 1])
    assert read.notes == (
        "Region 3 has no prompt.",
        "The ratios “1,2” do not fit the regions; all are alike.",
    )


@pytest.mark.parametrize(
    ("text", "ratios", "said"),
    [
        ("a ADDCOL b ADDBASE c", "", "ADDBASE stands after a region"),
        ("a ADDBASE b ADDBASE c", "", "ADDBASE stands twice"),
        ("a ADDCOL b", "1,x", "“x” is no ratio"),
        ("a ADDCOL b", "1,0", "“0” is no ratio"),
        ("a ADDCOL b", "1,-2", "“-2” is no ratio"),
        ("ADDCOL" + " ADDCOL" * MOST_REGIONS, "", "at most 64"),
    ],
)
def test_what_cannot_be_drawn_is_refused(text: str, ratios: str, said: str) -> None:
    with pytest.raises(EngineError, match=said):
        read_regions(text, ratios)


@given(st.lists(st.sampled_from(["ADDCOL", "ADDROW"]), max_size=20), st.data())
def test_boxes_cover_the_picture_once(words: list[str], data: st.DataObject) -> None:
    ratio = st.integers(1, 99).map(str)
    ratios = ",".join(data.draw(st.lists(ratio, max_size=5)))
    boxes = [r.box for r in read_regions(f"x ADDBASE a {' b '.join(words)} c", ratios).regions]
    assert len(boxes) == len(words) + 1
    assert sum((b.x1 - b.x0) * (b.y1 - b.y0) for b in boxes) == pytest.approx(1)
    for x in (0.003, 0.31, 0.997):
        for y in (0.003, 0.77, 0.997):
            assert sum(b.x0 <= x < b.x1 and b.y0 <= y < b.y1 for b in boxes) == 1


def test_tags_belong_to_their_region_or_to_all() -> None:
    text = "photo <lora:all:0.5> ADDBASE fox <lora:neon:1> ADDCOL cat <lora:ink:0@0,1@1>"
    whole, own = tags_by_region(text)
    assert [tag.name for tag in whole] == ["all"]
    assert [[tag.name for tag in tags] for tags in own] == [["neon"], ["ink"]]
    assert tags_by_region("a fox <lora:neon:1>")[1] == ()


@pytest.mark.parametrize(
    "text",
    ["fox <lora:a:1> ADDCOL cat", "all ADDBASE fox ADDROW cat ADDCOL dog", "x ADDCOMM a ADDCOL b"],
)
def test_a_prompt_is_written_with_other_tags_in_the_same_places(text: str) -> None:
    regions = read_regions(text)
    own = [[f"<lora:own{n}:1>"] for n, _ in enumerate(regions.regions)]
    written = write_regions(text, ["<lora:whole:0.5>"], own)
    whole, read = tags_by_region(written)
    assert [str(tag) for tag in whole] == ["<lora:whole:0.5>"]
    assert [[str(tag) for tag in tags] for tags in read] == own
    assert [region.box for region in read_regions(written).regions] == [
        region.box for region in regions.regions
    ]


@pytest.mark.parametrize(
    "text",
    [
        "fox\nADDCOL\ncat,  dog",
        "x ADDCOMM\nwhole ADDBASE a ADDCOL b",
        "ADDBASE ADDCOL",
        "a,ADDROW,b",
    ],
)
def test_a_prompt_without_tags_is_written_as_it_was_typed(text: str) -> None:
    assert write_regions(text, [], []) == text


def test_words_stay_apart_where_a_tag_stood_between() -> None:
    text = "fox<lora:a:1>ADDCOL<lora:b:1>cat"
    assert write_regions(text, [], []) == "fox ADDCOL cat"
    assert write_regions(text, [], [["<lora:c:1>"], []]) == "fox <lora:c:1> ADDCOL cat"
