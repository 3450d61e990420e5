"""What a LoRA does, against whole deltas in float64."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from engine.lora.effect import effect_of, likeness

IN_4 = "lora_unet_input_blocks_4_1_transformer_blocks_0_attn2_to_k"
THE_SAME = "unet.down_blocks.1.attentions.0.transformer_blocks.0.attn2.to_k"
MIDDLE = "lora_unet_middle_block_1_transformer_blocks_0_attn1_to_q"
CONVOLUTION = "lora_unet_output_blocks_2_0_in_layers_2"
TEXT = "lora_te1_text_model_encoder_layers_0_mlp_fc1"


def factors(seed: int, out: int = 24, rank: int = 4, width: int = 16) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    up = torch.randn(out, rank, generator=generator)
    return {"up": up, "down": torch.randn(rank, width, generator=generator)}


def write(path: Path, modules: dict[str, dict[str, torch.Tensor]], dtype: torch.dtype) -> Path:
    names = {"up": "lora_up.weight", "down": "lora_down.weight"}
    if next(iter(modules)).startswith("unet."):
        names = {"up": "lora_B.weight", "down": "lora_A.weight"}
    tensors = {
        f"{module}.{names.get(role, role)}": tensor.to(dtype).contiguous()
        for module, roles in modules.items()
        for role, tensor in roles.items()
    }
    save_file(tensors, path)
    return path


def whole(roles: dict[str, torch.Tensor], dtype: torch.dtype, scale: float = 1.0) -> np.ndarray:
    up, down = (roles[role].to(dtype).double().flatten(1).numpy() for role in ("up", "down"))
    return scale * (up @ down)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_shares_and_length_are_those_of_the_whole_deltas(tmp_path: Path, dtype) -> None:
    modules = {IN_4: factors(1), MIDDLE: factors(2), TEXT: factors(3), CONVOLUTION: factors(4)}
    modules[CONVOLUTION] = {
        "up": modules[CONVOLUTION]["up"][:, :, None, None],
        "down": torch.randn(4, 6, 3, 3, generator=torch.Generator().manual_seed(5)),
    }
    modules[IN_4]["alpha"] = torch.tensor(2.0)
    effect = effect_of(write(tmp_path / "a.safetensors", modules, dtype))
    squares = {
        "TE1": np.square(whole(modules[TEXT], dtype)).sum(),
        "IN04": np.square(whole(modules[IN_4], dtype, scale=0.5)).sum(),
        "MID": np.square(whole(modules[MIDDLE], dtype)).sum(),
        "OUT02": np.square(whole(modules[CONVOLUTION], dtype)).sum(),
    }
    total = sum(squares.values())
    assert effect.length == pytest.approx(total**0.5, rel=1e-12)
    assert [name for name, _ in effect.blocks] == list(squares)
    expected = [square / total for square in squares.values()]
    assert [share for _, share in effect.blocks] == pytest.approx(expected, rel=1e-12)
    assert (effect.modules, effect.left_out) == (4, 0)


def test_products_of_products_and_kronecker_products_count(tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(0)

    def random(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    a, b, c, d = random(12, 3), random(3, 10), random(12, 3), random(3, 10)
    hada = {"hada_w1_a": a, "hada_w1_b": b, "hada_w2_a": c, "hada_w2_b": d}
    one, two = random(3, 2), random(4, 5)
    tensors = {f"{IN_4}.{role}": tensor for role, tensor in hada.items()}
    tensors |= {f"{MIDDLE}.lokr_w1": one, f"{MIDDLE}.lokr_w2": two}
    save_file(tensors, tmp_path / "a.safetensors")
    squares = [((a @ b) * (c @ d)).square().sum(), torch.kron(one, two).square().sum()]
    effect = effect_of(tmp_path / "a.safetensors")
    assert effect.length == pytest.approx(float(sum(squares)) ** 0.5, rel=1e-12)
    assert effect.blocks[0] == ("IN04", pytest.approx(float(squares[0] / sum(squares))))


def test_what_depends_on_the_model_is_left_out_and_counted(tmp_path: Path) -> None:
    tensors = {f"{IN_4}.oft_blocks": torch.zeros(4, 4, 4), f"{MIDDLE}.diff": torch.ones(3, 3)}
    save_file(tensors, tmp_path / "a.safetensors")
    effect = effect_of(tmp_path / "a.safetensors")
    assert effect.blocks == (("MID", 1.0),)
    assert (effect.length, effect.modules, effect.left_out) == (3.0, 1, 1)


def test_likeness_is_the_cosine_on_shared_modules_in_any_spelling(tmp_path: Path) -> None:
    one, other, third = factors(1), factors(2, rank=7), factors(3)
    other["down"][:4] += one["down"]
    other["up"][:, :4] += one["up"]
    a = write(tmp_path / "a.safetensors", {IN_4: one, MIDDLE: third}, torch.float32)
    b = write(tmp_path / "b.safetensors", {THE_SAME: other}, torch.float32)
    first, second = whole(one, torch.float32), whole(other, torch.float32)
    cosine = np.vdot(first, second) / np.linalg.norm(first) / np.linalg.norm(second)
    found = likeness(a, b)
    assert found.shared == 1
    assert found.cosine == pytest.approx(cosine, rel=1e-9)
    assert abs(cosine) > 0.1
    assert likeness(a, a).cosine == pytest.approx(1.0)


def test_shapes_that_do_not_go_together_and_endless_ones_are_left_out(tmp_path: Path) -> None:
    tensors = {
        f"{IN_4}.lora_up.weight": torch.ones(8, 4),
        f"{IN_4}.lora_down.weight": torch.ones(5, 8),
        f"{MIDDLE}.lokr_w1": torch.ones(900, 900),
        f"{MIDDLE}.lokr_w2": torch.ones(900, 900),
        f"{TEXT}.lora_up.weight": torch.full((4, 2), float("nan")),
        f"{TEXT}.lora_down.weight": torch.ones(2, 4),
    }
    path = tmp_path / "a.safetensors"
    save_file(tensors, path)
    effect = effect_of(path)
    assert (effect.modules, effect.left_out, effect.blocks) == (0, 3, ())
    assert likeness(path, path).shared == 0
