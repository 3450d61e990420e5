"""`list` with all words, `scan`, `hash`, `dup`, and what a LoRA does in `inspect`."""

from __future__ import annotations

import hashlib
import json
import struct
from pathlib import Path

import pytest

from engine.demo import DEMO_LORAS
from engine.store.recipes import Member, Recipe, recipe_text
from tui_loraswitch.cli import main
from tui_loraswitch.commands.effect_words import effect_fields, likeness_words


@pytest.fixture
def library(home: Path, write_lora) -> Path:
    folder = home / "library"
    write_lora(folder / "a/neon.safetensors", ss_epoch="1")
    write_lora(folder / "b/neon copy.safetensors", ss_epoch="2")
    vector = b'{"a":{"dtype":"F32","shape":[],"data_offsets":[0,4]}}'.ljust(56)
    data = struct.pack("<Q", len(vector)) + vector + bytes.fromhex("00008040")
    (home / "vector.safetensors").write_bytes(data)
    return folder


def run(capsys, *words: object) -> str:
    assert main([str(word) for word in words]) == 0
    return capsys.readouterr().out


def test_scan_counts_and_says_what_cannot_be_used(library: Path, capsys) -> None:
    (library / "page.safetensors").write_text("<html>not found</html>")
    found = json.loads(run(capsys, "scan", "--loras", library, "--json"))
    assert (found["files"], found["unusable"], found["problems"]) == (3, 1, [])
    assert "web page" in run(capsys, "scan", "--loras", library)


def test_hash_gives_the_published_vector_and_keeps_what_it_computed(
    library: Path, home: Path, capsys, monkeypatch
) -> None:
    vector = home / "vector.safetensors"
    (found,) = json.loads(run(capsys, "hash", vector, "--json"))
    assert (found["autov2"], found["autov3"]) == ("96909b255c", "4f4b9b7d8b86")
    lines = run(capsys, "hash", "--loras", library).splitlines()
    whole = hashlib.sha256((library / "a/neon.safetensors").read_bytes()).hexdigest()
    assert any(whole in line for line in lines)
    monkeypatch.setattr("engine.library.hash_table.hash_file", None)
    assert run(capsys, "hash", "--loras", library).splitlines() == lines


def test_dup_finds_the_same_tensors_and_list_shows_them(library: Path, capsys) -> None:
    assert run(capsys, "list", "dup:yes", "--loras", library) == ""
    (group,) = json.loads(run(capsys, "dup", "--loras", library, "--json"))
    assert [Path(path).name for path in group] == ["neon.safetensors", "neon copy.safetensors"]
    assert len(run(capsys, "list", "dup:yes", "--loras", library).splitlines()) == 2


def test_list_takes_all_words_orders_and_says_what_it_does_not_know(library: Path, capsys) -> None:
    lines = run(capsys, "list", "rank:>=1", "--sort", "added", "--reverse", "--loras", library)
    assert [line.split("\t")[0] for line in lines.splitlines()] == ["b/neon copy", "a/neon"]
    assert main(["list", "colour:red", "--loras", str(library)]) == 0
    assert "“colour:” is no field" in capsys.readouterr().err
    assert main(["list", "noen", "--loras", str(library)]) == 0
    assert "names near to it: neon" in capsys.readouterr().err


def test_recipes_are_listed_and_shared(home: Path, capsys) -> None:
    recipe = Recipe("Rainy night", (Member("styles/neon", "/loras/neon", unet=0.8),), "a fox")
    (home / "rain.json").write_text(recipe_text(recipe))
    assert run(capsys, "recipes", "import", home / "rain.json") == "kept: Rainy night\n"
    assert run(capsys, "recipes", "fox") == "Rainy night\tstyles/neon 0.80\ta fox\n"
    assert run(capsys, "recipes", "sun") == ""
    assert run(capsys, "recipes", "export", "Rainy night") == (home / "rain.json").read_text()
    assert main(["recipes", "import", str(home / "rain.json")]) != 0
    assert main(["recipes", "export", "none"]) != 0
    assert "no recipe “none”" in capsys.readouterr().err


def test_which_blocks_change_and_how_alike_two_are_is_told() -> None:
    ink, neon = (
        DEMO_LORAS / "styles" / f"{name}.safetensors" for name in ("ink_outline", "neon_glow")
    )
    ((label, bars),) = effect_fields(ink)
    assert label == "changes"
    assert [part.split()[0] for part in bars.split("  ")] == [
        "TE1", "TE2", "IN", "MID", "OUT", "BASE"
    ]  # fmt: skip
    assert sum(int(share[:-1]) for share in bars.split() if share.endswith("%")) in range(98, 103)
    words = likeness_words(ink, neon)
    assert words == "neon_glow.safetensors: cosine 0.01 over 104 shared modules"
