"""What a line of prompts says, and which lines are refused."""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import FileFormatError
from tui_loraswitch.commands.lora_names import parse_wanted
from tui_loraswitch.commands.outcome import UsageError
from tui_loraswitch.commands.prompt_lines import (
    LONGEST_LINE,
    lines_of_file,
    lines_of_pipe,
    read_line,
)

LORAS = [parse_wanted("neon:0.8:0.2:te2=0.1:lbw=MID"), parse_wanted("ink")]


def test_options_of_sd_scripts() -> None:
    line = b"a fox, (red:1.2) --n blurry, low --w 512 --h 768 --s 20 --d 7 --l 4.5"
    assert read_line(line, []) == [
        {
            "prompt": "a fox, (red:1.2)",
            "negative": "blurry, low",
            "width": 512,
            "height": 768,
            "steps": 20,
            "seed": 7,
            "cfg": 4.5,
        }
    ]


def test_what_a_line_does_not_say_is_left_to_the_command() -> None:
    assert read_line(b"  a fox \r", []) == [{"prompt": "a fox"}]
    assert read_line(b"a fox --n", []) == [{"prompt": "a fox", "negative": ""}]
    assert read_line(b"--W 512", []) == [{"prompt": "", "width": 512}]


def test_each_seed_is_a_picture() -> None:
    assert [(one["seed"], one["batch"]) for one in read_line(b"fox --d 3,1,2", [])] == [
        (3, 1),
        (1, 1),
        (2, 1),
    ]


@pytest.mark.parametrize(
    ("strengths", "expected"), [("0.5,-1", (0.5, -1.0)), ("0.3", (0.3, 0.3)), ("0, 2", (0.0, 2.0))]
)
def test_am_gives_the_loras_of_the_command_their_strengths(strengths, expected) -> None:
    (options,) = read_line(f"fox --am {strengths}".encode(), LORAS)
    neon, ink = options["lora"]
    assert (neon.name, ink.name) == ("neon", "ink")
    assert (neon.unet, ink.unet) == (neon.text_encoder, ink.text_encoder) == expected
    assert neon.fields == (("lbw", "MID"),), "the strength counts for both text encoders"


@pytest.mark.parametrize("line", [b"", b"   ", b"\r", b"# a fox", b"  # a fox", b"\xef\xbb\xbf# x"])
def test_comments_and_empty_lines_are_passed_over(line: bytes) -> None:
    assert read_line(line, []) == []


def test_json_with_every_field() -> None:
    table = {
        "prompt": "a fox --w 8",
        "negative_prompt": "blurry",
        "seed": 2**64 - 1,
        "steps": 20,
        "cfg_scale": 5,
        "width": 512,
        "height": 768,
        "sampler": "dpmpp_2m",
        "schedule": "karras",
        "batch": 2,
        "clip_skip": 1,
        "noise": "comfyui",
        "variation_seed": 2**64 - 1,
        "variation_strength": 1,
        "loras": ["neon:0.8", "styles/ink:0.4:0"],
    }
    (options,) = read_line(json.dumps(table).encode(), LORAS)
    loras = options.pop("lora")
    assert [(lora.name, lora.unet, lora.text_encoder) for lora in loras] == [
        ("neon", 0.8, 0.8),
        ("styles/ink", 0.4, 0.0),
    ]
    assert options == {
        "prompt": "a fox --w 8",
        "negative": "blurry",
        "seed": 2**64 - 1,
        "steps": 20,
        "cfg": 5.0,
        "width": 512,
        "height": 768,
        "sampler": "dpmpp_2m",
        "schedule": "Karras",
        "batch": 2,
        "clip_skip": 1,
        "noise": "ComfyUI",
        "variation_seed": 2**64 - 1,
        "variation_strength": 1.0,
    }


def test_braces_of_a_prompt_are_no_json() -> None:
    assert read_line(b"{red|blue} fox", []) == [{"prompt": "{red|blue} fox"}]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (b"fox --s many", "--s takes a whole number, not “many”"),
        (b"fox --s", "not nothing"),
        (b"fox --w 1.5", "whole number"),
        (b"fox --l nan", "--l takes a number"),
        (b"fox --l 1e999", "--l takes a number"),
        (b"fox --am 0.5,,", "not nothing"),
        (b"fox --am inf", "--am takes a number"),
        (b"fox --am 1,2,3", "--am has 3 numbers, and the command names 2"),
        (b"fox --d 1,x", "--d takes a whole number"),
        (b"fox --d " + b",".join([b"1"] * 101), "at most 100"),
        (b"fox --ar 3:2", "“--ar” is not known"),
        (b"fox \xff", "no UTF-8"),
        (b"a" * (LONGEST_LINE + 1), "longer than 2,097,152 bytes"),
        (b'{"prompt": "fox"', "no JSON"),
        (b'{"prompt": "fox"} more', "no JSON"),
        (b"{}", "no “prompt”"),
        (b'{"prompt": 1}', "“prompt”: this is to be a text"),
        (b'{"prompt": "fox", "negative": ""}', "“negative” is not known"),
        (b'{"prompt": "fox", "seed": "7"}', "“seed”: this is to be a whole number"),
        (b'{"prompt": "fox", "steps": true}', "“steps”"),
        (b'{"prompt": "fox", "cfg_scale": 1%s}' % (b"0" * 400), "“cfg_scale”"),
        (b'{"prompt": "fox", "seed": 1%s}' % (b"0" * 5000), "“seed”: a number as large as this"),
        (b'{"prompt": "fox", "seed": 1e999}', "“seed”: a number as large as this"),
        (b'{"prompt": "fox", "cfg_scale": 1%s}' % (b"0" * 5000), "“cfg_scale”: a number as large"),
        (b'{"prompt": "fox", "sampler": "best"}', "there is no sampler “best”"),
        (b'{"prompt": "fox", "schedule": "best"}', "there is no schedule “best”"),
        (b'{"prompt": "fox", "loras": "neon"}', "this is to be a list"),
        (b'{"prompt": "fox", "loras": [""]}', "names no LoRA"),
        (b'{"prompt": "fox", "loras": [{}]}', "this is to be a text"),
        (b'{"prompt": ' + b"[" * 100_000, "nested too deeply"),
    ],
)
def test_wrong_lines_are_refused_in_words(line: bytes, words: str) -> None:
    with pytest.raises(UsageError) as refused:
        read_line(line, LORAS)
    assert words in str(refused.value)


_PIECES = st.sampled_from(["fox", " --d ", "--am", " --n", "1,2", "{", '"prompt"', ":", "}", "0.5"])


@given(st.binary(max_size=60) | st.lists(_PIECES, max_size=8).map(lambda p: "".join(p).encode()))
def test_any_line_is_read_or_refused(line: bytes) -> None:
    with contextlib.suppress(UsageError):
        for options in read_line(line, LORAS):
            assert isinstance(options["prompt"], str)


@given(st.lists(st.binary(max_size=20).filter(lambda line: b"\n" not in line), max_size=6))
def test_lines_of_a_pipe_are_those_of_a_file(lines: list[bytes]) -> None:
    reading, writing = os.pipe()
    os.write(writing, b"\n".join(lines))
    os.close(writing)
    found = list(lines_of_pipe(reading))
    os.close(reading)
    assert found == (lines[:-1] if lines and not lines[-1] else lines)


def test_a_line_of_a_pipe_comes_as_soon_as_it_is_whole() -> None:
    reading, writing = os.pipe()
    os.write(writing, b"one\ntw")
    lines = lines_of_pipe(reading)
    assert next(lines) == b"one"
    os.write(writing, b"o\n")
    assert next(lines) == b"two"
    os.close(writing)
    assert list(lines) == []
    os.close(reading)


def test_a_line_without_end_takes_no_memory_without_end() -> None:
    zeros = os.open("/dev/zero", os.O_RDONLY)
    parts = iter([*[None] * (LONGEST_LINE // 65536 + 50), b"\n# next\n", b""])
    whole = os.read

    def read(descriptor: int, count: int) -> bytes:
        part = next(parts)
        return whole(descriptor, count) if part is None else part

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "read", read)
        long, after = lines_of_pipe(zeros)
    os.close(zeros)
    assert LONGEST_LINE < len(long) <= LONGEST_LINE + 65536
    assert after == b"# next"


def test_only_regular_files_are_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path, tmp_path / "none", Path("/dev/zero")):
        with pytest.raises(FileFormatError):
            lines_of_file(path)
    (tmp_path / "prompts").write_bytes(b"one\r\ntwo")
    assert lines_of_file(tmp_path / "prompts") == [b"one\r", b"two"]
