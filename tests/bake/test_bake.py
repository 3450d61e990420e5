"""Baked files: opened again they are the live weights; a LoRA is the best of its rank."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from engine import LoraRef, LoraSwitcher, open_checkpoint
from engine.bake.checkpoint import bake_checkpoint
from engine.bake.lora import bake_lora
from engine.bake.recipe import RECIPE_KEY, require_steady
from engine.bake.tokenizer import copy_tokenizer
from engine.checkpoint import Checkpoint
from engine.checkpoint.config import METADATA_KEY
from engine.errors import EngineError
from engine.files.header import read_header
from engine.words.course import Course
from tui_loraswitch.cli import main


def opened(path: Path, dtype: torch.dtype, **options: Any) -> Checkpoint:
    return open_checkpoint(path, device="cpu", dtype=dtype, **options)


def switcher_of(model: Checkpoint) -> LoraSwitcher:
    pipe = model.pipeline
    return LoraSwitcher(pipe.unet, pipe.text_encoder, pipe.text_encoder_2, source=model.source)


def weights(model: Checkpoint) -> dict[str, torch.Tensor]:
    return {
        f"{part}.{name}": parameter.data.clone()
        for part, module in model.modules.items()
        for name, parameter in module.named_parameters()
    }


@pytest.fixture
def stack(tiny_loras: Path) -> list[LoraRef]:
    neon, ink = tiny_loras / "neon.safetensors", tiny_loras / "styles" / "ink.safetensors"
    return [LoraRef(neon, 0.8, 0.5), LoraRef(ink, -0.4, blocks=(("MID", 0.5),))]


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.bfloat16])
@pytest.mark.parametrize("prediction", ["epsilon", "v", "v-zsnr"])
def test_a_checkpoint_opens_as_the_live_weights(
    dtype: torch.dtype, prediction: Any, stack, tiny_checkpoint: Path, tmp_path: Path
) -> None:
    model = opened(tiny_checkpoint, dtype, prediction=prediction)
    switcher = switcher_of(model)
    switcher.apply(stack)
    path = tmp_path / "baked.safetensors"
    own = read_header(tiny_checkpoint).metadata[METADATA_KEY]
    copy_tokenizer(model, path)
    size = bake_checkpoint(model, path, {METADATA_KEY: own})
    assert path.stat().st_size == size
    again = opened(path, dtype)
    assert again.prediction == prediction
    live, baked = weights(model), weights(again)
    assert live.keys() == baked.keys()
    for name, weight in live.items():
        assert torch.equal(weight, baked[name]), name
    switcher.apply([])
    assert switcher.verify().different == ()
    assert set(tmp_path.iterdir()) == {path, tmp_path / "tokenizer"}


def test_no_file_is_replaced_and_none_is_left_half(stack, tiny_checkpoint, tmp_path) -> None:
    model = opened(tiny_checkpoint, torch.float16)
    path = tmp_path / "there.safetensors"
    path.write_bytes(b"mine")
    for target in (path, tmp_path / "no" / "folder.safetensors"):
        with pytest.raises(EngineError):
            bake_checkpoint(model, target, {})
    assert path.read_bytes() == b"mine"

    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        bake_checkpoint(model, tmp_path / "new.safetensors", {}, stop)
    assert list(tmp_path.iterdir()) == [path]


def change_of(stack, tiny_checkpoint: Path) -> dict[str, np.ndarray]:
    """The stack's changes by kohya's names, in float64 and by NumPy alone."""
    changes: dict[str, np.ndarray] = {}
    for ref in stack:
        tensors = load_file(ref.path)
        for key in tensors:
            module, ending, _ = key.partition(".lora_up.weight")
            if not ending:
                continue
            up, down = tensors[key].double().numpy(), tensors[f"{module}.lora_down.weight"]
            alpha = float(tensors[f"{module}.alpha"])
            strength = ref.unet if "_unet_" in module else ref.text_encoder
            if "middle_block" in module:
                strength *= dict(ref.blocks).get("MID", 1.0)
            delta = up @ down.double().numpy() * (alpha / up.shape[1] * strength)
            changes[module] = changes.get(module, 0) + delta
    return changes


@pytest.mark.parametrize("rank", [1, 3, 16])
def test_a_lora_is_the_best_of_its_rank_and_says_how_far_it_is_off(
    rank: int, stack, tiny_checkpoint: Path, tmp_path: Path
) -> None:
    model = opened(tiny_checkpoint, torch.float32)
    parts = {str(part): module for part, module in model.modules.items() if part != "vae"}
    path = tmp_path / "one.safetensors"
    baked = bake_lora(parts, stack, rank, path, {}, dtype=torch.float32)
    tensors, reference = load_file(path), change_of(stack, tiny_checkpoint)
    assert {module.name for module in baked.modules} == set(reference)
    off = whole = 0.0
    for module in baked.modules:
        wanted = reference[module.name]
        up = tensors[f"{module.name}.lora_up.weight"].double().numpy()
        down = tensors[f"{module.name}.lora_down.weight"].double().numpy()
        assert up.shape[1] <= rank
        difference = wanted - up @ down
        values = np.linalg.svd(wanted, compute_uv=False)
        best = np.sqrt((values[rank:] ** 2).sum())
        norm = np.linalg.norm(wanted)
        assert np.linalg.norm(difference) == pytest.approx(best, abs=1e-5 * norm)
        assert module.relative == pytest.approx(np.linalg.norm(difference) / norm, abs=1e-6)
        assert module.largest == pytest.approx(np.abs(difference).max(), abs=1e-6)
        off, whole = off + np.linalg.norm(difference) ** 2, whole + norm**2
    assert baked.relative == pytest.approx(np.sqrt(off / whole), abs=1e-6)
    if rank == 16:
        assert baked.relative < 1e-6, "the ranks of both together are 4"


def test_the_baked_lora_switches_as_the_stack(stack, tiny_checkpoint, tmp_path) -> None:
    model = opened(tiny_checkpoint, torch.float32)
    parts = {str(part): module for part, module in model.modules.items() if part != "vae"}
    path = tmp_path / "one.safetensors"
    bake_lora(parts, stack, 8, path, {}, dtype=torch.float32)
    switcher = switcher_of(model)
    switcher.apply(stack)
    wanted = weights(model)
    switcher.apply([LoraRef(path)])
    for name, weight in weights(model).items():
        torch.testing.assert_close(weight, wanted[name], atol=1e-5, rtol=1e-4)


def test_other_kinds_of_changes_are_resized_too(tiny_checkpoint, tmp_path, capsys) -> None:
    """A LoHa, a bias and a norm's weight."""
    generator = torch.Generator().manual_seed(1)
    module = "lora_unet_input_blocks_4_1_proj_in"
    with safe_open(tiny_checkpoint, framework="pt") as file:
        rows, columns, *_ = file.get_slice(
            "model.diffusion_model.input_blocks.4.1.proj_in.weight"
        ).get_shape()
    factors = {
        f"{module}.hada_w1_a": (rows, 2), f"{module}.hada_w1_b": (2, columns),
        f"{module}.hada_w2_a": (rows, 2), f"{module}.hada_w2_b": (2, columns),
        f"{module}.diff_b": (rows,),
    }  # fmt: skip
    tensors = {key: torch.randn(shape, generator=generator) for key, shape in factors.items()}
    tensors[f"{module}.alpha"] = torch.tensor(2.0)
    source = tmp_path / "loha.safetensors"
    save_file(tensors, source, {"ss_base_model_version": "sdxl_base_v1-0"})
    target = tmp_path / "plain.safetensors"
    words = ["--model", str(tiny_checkpoint), "--rank", "4", "--json"]
    assert main(["resize", str(source), str(target), *words]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["relative_error"] < 1e-3, "a Hadamard product of rank 2 by 2 has rank 4"
    again = load_file(target)
    up, down = again[f"{module}.lora_up.weight"], again[f"{module}.lora_down.weight"]
    wanted = (tensors[f"{module}.hada_w1_a"] @ tensors[f"{module}.hada_w1_b"]) * (
        tensors[f"{module}.hada_w2_a"] @ tensors[f"{module}.hada_w2_b"]
    )
    torch.testing.assert_close(
        up.float().flatten(1) @ down.float().flatten(1), wanted, atol=0.02, rtol=0.01
    )
    torch.testing.assert_close(
        again[f"{module}.diff_b"].float(), tensors[f"{module}.diff_b"], atol=2e-3, rtol=1e-3
    )


def test_the_command_writes_the_recipe(tiny_checkpoint, tiny_loras, tmp_path, capsys) -> None:
    path = tmp_path / "neon.safetensors"
    words = ["--model", str(tiny_checkpoint), "--loras", str(tiny_loras), "--lora", "neon:0.8:0.5"]
    assert main(["bake", str(path), *words, "--dtype", "float16"]) == 0
    assert "checkpoint" in capsys.readouterr().out
    said = json.loads(read_header(path).metadata[RECIPE_KEY])
    assert (said["model"], [one["name"] for one in said["stack"]]) == ("tiny", ["neon"])
    assert (said["stack"][0]["unet"], said["stack"][0]["text_encoder"]) == (0.8, 0.5)
    assert main(["bake", str(path), *words]) == 1
    assert "is there already" in capsys.readouterr().err
    assert main(["bake", str(tmp_path / "x.ckpt"), *words]) == 2


def test_a_strength_that_changes_over_the_steps_cannot_be_baked(stack) -> None:
    require_steady(stack)
    with pytest.raises(EngineError, match="changes over the steps"):
        require_steady([LoraRef("/a.safetensors", course=Course(end=0.5))])
