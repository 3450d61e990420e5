"""`loraswitch reproduce` with a real, tiny model: the same pixels, or the file that differs."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from tests.support.tiny_checkpoint import rewrite_checkpoint
from tui_loraswitch.cli import main


@pytest.fixture
def library(tiny_loras: Path, tmp_path: Path) -> Path:
    """LoRAs that may be changed."""
    return Path(shutil.copytree(tiny_loras, tmp_path / "library"))


@pytest.fixture
def pictures(tiny_checkpoint: Path, library: Path, tmp_path: Path) -> list[Path]:
    """Three pictures: of the base, of a stack, and of regions with LoRAs of their own."""
    prompts = tmp_path / "prompts.txt"
    prompts.write_text(
        "a fox --d 7\n"
        "a fox <lora:neon:0.8> <lora:ink:0.4> --d 8\n"
        "a fox <lora:neon:1> ADDCOL a cat <lora:wash:0@0,1@1> --d 9\n",
        encoding="utf-8",
    )
    out = tmp_path / "out"
    words = ["--steps", "2", "--width", "64", "--height", "64", "--output", str(out)]
    model = ["--model", str(tiny_checkpoint), "--loras", str(library), "--device", "cpu"]
    assert main(["generate", "--file", str(prompts), *words, *model]) == 0
    return sorted(out.iterdir())


def reproduce(library: Path, *words: object) -> int:
    return main(["reproduce", *map(str, words), "--loras", str(library), "--device", "cpu"])


def test_the_same_pixels_wherever_the_files_lie_now(pictures, library, tmp_path, capsys) -> None:
    (library / "moved").mkdir()
    (library / "neon.safetensors").rename(library / "moved" / "renamed.safetensors")
    # Another one has taken its name.
    shutil.copy(library / "styles" / "ink.safetensors", library / "neon.safetensors")
    before = {path: path.read_bytes() for path in pictures}
    capsys.readouterr()
    assert reproduce(library, *pictures) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines == [
        *(f"{path.name}: the same weights · the same pixels" for path in pictures),
        "3 of 3 pictures: the same pixels",
    ]
    assert {path: path.read_bytes() for path in pictures} == before


def test_the_vae_has_the_type_that_the_picture_was_decoded_in(
    tiny_checkpoint, library, tmp_path, capsys
) -> None:
    out = tmp_path / "half"
    words = ["--steps", "1", "--width", "64", "--height", "64", "--output", str(out), "--seed", "7"]
    model = ["--model", str(tiny_checkpoint), "--device", "cpu", "--vae-dtype", "bfloat16"]
    assert main(["generate", "a fox", *words, *model]) == 0
    (picture,) = out.iterdir()
    assert reproduce(library, picture) == 0
    assert "the same pixels" in capsys.readouterr().out
    assert reproduce(library, picture, "--vae-dtype", "float32", "--check") == 1
    assert "OTHER WEIGHTS" in capsys.readouterr().out


def test_a_file_that_was_changed_by_a_byte_is_named(pictures, library, capsys) -> None:
    ink = library / "styles" / "ink.safetensors"
    data = bytearray(ink.read_bytes())
    data[-3] ^= 0x40
    ink.write_bytes(data)
    (library / "styles" / "wash.safetensors").unlink()
    capsys.readouterr()
    assert reproduce(library, *pictures, "--json") == 1
    base, stack, regions = json.loads(capsys.readouterr().out)
    assert base["proven"]
    assert not stack["same_weights"]
    assert not stack["proven"]
    assert stack["pixels"]["pixels"] > 0
    assert [words.split(":")[0] for words in stack["files"]] == [str(ink)]
    assert "wash.safetensors is neither where it was nor in the library" in regions["files"][0]
    assert regions["pixels"] is None, "there is nothing to draw it with"


def test_other_pixels_and_other_models_are_noticed(
    pictures, library, tmp_path, tiny_checkpoint, capsys
) -> None:
    picture = pictures[0]
    with Image.open(picture) as image:
        info, painted = dict(image.info), image.convert("RGB")
    painted.putpixel((3, 3), (255, 0, 255))
    texts = PngInfo()
    for key, value in info.items():
        texts.add_itxt(key, value)
    painted.save(picture, pnginfo=texts)
    capsys.readouterr()
    assert reproduce(library, picture) == 1
    assert "the same weights · 1 pixel differs" in capsys.readouterr().out

    def change(tensors) -> None:
        tensors["model.diffusion_model.out.2.bias"][0] += 1

    other = rewrite_checkpoint(tiny_checkpoint, tmp_path, change)
    assert reproduce(library, pictures[1], "--check", "--model", other) == 1
    output = capsys.readouterr().out
    assert "OTHER WEIGHTS" in output
    assert "another model than the picture was drawn with" in output


def test_what_says_nothing_of_itself_is_no_proof(library, tmp_path, capsys) -> None:
    plain = tmp_path / "plain.png"
    Image.new("RGB", (8, 8)).save(plain)
    text = tmp_path / "text.png"
    text.write_text("no picture", encoding="utf-8")
    assert reproduce(library, plain, text, tmp_path / "none.png") == 1
    output = capsys.readouterr()
    assert output.out.count("not reproduced") == 3
    assert "it does not say exactly how it was made" in output.err
