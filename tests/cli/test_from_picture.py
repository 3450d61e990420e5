"""Pictures used again: their prompt, settings and stack, LoRAs by hash, then by name."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from engine.errors import EngineError
from engine.files.hashes import hash_file
from engine.generate.infotext import Infotext, parse_infotext
from engine.generate.picture_bytes import encode_picture
from engine.generate.picture_said import PictureSaid, read_picture
from engine.library.hash_table import HashTable
from engine.protocol.making import FileUsed, Making, encode_making
from engine.protocol.passes import HiresPass, StartPicture
from engine.protocol.refs import LoraRef
from engine.protocol.request import GenerateRequest
from tests.cli.conftest import WriteLora
from tui_loraswitch.cli import main
from tui_loraswitch.commands import engine_run
from tui_loraswitch.commands.places import index_path
from tui_loraswitch.control.use_again import again_of, find_members

IMAGE = Image.new("RGB", (64, 64))
DEFAULTS = GenerateRequest("", Path("/new"), preview_every=0)


def write(path: Path, making: Making | None, infotext: str = "") -> Path:
    data, _ = encode_picture(IMAGE, "png", infotext, encode_making(making) if making else "")
    path.write_bytes(data)
    return path


def of_infotext(text: str) -> PictureSaid:
    return PictureSaid(64, 64, info=parse_infotext(text))


def test_exactly_what_made_it_but_where_pictures_go(tmp_path: Path) -> None:
    request = GenerateRequest("a fox", Path("/old"), seed=7, batch=3, cfg_scale=1 / 3)
    stack = (LoraRef("/x/ink.safetensors", 0.8, 0.5),)
    files = (FileUsed("/x/ink.safetensors", "ink", "ab" * 32),)
    again = again_of(PictureSaid(8, 8, making=Making(request, stack, 2, files)), DEFAULTS, {})
    wanted = replace(request, output=Path("/new"), seed=9, batch=1, preview_every=0)
    assert again.request == wanted
    assert [(one.ref, one.hash) for one in again.members] == [(stack[0], "ab" * 32)]


def test_by_infotext_what_cannot_be_drawn_is_said() -> None:
    again = again_of(
        of_infotext(
            "a fox <lora:ink:0.8> <lora:neon:te=0.5:unet=0.4>\nNegative prompt: dull\nSteps: 20, "
            "Sampler: Quantum, CFG scale: 7, Seed: 5, Size: 833x1216, Clip skip: 3, "
            'Lora hashes: "ink: 4F4B9B7D8B86", Version: v1.10.1'
        ),
        DEFAULTS,
        {},
    )
    request = again.request
    assert (request.steps, request.seed, request.cfg_scale, request.clip_skip) == (20, 5, 7.0, 3)
    assert (request.sampler, request.width, request.height) == ("DPM++ 2M", 1024, 1216)
    assert (request.noise, request.negative_prompt) == ("GPU", "dull")
    assert any("Quantum" in note for note in again.notes)
    assert any("833" in note for note in again.notes)
    members = [(one.name, one.ref.unet, one.ref.text_encoder, one.hash) for one in again.members]
    assert members == [("ink", 0.8, 0.8, "4f4b9b7d8b86"), ("neon", 0.4, 0.5, "")]


def test_a_picture_that_says_nothing_is_refused() -> None:
    with pytest.raises(EngineError, match="does not say"):
        again_of(PictureSaid(8, 8), DEFAULTS, {})
    assert again_of(PictureSaid(8, 8, info=Infotext("a fox")), DEFAULTS, {}).request.prompt


def test_loras_by_hash_then_by_name(tmp_path: Path, write_lora: WriteLora) -> None:
    """A renamed file is known by its content, a changed one is said, and one that went is named."""
    index = tmp_path / "index.sqlite"
    made = [write_lora(tmp_path / f"{name}.safetensors") for name in ("a", "b", "c", "d")]
    for number, path in enumerate(made):
        with path.open("r+b") as file:  # contents of their own
            file.seek(-1, 2)
            file.write(bytes([number]))
    files = tuple(FileUsed(str(p), p.stem, hash_file(p).tensors_sha256) for p in made)
    making = Making(GenerateRequest("a fox", tmp_path), tuple(map(LoraRef, made)), files=files)
    again = again_of(PictureSaid(8, 8, making=making), DEFAULTS, {})
    a, b, c, d = made
    moved = b.rename(tmp_path / "library-b.safetensors")
    write_lora(c)  # other content under the same name
    d.unlink()
    names = {"b": moved}
    found = find_members(again, names.get, index)
    assert [ref.path for ref in found.stack] == [a, moved, c]
    assert [one.name for one in found.missing] == ["d"]
    assert found.missing_words == f"d ({files[3].tensors_sha256[:12]})"
    assert len(found.notes) == 1
    assert "c: the file of that name has other content" in found.notes[0]
    # What was hashed once is found by its content under whatever name.
    assert [ref.path for ref in find_members(again, {}.get, index).stack] == [a, moved, c]


@pytest.mark.parametrize("kind", ["autov3", "autov2", "legacy", "sha256"])
def test_any_of_the_known_hashes_tells_a_file(kind: str, tmp_path: Path, write_lora) -> None:
    """Fooocus and Civitai write that of the whole file, in 10 digits; old pictures have 8."""
    index = tmp_path / "index.sqlite"
    # The oldest hash is of what stands behind the first mebibyte.
    path = write_lora(tmp_path / "ink.safetensors", ss_note="x" * 1_200_000)
    copy = Path(shutil.copy(path, tmp_path / "a copy.safetensors"))
    HashTable(index).hashes(copy)
    digits = getattr(hash_file(path), kind)
    info = Infotext("a <lora:ink:1>", lora_hashes=(("ink", digits.upper()),))
    again = again_of(PictureSaid(8, 8, info=info), DEFAULTS, {})
    for names, file in (({"ink": path}, path), ({}, copy)):
        found = find_members(again, names.get, index)
        assert [ref.path for ref in found.stack] == [file], "that of the name goes first"
        assert found.notes == ()


@pytest.mark.parametrize("digits", ["", "0x", "None", "%%%%%%%%%%", "_" * 12, 1, 7])
def test_what_is_no_hash_tells_no_file(digits: str | int, tmp_path: Path, write_lora) -> None:
    """So few digits are those of many files."""
    index = tmp_path / "index.sqlite"
    hashes = HashTable(index).hashes(write_lora(tmp_path / "x.safetensors"))
    assert hashes is not None
    said = hashes.sha256[:digits] if isinstance(digits, int) else digits
    info = Infotext("a <lora:ink:1>", lora_hashes=(("ink", said),))
    again = again_of(PictureSaid(8, 8, info=info), DEFAULTS, {})
    assert [one.name for one in find_members(again, {}.get, index).missing] == ["ink"]


def test_inspect_tells_it_in_words_and_as_json(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    request = GenerateRequest("a fox\x1b[31m", tmp_path, seed=7, steps=20)
    stack = (LoraRef("/x/ink.safetensors", 0.8, 0.5),)
    files = (FileUsed("/x/ink.safetensors", "ink", "ab" * 32), FileUsed("model", "sd_xl"))
    making = Making(request, stack, files=files, program="loraswitch 1")
    path = write(tmp_path / "x.png", making, "a fox\nSteps: 20, Sampler: Euler, Seed: 7")
    assert main(["inspect", str(path)]) == 0
    words = capsys.readouterr().out
    for part in ("64×64", "loraswitch 1", "ink 0.8, text encoders 0.5 (abababababab)", "sd_xl"):
        assert part in words
    assert "\x1b" not in words
    assert main(["inspect", str(path), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["request"]["seed"] == 7
    assert found["stack"][0]["tensors_sha256"] == "ab" * 32
    assert found["settings"]["steps"] == 20
    other = write(tmp_path / "other.png", None, "a cat\nSteps: 9, Sampler: Euler, Seed: 3")
    assert main(["inspect", str(other)]) == 0
    assert "a cat" in capsys.readouterr().out
    (tmp_path / "no.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(20))
    assert main(["inspect", str(tmp_path / "no.png")]) == 1


def test_options_given_go_first_and_defaults_do_not(
    tiny_checkpoint: Path, tiny_loras: Path, tmp_path: Path, monkeypatch, capsys
) -> None:
    monkeypatch.setattr(engine_run, "CLOSE_SECONDS", 60.0)
    loras = tmp_path / "loras"
    shutil.copytree(tiny_loras, loras)
    common = ("--model", str(tiny_checkpoint), "--loras", str(loras), "--device", "cpu",
              "--output", str(tmp_path / "out"))  # fmt: skip

    def run(*words: str) -> tuple[int, str, str]:
        code = main(["generate", *common, *words])
        output = capsys.readouterr()
        return code, output.out.strip(), output.err

    code, first, _ = run("a fox", "--lora", "neon:0.8", "--steps", "2", "--seed", "7", "--cfg", "3",
                         "--sampler", "Euler")  # fmt: skip
    assert code == 0
    code, again, _ = run("--from", first)
    assert code == 0
    made, made_again = (read_picture(Path(path)).making for path in (first, again))
    assert made is not None
    assert made_again is not None
    assert (made_again.picture, made_again.stack) == (made.picture, made.stack)
    assert Path(first).read_bytes() == Path(again).read_bytes()
    # 28 is what the command has by itself: here it was said.
    (loras / "neon.safetensors").rename(loras / "glow.safetensors")
    HashTable(index_path()).hashes(loras / "glow.safetensors")
    code, other, _ = run("--from", first, "--steps", "3", "--seed", "8", "--negative", "dull")
    assert code == 0
    changed = read_picture(Path(other)).making
    assert changed is not None
    request = replace(made.picture, steps=3, seed=8, negative_prompt="dull")
    assert changed.picture == request
    assert [(ref.name, ref.unet) for ref in changed.stack] == [("glow", 0.8)]
    (loras / "glow.safetensors").unlink()
    code, _, words = run("--from", first)
    assert code == 2
    assert f"neon ({hash_file(tiny_loras / 'neon.safetensors').autov3})" in words
    code, bare, _ = run("--from", first, "--skip-missing", "--steps", "1")
    assert code == 0
    stripped = read_picture(Path(bare)).making
    assert stripped is not None
    assert stripped.stack == ()


def test_a_second_pass_is_taken_over_with_its_loras() -> None:
    text = (
        "a fox <lora:ink:0.5>\nSteps: 20, Sampler: Euler, Seed: 5, Size: 832x1216, "
        "Denoising strength: 0.4, Hires prompt: a cat <lora:neon:0.25>, Hires upscale: 1.5, "
        'Hires steps: 9, Hires upscaler: ESRGAN_4x, RP Ratios: "1,2", '
        'Lora hashes: "neon: 4f4b9b7d8b86"'
    )
    again = again_of(of_infotext(text), DEFAULTS, {})
    hires = again.request.hires
    assert hires == HiresPass(1.5, 0.4, "Lanczos", 9, "a cat <lora:neon:0.25>")
    assert again.request.region_ratios == "1,2"
    assert any("ESRGAN_4x" in note for note in again.notes)
    assert [(one.name, one.hash) for one in again.of_hires or ()] == [("neon", "4f4b9b7d8b86")]
    members = replace(again, members=())
    found = find_members(members, {"neon": Path("/n/neon.safetensors")}.get, Path("/no/index"))
    of_hires = found.in_passes(again.request).hires
    assert of_hires is not None
    assert of_hires.stack is not None
    assert [(ref.name, ref.unet) for ref in of_hires.stack] == [("neon", 0.25)]


def test_a_picture_that_was_begun_with_is_said() -> None:
    text = "a fox\nSteps: 20, Sampler: Euler, Seed: 5, Denoising strength: 0.4, Mask blur: 4"
    again = again_of(of_infotext(text), DEFAULTS, {})
    assert again.request.start is None
    assert any("--denoising 0.4" in note for note in again.notes)
    start = StartPicture(Path("/gone/fox.png"), 0.4)
    making = Making(GenerateRequest("a fox", Path("/old"), seed=7, start=start))
    exactly = again_of(PictureSaid(8, 8, making=making), DEFAULTS, {})
    assert exactly.request.start == start
    assert exactly.notes == ("The picture /gone/fox.png is no longer there.",)
