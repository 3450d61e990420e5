"""Masks of regions: where they lie, that they add to one, and that their edges are soft."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image

from engine.errors import EngineError
from engine.generate.regions import BASE_SHARE, region_masks, regions_of
from engine.protocol.request import GenerateRequest
from engine.words.prompt_language.regions import read_regions


def test_columns_fade_into_each_other_and_add_to_one() -> None:
    left, right = region_masks(read_regions("a fox ADDCOL a cat"), (), 8, 48)
    assert left.shape == right.shape == (1, 1, 8, 48)
    assert torch.allclose(left + right, torch.ones(1, 1, 8, 48))
    across = left[0, 0, 0]
    assert across[:22].eq(1).all()
    assert across[26:].eq(0).all()
    assert across[23:25].diff().lt(0).all(), "soft in the middle"
    assert torch.allclose(across + across.flip(0), torch.ones(48)), "the same from both sides"


def test_ratios_move_the_edge() -> None:
    upper, lower = region_masks(read_regions("sky ADDROW sea", "1,3"), (), 40, 4)
    assert upper[0, 0, :, 0].sum() == pytest.approx(10)
    assert lower[0, 0, :, 0].sum() == pytest.approx(30)


def test_a_base_counts_everywhere() -> None:
    base, left, right = region_masks(read_regions("photo ADDBASE fox ADDCOL cat"), (), 8, 48)
    assert torch.allclose(base, torch.full_like(base, BASE_SHARE))
    assert torch.allclose(base + left + right, torch.ones_like(base))


def test_mask_pictures(tmp_path: Path) -> None:
    paths = (tmp_path / "left.png", tmp_path / "dot.png")
    half = Image.new("L", (64, 64), 0)
    half.paste(255, (0, 0, 32, 64))
    half.save(paths[0])
    Image.new("L", (10, 10), 0).save(paths[1])
    masks = region_masks(read_regions("a ADDCOL b", masks=True), paths, 8, 8)
    assert masks[0][0, 0, 0].tolist() == [1, 1, 1, 1, 0.5, 0.5, 0.5, 0.5], "nobody's is everybody's"
    base, inside, _ = region_masks(read_regions("x ADDBASE a ADDCOL b", masks=True), paths, 8, 8)
    assert base[0, 0, 0, 7] == 1
    assert inside[0, 0, 0, 0] == pytest.approx(1 - BASE_SHARE)


def test_masks_are_as_many_as_regions(tmp_path: Path) -> None:
    request = GenerateRequest("a ADDCOL b", tmp_path, region_masks=(tmp_path / "one.png",))
    with pytest.raises(EngineError, match="1 masks for 2 regions"):
        regions_of(request)
    without = replace(request, region_masks=())
    assert len(regions_of(without).regions) == 2
    with pytest.raises(EngineError, match="Each region"):
        regions_of(replace(without, region_stacks=((),)))


def test_a_mask_that_is_no_picture_is_named(tmp_path: Path) -> None:
    (tmp_path / "mask.png").write_text("no")
    with pytest.raises(EngineError, match=r"mask\.png"):
        region_masks(read_regions("a ADDCOL b", masks=True), [tmp_path / "mask.png"] * 2, 8, 8)
