"""`loraswitch inspect`: what a file is, from its header."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from tui_loraswitch.cli import main


def test_a_lora_in_words(home: Path, loras: Path, capsys) -> None:
    neon = loras / "styles/neon.safetensors"
    neon.with_suffix(".json").write_text(json.dumps({"preferred weight": 0.7}))
    assert main(["inspect", "~/loras/styles/neon.safetensors"]) == 0
    output = capsys.readouterr()
    for words in (
        str(neon),
        "SDXL (attn2 width 2048)",
        "LoRA 1",
        "4, alpha 2",
        "UNet 1",
        "neon glow, night city (modelspec)",
        "0.7 is recommended",
        "modelspec.trigger_phrase neon glow, night city",
    ):
        assert words in output.out
    assert "lora_unet_" not in output.out
    assert output.err == ""


def test_modules_on_request(loras: Path, capsys) -> None:
    assert main(["inspect", "--modules", str(loras / "Aya.safetensors")]) == 0
    out = capsys.readouterr().out
    assert "input_blocks_4_1_transformer_blocks_0_attn2_to_k  LoRA" in out
    assert "down 4×2048" in out


def test_json_holds_everything(home: Path, write_lora, capsys) -> None:
    long = "tag, " * 1000
    file = write_lora(home / "own.safetensors", sdxl=False, ss_network_args="{}", words=long)
    assert main(["inspect", "--json", str(file)]) == 0
    data = json.loads(capsys.readouterr().out)
    assert data["kind"] == "lora"
    assert (data["base_model"], data["base_evidence"]) == ("SD 1.5", "attn2 width 768")
    assert data["fits_sdxl"] is False
    assert data["families"] == {"LoRA": 1}
    assert (data["rank"], data["alpha"], data["parts"]) == (4, 2.0, ["UNet"])
    assert data["metadata"] == {"ss_network_args": "{}", "words": long}
    (module,) = data["modules"]
    assert (module["part"], module["rank"]) == ("UNet", 4)
    assert module["tensors"]["up"] == {"dtype": "F16", "shape": [640, 4]}


def test_a_file_of_another_kind_is_told_apart(home: Path, capsys) -> None:
    file = home / "model.safetensors"
    save_file({"model.diffusion_model.out.2.bias": np.zeros(4, np.float16)}, file)
    assert main(["inspect", str(file)]) == 0
    assert "checkpoint" in capsys.readouterr().out


def test_a_file_without_the_ending_is_read_too(home: Path, write_lora, capsys) -> None:
    file = write_lora(home / "download (1)")
    assert main(["inspect", str(file)]) == 0
    assert "attn2 width 2048" in capsys.readouterr().out


def test_what_cannot_be_read_is_one_sentence(home: Path, loras: Path, capsys) -> None:
    (home / "page.safetensors").write_text("<!DOCTYPE html><html>404</html>")
    (home / "code.ckpt").write_bytes(b"\x80\x02}q\x00.xxxxxxxxxx")
    for name, reason in (
        ("gone.safetensors", "no such file"),
        ("loras", "folder"),
        ("loras/broken.safetensors", "truncated"),
        ("page.safetensors", "web page"),
        ("code.ckpt", "pickle"),
    ):
        assert main(["inspect", name]) == 1
        output = capsys.readouterr()
        assert output.out == ""
        assert reason in output.err
        assert output.err.startswith("loraswitch: ")
        assert output.err.count("\n") == 1


def test_metadata_of_strangers_cannot_act_on_the_terminal(home: Path, write_lora, capsys) -> None:
    evil = {"key\x1b[2J": "value\x1b]52;c;aGk=\x07", "modelspec.title": "\x9b31mred\x1b[0m"}
    file = write_lora(home / "evil\x1b[5m.safetensors", **evil)
    for words in ([], ["--modules"], ["--json"]):
        assert main(["inspect", *words, str(file)]) == 0
        out = capsys.readouterr().out
        assert not any(ord(char) in (*range(9), *range(11, 32), *range(127, 160)) for char in out)
