"""`loraswitch tour`: each LoRA once, its words put in, new files join."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.support.tiny_checkpoint import write_tiny_lora
from tui_loraswitch.cli import main


@pytest.fixture
def library(tiny_checkpoint: Path, tiny_loras: Path, home: Path) -> Path:
    """`neon` with words beside it, `ink` with a preview, and one that is for another model."""
    folder = home / "loras"
    folder.mkdir()
    for name in ("neon", "styles/ink"):
        shutil.copy(tiny_loras / f"{name}.safetensors", folder)
    (folder / "neon.json").write_text(
        json.dumps({"activation text": "neon glow, night", "preferred weight": 0.5})
    )
    (folder / "ink.png").write_bytes((b"not for", b"me")[0])
    (folder / "broken.safetensors").write_bytes(b"nothing")
    return folder


def lines(folder: Path) -> dict[str, dict[str, Any]]:
    records = map(json.loads, (folder / "cells.jsonl").read_text().splitlines())
    return {record["axes"]["lora"]: record for record in records}


def test_each_lora_is_drawn_once_with_its_words(
    host, library: Path, tiny_checkpoint: Path, home: Path, capsys
) -> None:
    own = ["--model", str(tiny_checkpoint), "--loras", str(library)]
    size = ["--steps", "1", "--sampler", "Euler", "--width", "64", "--height", "64"]
    words = ["tour", *own, *size, "--prompt", "a fox, night", "--previews", "--json"]
    assert main(words) == 0
    caught = capsys.readouterr()
    said = json.loads(caught.out)
    assert (said["drawn"], said["switches"], said["previews"]) == (2, 2, 1)
    assert "1 LoRA cannot be used with SDXL" in caught.err
    folder = home / "outputs/tour"
    neon, ink = (lines(folder)[name] for name in ("neon", "ink"))
    assert (neon["prompt"], ink["prompt"]) == ("a fox, night, neon glow", "a fox, night")
    assert [neon["stack"][0]["unet"], ink["stack"][0]["unet"]] == [0.5, 1.0]
    assert neon["seed"] == ink["seed"]
    assert (folder / "sheet.png").is_file()

    # A preview is written where none is, and nothing is written over.
    with Image.open(library / "neon.preview.png") as image:
        assert image.size == (64, 64)
    assert not (library / "ink.preview.png").exists()

    # A new file joins, and what was drawn stays.
    write_tiny_lora(library / "wash.safetensors", tiny_checkpoint, 7)
    assert main(words) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["drawn"], said["found"], said["previews"]) == (1, 2, 1)
    assert set(lines(folder)) == {"neon", "ink", "wash"}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nothing_like_it"], "nothing_like_it"),
        (["--seed", "-1"], "one seed"),
        (["--batch", "2"], "one picture"),
        (["--prompt", "a <lora:none_of_these:1>"], "no LoRA"),
    ],
)
def test_what_cannot_be_drawn_is_refused_at_once(
    library: Path, words: list[str], said: str, capsys
) -> None:
    assert main(["tour", "--loras", str(library), "--own-engine", *words]) == 2
    assert said in capsys.readouterr().err
