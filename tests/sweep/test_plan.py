"""Plans: what is read of them, and that what is wrong is said with its place."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import EngineError
from engine.sweep.plan import MOST_CELLS, parse_plan, read_plan
from engine.sweep.toml_lines import line_of
from tests.support.bounds import bounded

ISSUE = """\
# loraswitch sweep plan.toml [--out FOLDER] [--json]
prompt = "a large red star on a blue background"
steps = 8
[axes]
lora = ["neon_glow", "ink_outline", "pixel_blocks", "stripes"]
strength = [0.4, 0.8, 1.2]
seed = [1, 2]
"""


def test_the_plan_of_the_readme() -> None:
    plan = parse_plan(ISSUE)

    assert plan.fixed == {"prompt": "a large red star on a blue background", "steps": 8}
    assert [(axis.name, axis.labels) for axis in plan.axes] == [
        ("lora", ("neon_glow", "ink_outline", "pixel_blocks", "stripes")),
        ("strength", ("0.4", "0.8", "1.2")),
        ("seed", ("1", "2")),
    ]
    assert plan.count == 24
    first, second, *_ = plan.combinations()
    assert list(first.values()) == [("neon_glow",), 0.4, 1]
    assert list(second.values()) == [("neon_glow",), 0.4, 2]


def test_every_axis_is_read() -> None:
    plan = parse_plan(
        """
        prompt = "a red fox"
        negative = "blurry"
        cfg = 5
        loras = ["base_style"]
        [axes]
        lora = ["", "a", ["a", "b:0.5"]]
        strength = 1
        unet = [0.5]
        text_encoder = [0.0]
        blocks = ["ALL", "IN04=0.5,MID=0"]
        seed = [0]
        prompt = [["red", "blue"], ["fox", "cat", ""]]
        sampler = ["dpmpp_2m", "Euler a"]
        schedule = ["Karras"]
        steps = [4, 8]
        size = ["512x768", [640, 640], 320]
        """
    )

    labels = {axis.title: axis.labels for axis in plan.axes}
    assert labels["lora"] == ("base", "a", "a + b:0.5")
    assert labels["red"] == ("red", "blue")
    assert labels["fox"] == ("fox", "cat", "")
    assert labels["size"] == ("512×768", "640×640", "320×320")
    assert plan.fixed["cfg_scale"] == 5.0
    assert plan.fixed["loras"] == ("base_style",)
    assert plan.count == 3 * 2 * 2 * 3 * 2 * 2 * 3


def test_search_words_become_an_axis() -> None:
    plan = parse_plan('prompt = "x"\n[axes]\nfilter = "neon -old"\nseed = [1, 2]')
    assert plan.filter == "neon -old"

    found = plan.with_loras(["a", "b"])
    assert [axis.labels for axis in found.axes] == [("a", "b"), ("1", "2")]
    assert found.filter is None
    with pytest.raises(EngineError, match="neon -old"):
        plan.with_loras([])
    with pytest.raises(EngineError, match="cells"):
        plan.with_loras(map(str, range(MOST_CELLS)))


@pytest.mark.parametrize(
    ("line", "text", "words"),
    [
        (2, 'prompt = "x"\npromt = 1\n[axes]\nseed = [1]', "Did you mean prompt"),
        (3, 'prompt = "x"\n[axes]\nseeds = [1]', "Did you mean seed"),
        (3, 'prompt = "x"\n[axes]\nnoise = ["CPU"]', "above"),
        (2, 'prompt = "x"\nfilter = "neon"\n[axes]\nseed = [1]', "below"),
        (3, 'prompt = "x"\n[axes]\nseed = [1, 1.5]', "whole number"),
        (3, 'prompt = "x"\n[axes]\nseed = [1, true]', "whole number"),
        (3, 'prompt = "x"\n[axes]\nseed = [-1]', "random"),
        (3, 'prompt = "x"\n[axes]\nseed = [1, 2, 1]', "twice"),
        (3, 'prompt = "x"\n[axes]\nseed = []', "no values"),
        (4, 'prompt = "x"\n[axes]\nlora = ["a"]\nstrength = [nan]', "a number"),
        (4, 'prompt = "x"\n[axes]\nlora = ["a"]\nstrength = ["0.4"]', "a number"),
        (3, 'prompt = "x"\n[axes]\nlora = ["a", 3]', "name of a LoRA"),
        (3, 'prompt = "x"\n[axes]\nstrength = [1]', "needs a LoRA"),
        (4, 'prompt = "x"\n[axes]\nlora = ["a"]\nfilter = "b"', "both"),
        (3, 'prompt = "x"\n[axes]\nsampler = ["Eulerr"]', "samplers"),
        (3, 'prompt = "x"\n[axes]\nschedule = ["Karas"]', "schedules"),
        (3, 'prompt = "x"\n[axes]\nsize = ["512"]', "512x768"),
        (3, 'prompt = "x"\n[axes]\nprompt = ["red", "blue"]', "not in the prompt"),
        (3, 'prompt = "x"\n[axes]\nprompt = ["", "blue"]', "begins with"),
        (3, 'prompt = "x x"\n[axes]\nprompt = [["x", "y"], ["x", "z"]]', "same words twice"),
        (4, 'prompt = "x"\nseed = 3\n[axes]\nseed = [1]', "axis too"),
        (3, 'prompt = "x"\ncfg = 3\ncfg_scale = 4\n[axes]\nseed = [1]', "twice"),
        (1, "[axes]\nseed = [1]", "no prompt"),
        (1, 'prompt = 5\n[axes]\nseed = [1]', "text"),
        (2, 'prompt = "x"\naxes = 3', "no axes"),
        (2, 'prompt = "x"\n[axes]', "no axes"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_with_its_line(line: int, text: str, words: str) -> None:
    with pytest.raises(EngineError) as caught:
        parse_plan(text, "my plan.toml")

    said = str(caught.value)
    assert words in said
    assert said.startswith("my plan.toml")
    if "no prompt" not in words and text.count("[axes]\n") + text.count("axes =") > 0:
        assert f"my plan.toml, line {line}: " in said


def test_too_many_cells_are_refused() -> None:
    numbers = ", ".join(map(str, range(200)))
    with pytest.raises(EngineError, match="40,000 cells"):
        parse_plan(f'prompt = "x"\n[axes]\nseed = [{numbers}]\nsteps = [{numbers}]')


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"prompt = ", "no TOML"),
        (b"\xff\xfe\x00", "UTF-8"),
        (b"prompt = 'x'\nprompt = 'y'\n[axes]", "line 2"),
        (b"a = " + b"[" * 3000 + b"]" * 3000, "no TOML"),
    ],
)
def test_files_that_are_no_plans(tmp_path: Path, data: bytes, words: str) -> None:
    path = tmp_path / "plan.toml"
    path.write_bytes(data)
    with pytest.raises(EngineError, match="plan") as caught:
        read_plan(path)
    assert words in str(caught.value)


def test_a_plan_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="no such file"):
        read_plan(tmp_path / "none.toml")
    with pytest.raises(EngineError, match="folder"):
        read_plan(tmp_path)


def test_lines_of_keys() -> None:
    text = (
        '"a b" = 1\nx.y = 2\n[axes]\nseed = """\nstrength = 3\n"""\n  strength = 4\n[ z . w ]\nq=1'
    )
    assert line_of(text, "a b") == 1
    assert line_of(text, "x", "y") == 2
    assert line_of(text, "axes", "strength") == 7
    assert line_of(text, "z", "w", "q") == 9
    assert line_of(text, "nothing") is None
    assert line_of("axes = { seed = [1] }", "axes", "seed") == 1


@given(st.text(max_size=200))
def test_any_text_is_a_plan_or_refused(text: str) -> None:
    for source in (text, f'prompt = "x"\n[axes]\n{text}', f"{text}\n[axes]\nseed = [1]"):
        with suppress(EngineError):
            assert parse_plan(source).axes


@pytest.mark.parametrize(
    "text", ["x = " + "9" * 5000, "x = " + "[" * 100_000, "a." * 100_000 + "a = 1", "x ="]
)
def test_what_is_no_toml_is_said_at_once(text: str) -> None:
    with bounded(2.0), pytest.raises(EngineError, match=r"the plan: this is no TOML: .*\.$"):
        parse_plan(text)
