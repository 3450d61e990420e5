"""Infotexts as they are written here, and the way there and back."""

from __future__ import annotations

import os
import string
from dataclasses import fields, replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.generate.infotext import (
    Infotext,
    ModelUsed,
    describe_picture,
    parse_infotext,
    write_infotext,
)
from engine.generate.infotext.passes import HiresUsed, StartUsed
from engine.protocol.passes import RESIZES, UPSCALERS, HiresPass, StartPicture
from engine.protocol.refs import LoraRef
from engine.protocol.request import EMPTY_NEGATIVES, NOISES, GenerateRequest
from engine.words.lora_tags import split_tags
from engine.words.sampler_names import SAMPLERS, SCHEDULES

REFERENCE = """a fox <lora:demo:0.8>
Negative prompt: blurry
Steps: 25, Sampler: DPM++ 2M, Schedule type: Karras, CFG scale: 6, Seed: 42, Size: 1024x768, \
Model hash: 31e35c80fc, Model: sd_xl, VAE hash: 63aeecb90f, VAE: sdxl_vae, Clip skip: 2, \
RNG: CPU, Lora hashes: "demo: 4f4b9b7d8b86, b: 0123456789ab", Version: x"""

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
    vae="sdxl_vae",
    vae_hash="63aeecb90f",
    clip_skip=2,
    rng="CPU",
    lora_hashes=(("demo", "4f4b9b7d8b86"), ("b", "0123456789ab")),
    version="x",
)


def test_writes_and_reads_the_reference_text() -> None:
    assert write_infotext(INFO) == REFERENCE
    assert parse_infotext(REFERENCE) == INFO


def test_empty_lines_and_unknown_values_are_left_out() -> None:
    text = write_infotext(Infotext(prompt="", steps=1, sampler="Euler", seed=2))
    assert text == "Steps: 1, Sampler: Euler, Seed: 2"
    assert parse_infotext(text) == Infotext(steps=1, sampler="Euler", seed=2)


@pytest.mark.parametrize(
    "text",
    [
        "just a prompt\nof two lines",
        "hair: red, eyes: blue, size: large",
        "{red|blue} fox",
        '{"a": 1}',
        '{"3": {"class_type": "KSampler", "inputs": {"seed": 1, "steps": 20}}}',
        "Steps: many",
        "",
    ],
)
def test_a_text_without_settings_is_a_prompt(text: str) -> None:
    assert parse_infotext(text) == Infotext(text)


def line_of_text(**limits: int) -> st.SearchStrategy[str]:
    return st.text(st.characters(codec="utf-8"), **limits)


def as_lines(text: str) -> str:
    """All of a prompt's layout that an infotext can carry."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return "\n".join(line.strip() for line in lines).strip()


ODD_LINES = [
    "Negative prompt:", "Negative prompt: x", "Steps: 3, Sampler: x, Seed: 4", "Template: a",
    "Seed: 1,", "Negative Template: b", '{"prompt": "x"}', "Hashes: {", '"', "BREAK",
]  # fmt: skip
prompts = st.lists(line_of_text(max_size=60) | st.sampled_from(ODD_LINES), max_size=4).map(
    lambda lines: as_lines("\n".join(lines))
)
names = st.text(st.characters(codec="utf-8", exclude_characters=",:\r\n"), max_size=12)
hashes = st.text(string.hexdigits, min_size=12, max_size=12)
named_hashes = st.dictionaries(names, hashes, max_size=3).map(lambda found: tuple(found.items()))
extra_names = st.sampled_from(
    ["Hires sampler", "Hires schedule type", "ADetailer prompt", "Module 1", "Distilled CFG Scale"]
)
hostile_values = st.sampled_from(
    ["1, Steps: 99", '"', '"Seed: 3"', '{"Steps": 99}', "[1, Seed: 5]", "(a, Size: 1x1)", "a | b"]
)
values = line_of_text(max_size=20) | hostile_values

infos = st.builds(
    Infotext,
    prompt=prompts,
    negative_prompt=prompts,
    steps=st.integers(1, 500),
    sampler=st.sampled_from(SAMPLERS),
    schedule=st.sampled_from(SCHEDULES),
    cfg_scale=st.floats(0, 30).map(lambda value: float(f"{value:.12g}")),
    seed=st.integers(0, 2**64 - 1),
    width=st.integers(1, 9999),
    height=st.integers(1, 9999),
    model_hash=st.none() | hashes,
    model=st.none() | values.filter(bool),
    vae=st.none() | names.map("vae {}".format),
    vae_hash=st.none() | hashes,
    prediction=st.none() | st.sampled_from(["v", "v-zsnr"]),
    parts_from=st.none() | values,
    clip_skip=st.none() | st.integers(1, 12),
    empty_negative=st.none() | st.sampled_from(EMPTY_NEGATIVES),
    rng=st.none() | st.just("CPU"),
    variation_seed=st.none() | st.integers(0, 2**64 - 1),
    variation_strength=st.none() | st.floats(0, 1).map(lambda value: float(f"{value:.12g}")),
    lora_hashes=named_hashes,
    embedding_hashes=named_hashes,
    region_ratios=st.none() | st.sampled_from(["1,2", "1;2"]),
    region_masks=named_hashes,
    extra=st.dictionaries(extra_names, values, max_size=3).map(lambda found: tuple(found.items())),
    version=st.just("loraswitch 1"),
)


@given(infos)
def test_round_trip(info: Infotext) -> None:
    assert parse_infotext(write_infotext(info)) == info


shares = st.floats(0, 1).map(lambda value: float(f"{value:.12g}"))
starts = st.builds(
    StartUsed,
    denoising=shares,
    name=st.none() | values,
    hash=st.none() | hashes,
    resize=st.none() | st.sampled_from(RESIZES),
    exact_steps=st.booleans(),
    mask=st.none() | values,
    mask_hash=st.none() | hashes,
    mask_blur=st.none() | shares,
)
second_passes = st.builds(
    HiresUsed,
    denoising=shares,
    scale=shares.map(lambda share: 1 + share),
    steps=st.none() | st.integers(1, 500),
    upscaler=st.sampled_from(UPSCALERS) | st.just("4x, sharp"),
    prompt=prompts,
    negative_prompt=prompts,
)


@settings(max_examples=30)
@given(infos, starts, second_passes)
def test_round_trip_of_passes(info: Infotext, start: StartUsed, hires: HiresUsed) -> None:
    for passes in ({"start": start}, {"hires": hires}):
        of_passes = replace(info, **passes)
        assert parse_infotext(write_infotext(of_passes)) == of_passes


def test_what_a_request_begins_with_and_its_masks_are_said_with_their_hashes() -> None:
    fox, mask, left = Path("/a/fox, 2.png"), Path("/a/mask.png"), Path("/b/left.png")
    request = GenerateRequest(
        "a ADDCOL b",
        Path("out"),
        start=StartPicture(fox, 0.5, "fill", exact_steps=True, mask=mask, mask_blur=8),
        region_ratios="1,2",
        region_masks=(left,),
    )
    digests = {fox: "0" * 12, mask: "1" * 12, left: "2" * 12}
    text = write_infotext(
        describe_picture(request, 5, model=ModelUsed("m"), picture_hashes=digests)
    )
    assert "Denoising strength: 0.5," in text
    assert str(fox.parent) not in text, "where somebody keeps pictures is nobody's business"
    info = parse_infotext(text)
    assert info.start == StartUsed(
        0.5, "fox, 2.png", "0" * 12, "fill", True, "mask.png", "1" * 12, 8
    )
    assert (info.region_ratios, info.region_masks) == ("1,2", (("left.png", "2" * 12),))


def test_a_hires_fix_is_written_as_a1111_does_with_the_tags_of_its_stack() -> None:
    ink, neon = (
        LoraRef(f"x/{name}.safetensors").at(strength)
        for name, strength in (("ink", 0.5), ("neon", 0.25))
    )
    hires = HiresPass(1.5, 0.6, "Latent", steps=12)
    for own, wanted in (
        (hires, "Denoising strength: 0.6, Hires upscale: 1.5, Hires steps: 12, "),
        (
            replace(hires, prompt="a cat <lora:neon:1>", stack=(neon,)),
            'Denoising strength: 0.6, Hires prompt: "a cat <lora:neon:0.25>", Hires upscale: 1.5',
        ),
        (
            replace(hires, stack=(neon, ink)),
            'Hires prompt: "a fox <lora:neon:0.25> <lora:ink:0.5>"',
        ),
        (replace(hires, stack=()), "Hires prompt: a fox, "),
    ):
        request = GenerateRequest("a fox <lora:ink:1>", Path("out"), hires=own)
        text = write_infotext(describe_picture(request, 5, model=ModelUsed("m"), stack=(ink,)))
        assert text.startswith("a fox <lora:ink:0.5>\n")
        assert wanted in text
        assert "Hires upscaler: Latent" in text


@given(st.text(alphabet=st.characters(codec="utf-8"), max_size=200))
def test_any_text_can_be_read(text: str) -> None:
    parse_infotext(text)
    parse_infotext("{" + text)
    parse_infotext(f"p\nSteps: {text}, Size: {text}, Seed: {text}, Hashes: {{{text}")
    parse_infotext(f'{{"prompt": "a", "seed": 1, "loras": [{text}], "loraweights": "{text}"}}')


strengths = st.floats(-8, 8).map(lambda value: float(f"{value:.9g}"))
refs = st.builds(
    LoraRef,
    st.sampled_from(["x/ink.safetensors", "neon v2.safetensors"]),
    strengths,
    strengths,
    st.none() | strengths,
)
requests = st.builds(
    GenerateRequest,
    prompt=prompts.filter(lambda text: "<" not in text),
    output=st.just(Path("out")),
    negative_prompt=prompts.filter(lambda text: "<" not in text),
    seed=st.integers(0, 2**64 - 9),
    steps=st.integers(1, 500),
    cfg_scale=st.floats(1.01, 30),
    width=st.integers(8, 1024).map(lambda side: 8 * side),
    height=st.integers(8, 1024).map(lambda side: 8 * side),
    sampler=st.sampled_from(SAMPLERS),
    schedule=st.sampled_from(SCHEDULES),
    clip_skip=st.integers(2, 12),
    empty_negative=st.sampled_from(EMPTY_NEGATIVES),
    noise=st.sampled_from(NOISES),
    variation_seed=st.integers(0, 2**64 - 9),
    variation_strength=st.floats(0, 1),
)


@settings(max_examples=500 if os.environ.get("LORASWITCH_FUZZ_MINUTES") else 100)
@given(requests, st.lists(refs, max_size=2, unique_by=lambda ref: ref.path))
def test_a_picture_says_all_that_it_takes_to_draw_it_again(
    request: GenerateRequest, stack: list[LoraRef]
) -> None:
    """Every field of a request that changes a picture is in its infotext, exactly."""
    variation = request.variation_seed if request.variation_strength > 0 else None
    info = parse_infotext(
        write_infotext(
            describe_picture(
                request, 5, model=ModelUsed("m"), stack=stack, variation_seed=variation
            )
        )
    )
    prompt, tags = split_tags(info.prompt)
    known = {field.name: getattr(info, field.name, None) for field in fields(GenerateRequest)}
    known |= {"prompt": prompt.strip()}
    says_nothing = not request.negative_prompt
    again = replace(
        request,
        **{name: value for name, value in known.items() if value is not None},  # type: ignore[arg-type]
    )
    assert again == replace(request, seed=5)
    assert (info.empty_negative is not None) == says_nothing
    assert [(tag.unet, tag.text_encoder) for tag in tags] == [
        (ref.unet, ref.text_encoder) for ref in stack
    ]
    seconds = [dict(tag.options).get("te2") for tag in tags]
    assert [None if te2 is None else float(te2) for te2 in seconds] == [
        ref.text_encoder_2 for ref in stack
    ]


def test_describes_a_picture_with_its_live_stack(tmp_path: Path) -> None:
    request = GenerateRequest(
        "a fox <lora:typed:1>", tmp_path, "dull <lora:other:1>", clip_skip=3, batch=4
    )
    info = describe_picture(
        request,
        seed=9,
        model=ModelUsed("demo", None, "sdxl_vae", "63aeecb90f", "v", "sd_xl"),
        stack=(LoraRef("x/neon:1.safetensors", 0.8, 0.8), LoraRef("ink.safetensors", 0.4, 0, 0.5)),
        lora_hashes=[("neon:1", "0" * 12)],
        index=2,
    )
    assert info.prompt == "a fox <lora:neon1:0.8> <lora:ink:te=0:unet=0.4:te2=0.5>"
    assert info.negative_prompt == "dull"
    assert (info.seed, info.clip_skip, info.model) == (9, 3, "demo")
    assert (info.vae, info.vae_hash, info.rng) == ("sdxl_vae", "63aeecb90f", "CPU")
    assert (info.prediction, info.parts_from) == ("v", "sd_xl")
    assert info.extra == (("Batch size", "4"), ("Batch pos", "2"))
    assert parse_infotext(write_infotext(info)).lora_hashes == (("neon1", "0" * 12),)


@pytest.mark.parametrize(
    ("settings", "written"),
    [
        ({}, "zeros"),
        ({"empty_negative": "encoded"}, "encoded"),
        ({"negative_prompt": " <lora:ink:1> "}, "zeros"),
        ({"negative_prompt": "dull"}, None),
        ({"cfg_scale": 1.0}, None),
    ],
)
def test_what_stands_for_an_empty_negative_is_named(
    tmp_path: Path, settings: dict[str, object], written: str | None
) -> None:
    request = GenerateRequest("a fox", tmp_path, **settings)  # type: ignore[arg-type]
    assert describe_picture(request, 1, model=ModelUsed("m")).empty_negative == written


def test_strengths_are_written_exactly(tmp_path: Path) -> None:
    """The last digit of a strength or a block weight changes weights, and so the picture."""
    ref = LoraRef("ink.safetensors", 0.1 + 0.2, 1 / 3, 0.123456789, (("IN04", 2 / 3),))
    info = describe_picture(GenerateRequest("a", tmp_path), 1, model=ModelUsed("m"), stack=[ref])
    ((_, (tag,)),) = [split_tags(parse_infotext(write_infotext(info)).prompt)]
    assert (tag.unet, tag.text_encoder) == (ref.unet, ref.text_encoder)
    options = dict(tag.options)
    assert float(options["te2"]) == 0.123456789
    assert float(options["lbw"].split(",")[1]) == 2 / 3


@pytest.mark.parametrize(
    ("settings", "noise"),
    [
        ("RNG: CPU, Version: v1.10.1", "CPU"),
        ("RNG: NV, Version: v1.10.1", "GPU"),
        ("RNG: ComfyUI, Version: loraswitch 1", "ComfyUI"),
        ("Version: v1.10.1", "GPU"),
        ("Version: f2.0.1v1.10.1-previous-669-gdfdcbab6", "GPU"),
        ("RNG: dice", None),
        ("Version: ComfyUI", None),
        ("VAE: a", None),
    ],
)
def test_whose_noise_a_picture_was_drawn_with(settings: str, noise: str | None) -> None:
    assert parse_infotext(f"a fox\nSteps: 2, Seed: 3, {settings}").noise == noise


def test_a_variation_is_read_by_a1111s_names() -> None:
    varied = "Variation seed: 18446744073709551615, Variation seed strength: 0.25"
    text = f"a fox\nSteps: 2, Seed: 3, {varied}"
    info = parse_infotext(text)
    assert (info.variation_seed, info.variation_strength) == (2**64 - 1, 0.25)
    assert info.extra == ()
    assert write_infotext(info) == text


def test_loras_beside_the_prompt_become_tags() -> None:
    info = parse_infotext(
        '{"prompt": "a fox", "seed": 1, "steps": 2, "loras": ["ink"], "loraweights": ["0.4"]}'
    )
    assert info.drawable_prompt == "a fox <lora:ink:0.4>"
    again = parse_infotext(write_infotext(info))
    assert (again.prompt, again.loras) == ("a fox <lora:ink:0.4>", ())
