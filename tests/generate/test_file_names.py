"""Names of pictures: patterns as people know them, never outside the chosen folder."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from engine.errors import EngineError
from engine.generate.file_names import Drawn, FileNames, check_pattern
from engine.generate.save import FinishedPicture, save_picture
from engine.protocol.making import Making
from engine.protocol.refs import LoraRef
from engine.protocol.request import GenerateRequest

AT = time.mktime((2026, 11, 27, 1, 2, 3, 0, 0, -1))
STACK = (LoraRef("/x/neon_glow.safetensors", 0.8), LoraRef("/x/ink.safetensors"))


def drawn(prompt: str = "a fox, in: the (snow:1.2)", **settings: Any) -> Drawn:
    request = GenerateRequest(prompt, Path("/out"), seed=7, steps=20, cfg_scale=6.5, **settings)
    return Drawn(Making(request, STACK), "sd_xl", AT, 832, 1216)


@pytest.mark.parametrize(
    ("pattern", "name"),
    [
        ("", "00042-7"),
        ("[date]/[seed]-[lora]", "2026-11-27/7-neon_glow-42"),
        ("[Number]_[steps]_[cfg]", "00042_20_6.5"),
        ("[model_name]/[sampler] [scheduler]", "sd_xl/DPM++ 2M Automatic-42"),
        ("[loras]-[strength]-[width]x[height]", "neon_glow+ink-0.8-832x1216-42"),
        ("[prompt_words:3]-[batch_number]", "a_fox_in-1-42"),
        ("[datetime<%d.%m.%Y>]", "27.11.2026-42"),
        ("plain name", "plain name-42"),
    ],
)
def test_fields(pattern: str, name: str) -> None:
    check_pattern(pattern)
    names = FileNames(pattern)
    assert str(names.folder(drawn()) / names.name(drawn(), 42)) == name


@pytest.mark.parametrize(
    "pattern",
    ["../x", "a/../b", "/tmp/x", "~/x", "[nothing]", "[number]/x", "[seed", "[date<%Y/%m>]",
     "a\0b", "x" * 2000, "a/b/c/d/e/f/g/h/i"],
)  # fmt: skip
def test_patterns_that_lead_elsewhere_or_mean_nothing_are_refused(pattern: str) -> None:
    with pytest.raises(EngineError):
        check_pattern(pattern)


@given(
    st.text(max_size=300), st.sampled_from(["[prompt]", "[model]", "[lora]/[prompt]", "[loras]"])
)
def test_nothing_that_is_drawn_leads_out_of_the_folder(text: str, pattern: str) -> None:
    request = GenerateRequest(text, Path("/out"), seed=1)
    stack = (LoraRef(Path("/x") / (text.replace("\0", "").replace("/", "")[:50] + ".a")),) * 9
    one = Drawn(Making(request, stack), f"../{text}", AT, 8, 8)
    names = FileNames(pattern)
    path = names.folder(one) / names.name(one, 1)
    assert not path.is_absolute()
    assert all(part not in ("..", ".") and not part.startswith(".") for part in path.parts)
    assert len(path.parts) == pattern.count("/") + 1
    assert all(len(part.encode()) <= 220 for part in path.parts)
    assert str(path).isprintable() or any(not c.isprintable() for c in text)
    assert names.name(one, 1) != names.name(one, 2)


def test_numbers_go_on_and_nothing_is_replaced(tmp_path: Path) -> None:
    def save(pattern: str, seed: int = 7) -> str:
        request = GenerateRequest("a fox", tmp_path, seed=seed, file_names=pattern)
        image = Image.new("RGB", (8, 8))
        one = FinishedPicture(image, "", Making(request), "sd_xl", AT)
        return str(save_picture(one).relative_to(tmp_path))

    assert [save("[seed]-[number]", seed) for seed in (7, 9)] == ["7-00001.png", "9-00002.png"]
    assert [save("[date]/[seed]") for _ in range(3)] == [
        "2026-11-27/7.png", "2026-11-27/7-2.png", "2026-11-27/7-3.png",
    ]  # fmt: skip
    long = "[prompt_hash]" + "x" * 170
    assert save(long) != save(long)
