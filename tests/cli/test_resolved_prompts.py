"""Dynamic prompts, wildcards and styles on the command line: what is drawn is what was decided."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from engine.generate.infotext import parse_infotext
from engine.generate.save import read_infotext
from engine.words.prompt_language.chance import resolve_chance
from tui_loraswitch.cli import main


@pytest.fixture
def generate(tiny_checkpoint: Path, tiny_loras: Path, tmp_path: Path, capsys: Any) -> Any:
    """Runs the command; returns the exit code, what it printed and what it said."""

    def run(*words: str) -> tuple[int, str, str]:
        own = ("--model", str(tiny_checkpoint), "--loras", str(tiny_loras), "--device", "cpu")
        quick = ("--steps", "1", "--sampler", "euler", "--output", str(tmp_path / "out"))
        code = main(["generate", *own, *quick, *words])
        output = capsys.readouterr()
        return code, output.out, output.err

    return run


@pytest.fixture
def wildcards(tmp_path: Path) -> Path:
    folder = tmp_path / "wild"
    folder.mkdir()
    (folder / "beast.txt").write_text("fox\ncat\ndog\nowl\n")
    (folder / "latin.csv").write_bytes(b"name,prompt,negative_prompt\nFilm,caf\xe9,\n")
    return folder


@pytest.fixture
def styles(tmp_path: Path) -> Path:
    file = tmp_path / "styles.csv"
    file.write_bytes(
        b"\xef\xbb\xbfname,prompt,negative_prompt\r\n"
        b'Film,"film still of {prompt}","{dark|dim}"\r\nInk,"ink wash",\r\n'
    )
    return file


def _prompts(paths: list[str]) -> list[str]:
    return [parse_infotext(read_infotext(Path(path)) or "").prompt for path in paths]


def test_each_picture_of_a_batch_is_decided_by_its_own_seed(generate, wildcards) -> None:
    prompt = "a {red|green|blue} __beast__"
    code, out, _ = generate(prompt, "--seed", "3", "--batch", "3", "--wildcards", str(wildcards))
    assert code == 0
    lines = sorted((wildcards / "beast.txt").read_text().split(), key="fox cat dog owl".find)
    expected = [resolve_chance(prompt, seed, lambda _: lines)[0] for seed in (3, 4, 5)]
    assert _prompts(out.splitlines()) == expected
    assert len(set(expected)) > 1


def test_json_says_prompt_and_stack_of_each_picture(generate) -> None:
    words = ("a fox <lora:{neon|wash}:0.5>", "--seed", "1", "--batch", "4", "--json")
    code, out, _ = generate(*words)
    pictures = json.loads(out)["pictures"]
    assert code == 0
    assert [picture["seed"] for picture in pictures] == [1, 2, 3, 4]
    for picture in pictures:
        (member,) = picture["loras"]
        assert f"<lora:{member['name']}:0.5>" in picture["prompt"]
    assert len({picture["prompt"] for picture in pictures}) == 2


def test_a_seed_that_is_drawn_is_the_pictures(generate) -> None:
    prompt = "{a|b|c|d|e|f|g|h}"
    _, out, _ = generate(prompt, "--json")
    data = json.loads(out)
    assert data["settings"]["prompt"] == resolve_chance(prompt, data["seed"], lambda _: ())[0]


def test_styles_in_their_order(generate, styles) -> None:
    _, out, _ = generate("a fox", "--styles", str(styles), "--style", "Film", "--style", "Ink")
    info = parse_infotext(read_infotext(Path(out.strip())) or "")
    assert info.prompt == "film still of a fox, ink wash"
    assert info.negative_prompt in ("dark", "dim")


def test_the_config_file_names_both(generate, wildcards, styles, config) -> None:
    config.parent.mkdir(parents=True, exist_ok=True)
    config.write_text(f'wildcards = "{wildcards}"\nstyles = "{styles}"\n')
    code, out, _ = generate("__beast__", "--style", "Ink")
    assert code == 0
    assert _prompts(out.splitlines())[0].removesuffix(", ink wash") in "fox cat dog owl"


def test_each_line_of_a_file_is_decided(generate, tmp_path) -> None:
    file = tmp_path / "prompts.txt"
    file.write_text("{a|b} fox --d 1,2,3,4,5,6\n")
    code, out, _ = generate("--file", str(file))
    paths = [picture["path"] for picture in json.loads(out)["pictures"]]
    assert code == 0
    assert set(_prompts(paths)) == {"a fox", "b fox"}


def test_braces_without_a_partner_are_said(generate) -> None:
    code, out, err = generate("a {fox")
    assert (code, _prompts(out.splitlines())) == (0, ["a {fox"])
    assert "“{fox” is taken as text: no closing brace." in err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("__beast__",), "no folder of wildcards"),
        (("a", "--style", "Film"), "--styles FILE"),
        (("a", "--style", "Fil", "--styles", "STYLES"), "Did you mean Film?"),
        (("a", "--styles", "/no/such.csv"), "there is no such file"),
        (("a", "--styles", "/dev/null"), "/dev/null: this is not a file"),
        (("a", "--init", "/dev/zero"), "/dev/zero: this is not a file"),
        (
            ("a", "--style", "Film", "--styles", "WILD/latin.csv"),
            "the file of styles is no UTF-8 text",
        ),
        (("a", "--wildcards", "/no/such"), "there is no such folder"),
        (("__best__", "--wildcards", "WILD"), "Did you mean beast?"),
        (("{a|b}", "--batch", "101"), "goes up to 100 pictures"),
        (("{a|b}", "--batch", "0"), "batch"),
        (("a", "--style", "x", "--styles", "WILD/beast.txt"), "name,prompt,negative_prompt"),
    ],
)
def test_what_cannot_be_decided_is_refused_before_the_model(
    generate, wildcards, styles, words, said
) -> None:
    words = [word.replace("WILD", str(wildcards)).replace("STYLES", str(styles)) for word in words]
    code, out, err = generate(*words)
    assert (code, out) == (2, "")
    assert said in " ".join(err.split())


def test_regions_have_loras_of_their_own_and_say_so(generate: Any) -> None:
    code, out, said = generate(
        "night ADDBASE a fox <lora:neon:0.5> ADDCOL a cat <lora:ink:0@0,1@1>", "--ratios", "1,2"
    )
    assert code == 0, said
    assert _prompts(out.splitlines()) == [
        "night ADDBASE a fox <lora:neon:0.5> ADDCOL a cat <lora:ink:0@0,1@1>"
    ]
    written = parse_infotext(read_infotext(Path(out.strip())) or "")
    assert [name for name, _ in written.lora_hashes] == ["neon", "ink"]
    assert written.region_ratios == "1,2"


def test_a_mask_for_each_region(generate: Any, tmp_path: Path) -> None:
    code, _, said = generate("a fox ADDCOL a cat", "--mask", str(tmp_path / "missing.png"))
    assert code != 0
    assert "1 masks for 2 regions" in said


def test_pictures_say_where_regions_lie(generate: Any, tmp_path: Path) -> None:
    def drawn(edge: int) -> bytes:
        words = []
        for name, box in (("left", (0, 0, edge, 64)), ("right", (edge, 0, 64, 64))):
            mask = Image.new("L", (64, 64), 0)
            mask.paste(255, box)
            mask.save(tmp_path / f"{name}.png")
            words += ["--mask", str(tmp_path / f"{name}.png")]
        code, out, said = generate("a fox ADDCOL a cat <lora:ink:1>", "--seed", "5", *words)
        assert code == 0, said
        with Image.open(out.strip()) as picture:
            return picture.tobytes()

    assert drawn(16) != drawn(48)
