"""`loraswitch list`: lines for pipes, a table for terminals, JSON."""

from __future__ import annotations

import dataclasses
import io
import json
from datetime import datetime
from pathlib import Path

import pytest
from rich.cells import cell_len
from rich.console import Console

from engine.library.entry import LibraryEntry, TriggerWords
from tui_loraswitch.cli import main
from tui_loraswitch.commands.listing import print_table


def test_lines_of_fields_in_a_pipe(loras: Path, capsys) -> None:
    assert main(["list", "--loras", str(loras)]) == 0
    output = capsys.readouterr()
    lines = [line.split("\t") for line in output.out.splitlines()]
    assert [line[0] for line in lines] == [
        "Aya",
        "broken",
        "people/ink",
        "styles/ink",
        "styles/neon",
        "old",
    ]
    assert {len(line) for line in lines} == {7}
    neon, broken, old = lines[4], lines[1], lines[5]
    size = str((loras / "styles/neon.safetensors").stat().st_size)
    assert neon == ["styles/neon", "SDXL", "LoRA", "4", size, "neon glow, night city", ""]
    assert old[1] == "SD 1.5"
    assert broken[6].startswith("truncated")
    assert output.err == ""


def test_a_filter_is_a_query(loras: Path, capsys) -> None:
    assert main(["list", "--loras", str(loras), "ink", "folder:styles"]) == 0
    assert capsys.readouterr().out.startswith("styles/ink\t")
    assert main(["list", "--loras", str(loras), "ink -people"]) == 0
    assert [line.split("\t")[0] for line in capsys.readouterr().out.splitlines()] == ["styles/ink"]


def test_json(loras: Path, capsys) -> None:
    assert main(["list", "--loras", str(loras), "--json"]) == 0
    entries = json.loads(capsys.readouterr().out)
    neon = next(entry for entry in entries if entry["name"] == "neon")
    assert neon["path"] == str(loras / "styles/neon.safetensors")
    assert neon["rank"] == 4
    assert neon["trigger_words"] == [{"source": "modelspec", "words": ["neon glow, night city"]}]
    assert [entry["fits_sdxl"] for entry in entries].count(False) == 2


def test_json_holds_all_that_is_known(home: Path, write_lora, capsys) -> None:
    path = write_lora(
        home / "known/neon.safetensors",
        ss_tag_frequency=json.dumps({"set": {"neon": 7, "city": 3}}),
        ss_network_dim="4",
    )
    path.with_suffix(".json").write_text(json.dumps({"notes": "mine", "negative text": "blurry"}))
    info = {"description": "<p>Long text.</p>", "model": {"name": "Neon"}}
    path.with_suffix(".civitai.info").write_text(json.dumps(info))
    path.with_suffix(".png").touch()
    assert main(["list", "--loras", str(path.parent), "--json"]) == 0
    (entry,) = json.loads(capsys.readouterr().out)
    other_names = {"root": "library", "mtime_ns": "changed", "added_ns": "added"}
    fields = {field.name for field in dataclasses.fields(LibraryEntry)} - {"inode"}
    assert {other_names.get(name, name) for name in fields} <= entry.keys()
    assert entry["tags"] == {"neon": 7, "city": 3}
    assert (entry["notes"], entry["negative_text"]) == ("mine", "blurry")
    assert "Long text." in entry["description"]
    assert entry["previews"] == [str(path.with_suffix(".png"))]
    assert entry["metadata"]["ss_network_dim"] == "4"
    assert datetime.fromisoformat(entry["changed"]).timestamp() == pytest.approx(
        path.stat().st_mtime, abs=1e-3
    )


def test_remembered_folders_are_listed(config: Path, loras: Path, capsys) -> None:
    config.write_text(f'model = "/m.safetensors"\nloras = ["{loras}"]\n')
    assert main(["list", "neon"]) == 0
    assert capsys.readouterr().out.startswith("styles/neon\t")


def test_a_remembered_folder_that_is_gone_is_said_and_no_error(config: Path, capsys) -> None:
    config.write_text('model = "/m.safetensors"\nloras = ["/unplugged/loras"]\n')
    assert main(["list"]) == 0
    output = capsys.readouterr()
    assert output.out == ""
    assert "/unplugged/loras: there is no such folder" in output.err


def test_names_of_strangers_cannot_act_on_the_terminal(home: Path, write_lora, capsys) -> None:
    evil = {"modelspec.trigger_phrase": "x\x1b]0;owned\x07\x1b[2J\ty\nz"}
    write_lora(home / "evil/a\x1b[31mb\tc\nd.safetensors", **evil)
    for words in (["list"], ["list", "--json"]):
        assert main([*words, "--loras", str(home / "evil")]) == 0
        out = capsys.readouterr().out
        assert "\x1b" not in out
        assert "\x07" not in out
    assert main(["list", "--loras", str(home / "evil")]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert line.split("\t")[0] == "ab c d"
    assert main(["list", "--loras", str(home / "evil"), "--json"]) == 0
    (entry,) = json.loads(capsys.readouterr().out)
    assert Path(entry["path"]).exists()


def test_a_table_fits_its_terminal() -> None:
    root = Path("/l")
    entries = [
        LibraryEntry(
            root / f"{'深夜' * 30}{number}.safetensors",
            root,
            size=228_000_000,
            mtime_ns=0,
            inode=0,
            family="LoRA + LoCon",
            rank=128,
            base_model="SDXL",
            trigger_words=(TriggerWords("here", ("[bold]word[/bold] " * 20,)),),
        )
        for number in range(2)
    ]
    entries.append(LibraryEntry(root / "bad.safetensors", root, 10, 0, 0, error="truncated"))
    for width in (60, 80, 200):
        stream = io.StringIO()
        print_table(entries, Console(file=stream, width=width))
        lines = stream.getvalue().splitlines()
        assert len(lines) == 4
        assert max(map(cell_len, lines)) <= width
        assert "228 MB" in lines[1]
        assert "SDXL" in lines[1]
        assert "! trunc" in lines[3]
    assert "[bold]word[/bold]" in stream.getvalue()
