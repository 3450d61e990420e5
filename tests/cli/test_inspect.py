"""`loraswitch inspect`: what a file is, and what a LoRA would change."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from engine.demo import DEMO_LORAS, DEMO_MODEL
from tests.cli.conftest import SDXL_KEY
from tui_loraswitch.cli import main


@pytest.fixture(scope="module", autouse=True)
def one_outline() -> Iterator[None]:
    """A command makes the outline of a model once; here each is made once for all of them."""
    from engine.switch import examine

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(examine, "outline_of", cache(examine.outline_of))
        yield


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
    assert "UNet alone" in capsys.readouterr().out


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


BYTES = 640 * 2048 * 2
"""Of the one weight that the LoRAs of these tests change, in float16."""


def fit_of(path: Path, capsys, *options: str) -> dict[str, Any]:
    assert main(["inspect", "--json", str(path), *options]) == 0
    fit: dict[str, Any] = json.loads(capsys.readouterr().out)["fit"]
    return fit


def test_a_lora_is_fitted_to_sdxl_in_its_real_size(loras: Path, capsys) -> None:
    neon = loras / "styles/neon.safetensors"
    assert main(["inspect", str(neon)]) == 0
    out = capsys.readouterr().out
    assert "fits          yes: 1 of 1 modules are in SDXL" in out
    assert "changes       UNet 1 module\n" in out
    assert "to write      2.6 MB in float16" in out
    fit = fit_of(neon, capsys)
    assert (fit["model"], fit["fits"], fit["refusal"]) == ("SDXL", True, "")
    assert fit["report"]["bytes"] == BYTES
    assert fit["report"]["parts"] == [{"part": "unet", "modules": 1, "bytes": BYTES}]
    assert fit["report"]["scratch_bytes"] == 4 * (640 * 2048 + 4 * 640 + 4 * 2048)
    assert fit_of(neon, capsys, "--dtype", "float32")["report"]["bytes"] == 2 * BYTES


def test_what_is_left_over_is_named(home: Path, capsys) -> None:
    path = home / "odd.safetensors"
    factors = {"lora_down": (4, 2048), "lora_up": (640, 4)}
    tensors = {
        f"{key}.{role}.weight": np.ones(shape, np.float16)
        for key in (SDXL_KEY, SDXL_KEY.replace("input_blocks_4", "input_blocks_99"))
        for role, shape in factors.items()
    }
    tensors[f"{SDXL_KEY}.diff_b"] = np.ones(640, np.float16)
    tensors["bundle_emb.twig.clip_l"] = np.ones((2, 768), np.float16)
    tensors["bundle_emb.twig.clip_g"] = np.ones((2, 1280), np.float16)
    tensors["stray"] = np.ones(3, np.float16)
    tensors[f"{SDXL_KEY}.lora_up.weight"][3, :2] = np.nan
    save_file(tensors, path)
    assert main(["inspect", str(path)]) == 0
    out = capsys.readouterr().out
    for words in (
        "fits          no: odd.safetensors: ",
        f"not finite    2 values in 1: {SDXL_KEY} (2)",
        "not in model  1: lora_unet_input_blocks_99",
        f"no bias there 1: {SDXL_KEY}",
        "other tensors 1: stray",
        "embeddings    twig",
    ):
        assert words in out
    fit = fit_of(path, capsys)
    assert fit["non_finite"] == {SDXL_KEY: 2}
    report = fit["report"]
    assert (report["matched"], report["modules"]) == (1, 2)
    assert (report["unknown_keys"], report["embeddings"]) == (["stray"], ["twig"])


def test_tensors_without_use_in_a_module_are_listed(home: Path, capsys) -> None:
    path = home / "odd.safetensors"
    empty = SDXL_KEY.replace("to_k", "to_v")
    tensors = {
        f"{SDXL_KEY}.lora_down.weight": np.ones((4, 2048), np.float16),
        f"{SDXL_KEY}.lora_up.weight": np.ones((640, 4), np.float16),
        f"{SDXL_KEY}.rescale": np.ones(640, np.float16),
        f"{empty}.lora_down.weight": np.ones((0, 2048), np.float16),
        f"{empty}.lora_up.weight": np.ones((640, 0), np.float16),
    }
    save_file(tensors, path, {"network_alpha": "2"})
    assert main(["inspect", str(path)]) == 0
    out = capsys.readouterr().out
    for words in (
        "fits          in part: 1 of 2 modules",
        f"rank 0        1: {empty}",
        f"left over     1: {SDXL_KEY}.rescale",
        "note          its metadata has an alpha of 2",
    ):
        assert words in out
    report = fit_of(path, capsys)["report"]
    assert report["left_over"] == [f"{SDXL_KEY}.rescale"]


def test_a_lora_of_another_base_is_refused_but_read(loras: Path, capsys) -> None:
    fit = fit_of(loras / "old.safetensors", capsys)
    assert fit["report"] is None
    assert "for SD 1.5" in fit["refusal"]


def test_the_demos_loras_are_fitted_to_the_demo(home: Path, capsys) -> None:
    own = DEMO_LORAS / "styles/neon_glow.safetensors"
    fit = fit_of(own, capsys)
    assert (fit["fits"], fit["model"]) == (True, DEMO_MODEL.stem)
    copy = home / "copy.safetensors"
    shutil.copy(own, copy)
    assert main(["inspect", str(copy)]) == 0
    out = capsys.readouterr().out
    assert "is made for 48x36 at rank 3, the model has 320x4x3x3 (103 more do not fit" in out
    assert "It fits the embedded demo: inspect it with --demo." in out
    assert fit_of(copy, capsys, "--demo")["report"]["matched"] == 104
    assert fit_of(copy, capsys, "--model", str(DEMO_MODEL))["fits"]


def test_a_model_that_is_none_is_wrong_usage(loras: Path, capsys) -> None:
    neon = str(loras / "styles/neon.safetensors")
    assert main(["inspect", neon, "--model", neon]) == 2
    assert "this is a LoRA, not a model" in capsys.readouterr().err


def test_a_weight_under_two_names_is_named(home: Path, capsys) -> None:
    path = home / "twice.safetensors"
    other = "unet.down_blocks.1.attentions.0.transformer_blocks.0.attn2.to_k"
    factors = {"lora_down": (4, 2048), "lora_up": (640, 4)}
    tensors = {
        f"{key}.{role}.weight": np.ones(shape, np.float16)
        for key in (SDXL_KEY, other)
        for role, shape in factors.items()
    }
    save_file(tensors, path)
    assert main(["inspect", str(path)]) == 0
    assert "named twice   1: " in capsys.readouterr().out
