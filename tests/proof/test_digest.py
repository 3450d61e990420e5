"""Digests: other pixels, another digest; the same pixels by another way, the same one."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import pytest

from engine.errors import EngineError, FileFormatError
from engine.files.hashes import MEANT, hash_file
from engine.lora.peft_config import METADATA_KEY
from engine.proof import digest
from engine.proof.contents import FileContents
from engine.proof.digest import (
    NOT_IN_PIXELS,
    content_key,
    files_of,
    request_digest,
    weights_digest,
)
from engine.protocol.passes import HiresPass, StartPicture
from engine.protocol.refs import LoraRef
from engine.protocol.request import GenerateRequest
from engine.words.course import Course, Point
from tests.support.safetensors_files import write_safetensors

OTHER = {
    "prompt": "another", "negative_prompt": "blurry", "seed": 8, "steps": 9, "cfg_scale": 5.5,
    "width": 64, "height": 72, "sampler": "Euler", "schedule": "Karras", "clip_skip": 3,
    "empty_negative": "encoded", "noise": "GPU", "variation_seed": 3, "variation_strength": 0.5,
    "region_ratios": "1,2",
}  # fmt: skip
"""Another value of fields whose type does not tell one."""


class Names:
    """Contents for tests of the words alone: a file holds its own name."""

    def lora(self, path: Path) -> str:
        return path.name

    file = lora

    def embeddings(self, request: GenerateRequest) -> Mapping[str, str]:
        return {name: "x" for name in ("badhands",) if name in request.prompt}


def request(**changes: Any) -> GenerateRequest:
    return replace(GenerateRequest("a red star", Path("/out"), seed=7), **changes)


def key(*stack: LoraRef, model: str = "m", **changes: Any) -> str:
    return content_key(model, stack, request(**changes), Names())


NAMES = sorted(f.name for f in fields(GenerateRequest))


@pytest.mark.parametrize("name", NAMES)
def test_every_field_counts_unless_it_is_on_the_list(name: str) -> None:
    values: dict[str, Any] = {
        **OTHER,
        "region_stacks": ((LoraRef("/a"),),),
        "region_masks": (Path("/mask"),),
        "output": Path("/elsewhere"),
        "preview_every": 3,
        "lora_names": (("/a", "a"),),
        "embeddings": (Path("/embeddings"),),
        "picture_format": "webp",
        "file_names": "[seed]",
        "shape": "3:2",
        "start": StartPicture(Path("/start")),
        "hires": HiresPass(),
    }
    if name == "batch":
        return
    assert name in values, f"{name} is new: give it another value here"
    others = {"variation_strength": 0.25, "variation_seed": 9} if "variation" in name else {}
    before, after = key(**others), key(**{**others, name: values[name]})
    assert (before == after) == (name in NOT_IN_PIXELS)


def test_a_start_picture_and_its_mask_count_by_their_content() -> None:
    start = StartPicture(Path("/a/start"), mask=Path("/a/mask"))
    drawn = request(start=start, region_masks=(Path("/a/left"),))
    assert {path.name for path in files_of(drawn)} == {"start", "mask", "left"}
    moved = replace(start, path=Path("/b/start"), mask=Path("/b/mask"))
    assert key(start=start) == key(start=moved)
    assert key(start=start) != key(start=replace(start, mask=Path("/a/other")))
    neon = (LoraRef("/a"),)
    assert key(hires=HiresPass(stack=neon)) != key(hires=HiresPass(stack=()))


def test_a_field_that_is_new_counts_by_itself() -> None:
    @dataclass(frozen=True)
    class Later(GenerateRequest):
        start: Path | None = None
        strength: float = 0.75
        boxes: tuple[tuple[int, int], ...] = ()

    plain = Later("a red star", Path("/out"), seed=7)
    digests = {
        request_digest(one, Names())
        for one in (
            plain,
            replace(plain, start=Path("/start.png")),
            replace(plain, start=Path("/other.png")),
            replace(plain, strength=0.5),
            replace(plain, boxes=((1, 2),)),
        )
    }
    assert len(digests) == 5


def test_what_says_the_same_has_the_same_digest() -> None:
    assert key(cfg_scale=6) == key(cfg_scale=6.0)
    assert key(variation_seed=4) == key(variation_seed=5)
    a, b = LoraRef("/a", 0.5), LoraRef("/b", 0.5)
    assert key(a, b) == key(b, a) != key(a)
    assert key(a, LoraRef("/c", 0, 0)) == key(a)
    assert key(LoraRef("/a", 0.5, 0.5, 0.5)) == key(LoraRef("/x/a", 0.5, 0.5))
    blocks = (("IN04", 0.5), ("MID", 1.0), ("OUT01", 0.0))
    assert key(replace(a, blocks=blocks)) == key(replace(a, blocks=(blocks[2], blocks[0])))


def test_all_of_a_member_counts() -> None:
    ref = LoraRef("/a", 0.5, 0.4)
    members = [
        ref,
        LoraRef("/b", 0.5, 0.4),
        replace(ref, unet=0.6),
        replace(ref, text_encoder=0.3),
        replace(ref, text_encoder_2=0.1),
        replace(ref, blocks=(("MID", 0.0),)),
        replace(ref, course=Course(unet=(Point(0.0, 0.0), Point(1.0, 0.4)))),
        replace(ref, course=Course(end=0.5)),
        replace(
            ref, unet=0, text_encoder=0, course=Course(unet=(Point(0.0, 0.0), Point(1.0, 1.0)))
        ),
    ]
    assert len({weights_digest("m", [member], Names()) for member in members}) == len(members)
    assert key(ref) != key(ref, ref)
    assert key(ref, model="m") != key(ref, model="n")
    in_region = [key(region_stacks=((ref,), ())), key(region_stacks=((), (ref,)))]
    assert len({*in_region, key()}) == 3


@pytest.mark.parametrize(("constant"), ["MERGE_VERSION", "LOOP_VERSION"])
def test_another_version_of_the_program_is_another_key(constant: str, monkeypatch) -> None:
    before = key()
    monkeypatch.setattr(digest, constant, 99)
    assert key() != before


@pytest.mark.parametrize(
    "changes", [{"batch": 2}, {"seed": -1}, {"variation_strength": 0.5, "variation_seed": -1}]
)
def test_pictures_that_are_not_known_yet_have_none(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="seed is known"):
        key(**changes)


@pytest.mark.parametrize(
    ("change", "counts"),
    [
        ({"metadata": {"title": "new"}}, False),
        ({"metadata": {METADATA_KEY: "{}"}}, True),
        ({"metadata": {"ss_network_args": '{"scale": 2}'}}, True),
        ({"name": "lora_b"}, True),
        ({"dtype": "BF16"}, True),
        ({"shape": [2, 1]}, True),
        ({"data": b"\0\1\0\0"}, True),
    ],
)
def test_the_content_of_a_lora_is_all_that_its_values_depend_on(
    change: dict[str, Any], counts: bool, tmp_path: Path
) -> None:
    first = write_safetensors(tmp_path / "first.safetensors")
    other = write_safetensors(tmp_path / "other.safetensors", **change)
    assert (hash_file(first).content != hash_file(other).content) == counts
    assert METADATA_KEY in MEANT


def test_a_file_that_is_written_anew_is_hashed_anew(tmp_path: Path) -> None:
    path = write_safetensors(tmp_path / "a.safetensors")
    contents = FileContents(tmp_path / "index.sqlite")
    before = contents.lora(path)
    assert FileContents(tmp_path / "index.sqlite").lora(path) == before
    write_safetensors(path, data=b"\0\1\0\0")
    changed = contents.lora(path)
    assert changed != before
    (tmp_path / "adapter_config.json").write_text('{"r": 4, "lora_alpha": 8}', encoding="utf-8")
    assert contents.lora(path) not in (before, changed), "what PEFT says beside it counts"


def test_what_cannot_be_read_is_said(tmp_path: Path) -> None:
    contents = FileContents()
    for path in (tmp_path / "none.safetensors", tmp_path, Path("/tmp/a\0b")):
        with pytest.raises(FileFormatError):
            contents.lora(path)
        with pytest.raises(EngineError):
            contents.file(path)


def test_embeddings_count_by_what_the_prompts_name(tmp_path: Path) -> None:
    folder = tmp_path / "embeddings"
    (folder / "sub").mkdir(parents=True)
    contents = FileContents()

    def of(prompt: str, **changes: Any) -> str:
        return request_digest(request(prompt=prompt, embeddings=(folder,), **changes), contents)

    hands, star = folder / "badhands.safetensors", folder / "sub" / "star.safetensors"
    hands.write_bytes(b"1")
    star.write_bytes(b"1")
    named = "a star, embedding:badhands"
    before, plain, negative = of(named), of("a heart"), of("x", negative_prompt="BadHands")
    star.write_bytes(b"2")
    assert of(named) != before, "a bare name counts"
    hands.write_bytes(b"2")
    assert of("a heart") == plain
    assert of("x", negative_prompt="BadHands") != negative
    before = of(named)
    (folder / "badhands_2.safetensors").write_bytes(b"3")
    assert of(named) != before, "what stands in a second file"


def test_digests_need_no_torch() -> None:
    code = (
        "import sys, engine.proof.digest, engine.proof.contents; assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
