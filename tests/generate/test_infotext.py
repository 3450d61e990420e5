"""Infotexts: what we write, what others wrote, and the way there and back."""

from __future__ import annotations

import json
import string
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from engine.generate.infotext import Infotext, describe_picture, parse_infotext, write_infotext
from engine.generate.request import GenerateRequest
from engine.generate.sampler_names import SAMPLERS, SCHEDULES
from engine.refs import LoraRef

REFERENCE = """a fox <lora:demo:0.8>
Negative prompt: blurry
Steps: 25, Sampler: DPM++ 2M, Schedule type: Karras, CFG scale: 6, Seed: 42, Size: 1024x768, \
Model hash: 31e35c80fc, Model: sd_xl, \
Lora hashes: "demo: 4f4b9b7d8b86, b: 0123456789ab", Version: x"""

INFO = Infotext(
    prompt="a fox <lora:demo:0.8>",
    negative_prompt="blurry",
    steps=25,
    sampler="DPM++ 2M",
    schedule="Karras",
    cfg_scale=6.0,
    seed=42,
    width=1024,
    height=768,
    model_hash="31e35c80fc",
    model="sd_xl",
    lora_hashes=(("demo", "4f4b9b7d8b86"), ("b", "0123456789ab")),
    version="x",
)


def test_writes_and_reads_the_reference_text() -> None:
    assert write_infotext(INFO) == REFERENCE
    assert parse_infotext(REFERENCE) == INFO


def test_empty_lines_and_unknown_values_are_left_out() -> None:
    text = write_infotext(Infotext(prompt="", steps=1, sampler="Euler", seed=2))
    assert text == "Steps: 1, Sampler: Euler, Seed: 2"
    assert parse_infotext("just a prompt\nof two lines") == Infotext("just a prompt\nof two lines")


def line_of_text(**limits: int) -> st.SearchStrategy[str]:
    return st.text(st.characters(codec="utf-8"), **limits)


prompts = (
    line_of_text(max_size=80)
    .map(lambda text: parse_infotext(text + "\n.").prompt.removesuffix("."))
    .map(str.strip)
    .filter(lambda text: "Negative prompt:" not in text)
)
names = st.text(st.characters(codec="utf-8", exclude_characters=",:\r\n"), max_size=12)
hashes = st.text(string.hexdigits, min_size=12, max_size=12)
whole = st.integers(0, 2**63)
extra_names = st.from_regex(r"[A-Z][a-z]{2,8} [a-z]{2,8}", fullmatch=True).filter(
    lambda name: name not in ("Schedule type", "Model hash", "Clip skip", "Lora hashes")
)

infos = st.builds(
    Infotext,
    prompt=prompts,
    negative_prompt=prompts,
    steps=st.integers(1, 500),
    sampler=st.sampled_from(SAMPLERS),
    schedule=st.sampled_from(SCHEDULES),
    cfg_scale=st.decimals(0, 30, places=2).map(float),
    seed=whole,
    width=st.integers(1, 9999),
    height=st.integers(1, 9999),
    model_hash=st.none() | hashes,
    model=st.none() | line_of_text(max_size=20),
    clip_skip=st.none() | st.integers(1, 12),
    lora_hashes=st.lists(st.tuples(names, hashes), max_size=3).map(tuple),
    extra=st.dictionaries(extra_names, line_of_text(max_size=20), max_size=3).map(
        lambda fields: tuple(fields.items())
    ),
    version=st.none() | line_of_text(max_size=12),
)


@given(infos)
def test_round_trip(info: Infotext) -> None:
    assert parse_infotext(write_infotext(info)) == info


@given(st.text(alphabet=st.characters(codec="utf-8"), max_size=200))
def test_any_text_can_be_read(text: str) -> None:
    parse_infotext(text)
    parse_infotext("{" + text)
    parse_infotext(f"p\nSteps: {text}, Size: {text}, Seed: {text}, Hashes: {{{text}")


def test_reads_what_other_programs_write() -> None:
    info = parse_infotext(
        "multi\nline\nNegative prompt: low\nquality\n"
        "Steps: 20, Sampler: DPM++ 2M SDE Karras, CFG scale: 4.5, Seed: 1, Size: 832x1216, "
        'Denoising strength: 0.4, Hires upscaler: "4x, sharp", Clip skip: 2, '
        'Hashes: {"model": "31e35c80fc", "lora:a": "0123456789"}, '
        'Civitai resources: [{"type": "checkpoint", "modelVersionId": 1, "x": "Steps: 99"}], '
        "Version: v1.10.1"
    )
    assert (info.prompt, info.negative_prompt) == ("multi\nline", "low\nquality")
    assert (info.sampler, info.schedule) == ("DPM++ 2M SDE", "Karras")
    assert (info.steps, info.cfg_scale, info.width, info.height) == (20, 4.5, 832, 1216)
    assert (info.clip_skip, info.version) == (2, "v1.10.1")
    extra = dict(info.extra)
    assert extra["Denoising strength"] == "0.4"
    assert extra["Hires upscaler"] == "4x, sharp"
    assert json.loads(extra["Hashes"])["lora:a"] == "0123456789"


def test_reads_swarm_json_but_keeps_wildcards_as_prompt() -> None:
    swarm = {"prompt": "a fox", "seed": 3, "steps": 20, "cfgscale": 7.0, "width": 64, "height": 128}
    info = parse_infotext(json.dumps({"sui_image_params": swarm}, indent=2))
    assert info == Infotext("a fox", steps=20, cfg_scale=7.0, seed=3, width=64, height=128)
    assert parse_infotext("{red|blue} fox").prompt == "{red|blue} fox"


def test_describes_a_picture_with_its_live_stack(tmp_path: Path) -> None:
    request = GenerateRequest("a fox <lora:typed:1>", tmp_path, clip_skip=3)
    info = describe_picture(
        request,
        seed=9,
        model="demo",
        stack=(LoraRef("x/neon:1.safetensors", 0.8, 0.8), LoraRef("ink.safetensors", 0.4, 0, 0.5)),
        lora_hashes=[("neon:1", "0" * 12)],
    )
    assert info.prompt == "a fox <lora:neon1:0.8> <lora:ink:te=0:unet=0.4:te2=0.5>"
    assert (info.seed, info.clip_skip, info.model) == (9, 3, "demo")
    assert parse_infotext(write_infotext(info)).lora_hashes == (("neon1", "0" * 12),)
