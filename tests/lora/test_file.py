"""One LoRA file: what is read from it and beside it, and what is refused."""

from __future__ import annotations

import json
import os
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from engine.errors import EngineError, FileFormatError, LoraRefusedError
from engine.lora.families import build_weight
from engine.lora.file import FileStamp, read_lora, read_lora_header

NAME = "lora_unet_input_blocks_4_1_transformer_blocks_0_attn2_to_k"
PATH = "unet.down_blocks.1.attentions.0.transformer_blocks.0.attn2.to_k"


def plain(name: str = NAME, dtype: torch.dtype = torch.float16) -> dict[str, torch.Tensor]:
    return {
        f"{name}.lora_down.weight": torch.full((4, 48), 0.5, dtype=dtype),
        f"{name}.lora_up.weight": torch.full((32, 4), 0.25, dtype=dtype),
    }


def write(path: Path, tensors: dict[str, torch.Tensor], **metadata: str) -> Path:
    save_file(tensors, path, metadata)
    return path


def refusal(path: Path) -> str:
    with pytest.raises(EngineError) as caught:
        read_lora(read_lora_header(path))
    assert str(caught.value).endswith(".")
    return str(caught.value)


def test_header_alone_has_the_shapes_of_the_values(tmp_path: Path) -> None:
    tensors = plain() | {f"{NAME}.alpha": torch.tensor(2.0)}
    opened = read_lora_header(write(tmp_path / "a.safetensors", tensors))
    read = read_lora(opened)
    assert opened.bytes == 0
    values = sum(tensor.nbytes for tensor in tensors.values())
    assert values <= read.bytes < values + 64 * len(tensors), "what is held; tensors are aligned"
    for role, tensor in read.modules[NAME].items():
        assert opened.modules[NAME][role].is_meta
        assert opened.modules[NAME][role].shape == tensor.shape
    assert float(read.modules[NAME]["alpha"]) == 2.0
    assert torch.equal(read.modules[NAME]["down"], tensors[f"{NAME}.lora_down.weight"])


@pytest.mark.parametrize(
    "dtype",
    [torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.float8_e4m3fn,
     torch.float8_e5m2],
)  # fmt: skip
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_values_that_are_not_finite_are_refused(
    tmp_path: Path, dtype: torch.dtype, value: float
) -> None:
    path = write(tmp_path / "good.safetensors", plain(dtype=dtype))
    assert read_lora(read_lora_header(path)).modules[NAME]["up"].dtype == dtype
    tensors = plain(dtype=torch.float32)
    tensors[f"{NAME}.lora_up.weight"][3, 2] = value
    tensors = {key: tensor.to(dtype) for key, tensor in tensors.items()}
    if tensors[f"{NAME}.lora_up.weight"].float().isfinite().all():
        return  # float8_e4m3fn has no infinity
    message = refusal(write(tmp_path / "bad.safetensors", tensors))
    assert "not finite" in message
    assert NAME in message


def test_an_infinite_alpha_counts_where_it_is_used(tmp_path: Path) -> None:
    """ai-toolkit's LoKr of two whole factors has an alpha that float16 cannot hold."""
    alpha = {f"{NAME}.alpha": torch.tensor(9_999_999_999).half()}
    whole = {f"{NAME}.lokr_w1": torch.ones(4, 4), f"{NAME}.lokr_w2": torch.ones(8, 12)}
    file = read_lora(read_lora_header(write(tmp_path / "whole.safetensors", whole | alpha)))
    adapter = build_weight(file.modules[NAME], torch.Size((32, 48)))
    assert adapter is not None
    assert torch.equal(adapter.delta(torch.zeros(32, 48), 0.5), torch.full((32, 48), 0.5))
    factored = {
        f"{NAME}.lokr_w1": torch.ones(4, 4),
        f"{NAME}.lokr_w2_a": torch.ones(8, 2),
        f"{NAME}.lokr_w2_b": torch.ones(2, 12),
    }
    for number, tensors in enumerate((factored, plain())):
        assert "not finite" in refusal(write(tmp_path / f"{number}.safetensors", tensors | alpha))


def test_bundled_embeddings_and_unknown_keys_are_kept_apart(tmp_path: Path) -> None:
    tensors = plain() | {
        "bundle_emb.style.clip_l": torch.full((2, 16), 3.0),
        "bundle_emb.style.clip_g": torch.full((2, 32), 4.0),
        "stray.weight": torch.zeros(2),
    }
    file = read_lora(read_lora_header(write(tmp_path / "a.safetensors", tensors)))
    assert list(file.modules) == [NAME]
    assert {role: float(t[0, 0]) for role, t in file.embeddings["style"].items()} == {
        "clip_l": 3.0,
        "clip_g": 4.0,
    }
    assert file.unknown == ("stray.weight",)


@pytest.mark.parametrize(
    ("tensors", "words"),
    [
        ({"model.diffusion_model.input_blocks.0.0.weight": torch.zeros(4, 4, 3, 3)},
         "a UNet alone"),
        ({"decoder.conv_in.weight": torch.zeros(4, 4, 3, 3)}, "a VAE"),
        ({"clip_l": torch.zeros(2, 16), "clip_g": torch.zeros(2, 32)}, "a textual inversion"),
        ({"emb_params": torch.zeros(2, 16)}, "a textual inversion"),
        ({"something": torch.zeros(2)}, "no LoRA"),
        ({f"{NAME}.alpha": torch.zeros(())}, "a LoRA in a form that is not known here"),
    ],
)  # fmt: skip
def test_other_files_are_named(
    tmp_path: Path, tensors: dict[str, torch.Tensor], words: str
) -> None:
    path = write(tmp_path / "a.safetensors", tensors)
    with pytest.raises(LoraRefusedError, match=words):
        read_lora_header(path)


def test_a_file_that_changes_while_it_is_read_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.safetensors", plain())
    opened = read_lora_header(path)
    write(path, plain() | {f"{NAME}.alpha": torch.tensor(1.0)})
    with pytest.raises(FileFormatError, match="changed"):
        read_lora(opened)
    opened = read_lora_header(path)
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(FileFormatError, match="ended"):
        read_lora(opened)
    path.unlink()
    with pytest.raises(FileFormatError, match="no such file"):
        read_lora(opened)


def peft(config: object) -> tuple[dict[str, torch.Tensor], str]:
    tensors = {
        f"{PATH}.lora_A.weight": torch.zeros(4, 48),
        f"{PATH}.lora_B.weight": torch.zeros(32, 4),
    }
    return tensors, config if isinstance(config, str) else json.dumps(config)


def scale_of(path: Path, name: str = PATH) -> float | None:
    scale = read_lora(read_lora_header(path)).modules[name].get("scale")
    return None if scale is None else float(scale)


@pytest.mark.parametrize(
    ("config", "scale"),
    [
        ({"unet.r": 4, "unet.lora_alpha": 2}, 0.5),
        ({"unet.r": 4, "unet.lora_alpha": 2, "unet.use_rslora": True}, 1.0),
        ({"r": 8, "lora_alpha": 2}, 0.25),
        ({"r": 8, "alpha": 4}, 0.5),
        ({"text_encoder.r": 4, "text_encoder.lora_alpha": 2}, None),
        ({"unet.r": 4, "unet.lora_alpha": 2, "unet.alpha_pattern": {"to_k": 8}}, 2.0),
        ({"unet.r": 4, "unet.lora_alpha": 2, "unet.alpha_pattern": {"o_k": 8}}, 0.5),
        ({"unet.r": 4, "unet.lora_alpha": 2, "unet.alpha_pattern": {"^to_k": 8}}, 0.5),
        ({"unet.r": 4, "unet.lora_alpha": 2, "unet.alpha_pattern": {r"attn2\.to_k$": 8}}, 2.0),
        ({"unet.r": 4, "unet.lora_alpha": 2, "unet.rank_pattern": {"attn2.to_k": 1}}, 2.0),
        ({}, None),
    ],
)
def test_scale_from_the_metadata(tmp_path: Path, config: object, scale: float | None) -> None:
    tensors, text = peft(config)
    path = write(tmp_path / "a.safetensors", tensors, lora_adapter_metadata=text)
    assert scale_of(path) == scale


def test_the_first_pattern_that_names_a_module_counts(tmp_path: Path) -> None:
    both = {"to_k": 8, "^" + PATH.removeprefix("unet."): 6, "attn2.to_k": 4}
    for order in permutations(both):
        patterns = {pattern: both[pattern] for pattern in order}
        tensors, text = peft({"unet.r": 4, "unet.lora_alpha": 2, "unet.alpha_pattern": patterns})
        path = write(tmp_path / "a.safetensors", tensors, lora_adapter_metadata=text)
        assert scale_of(path) == both[order[0]] / 4


@pytest.mark.parametrize(
    "config",
    [
        "not json",
        "[1]",
        "[" * 100_000,
        {"unet.r": 0, "unet.lora_alpha": 2},
        {"unet.r": "4", "unet.lora_alpha": 2},
        {"unet.r": 4, "unet.lora_alpha": float("nan")},
        {"unet.r": 4, "unet.lora_alpha": None},
        {"unet.r": 4, "unet.lora_alpha": True},
        {"unet.r": 4, "unet.lora_alpha": 10**401},
        {"unet.r": 4, "unet.lora_alpha": 1e300},
        {"unet.r": 10**401, "unet.lora_alpha": 2},
        {"unet.r": 1e-300, "unet.lora_alpha": 2},
        {"unet.r": float("inf"), "unet.lora_alpha": 2},
        '{"unet.r": 4, "unet.lora_alpha": ' + "9" * 5000 + "}",
        {"unet.r": 4, "unet.lora_alpha": 2, "unet.rank_pattern": {"to_k": -(10**401)}},
        {"unet.r": 4, "unet.lora_alpha": 2, "unet.alpha_pattern": [1]},
        {"unet.r": 4, "unet.lora_alpha": 2, "unet.alpha_pattern": {"(a+)+": 3}},
    ],
    ids=lambda config: str(config)[:50],
)
def test_senseless_configurations_are_refused(tmp_path: Path, config: object) -> None:
    tensors, text = peft(config)
    path = write(tmp_path / "a.safetensors", tensors, lora_adapter_metadata=text)
    with pytest.raises(FileFormatError):
        read_lora_header(path)


@pytest.mark.parametrize(
    "config",
    [
        {"r": 4, "lora_alpha": 2, "init_lora_weights": "pissa"},
        {"r": 4, "lora_alpha": 2, "init_lora_weights": "pissa_niter_16"},
        {"unet.r": 4, "unet.lora_alpha": 2, "unet.init_lora_weights": "OLoRA"},
        {"r": 4, "lora_alpha": 2, "init_lora_weights": "corda"},
        {"r": 4, "lora_alpha": 2, "init_lora_weights": "loftq"},
        {"r": 4, "lora_alpha": 2, "init_lora_weights": "lora_ga"},
        {"r": 4, "lora_alpha": 2, "kasa_config": {"beta": 1e-4}},
    ],
    ids=lambda config: " ".join(map(str, config.values())),
)
def test_factors_trained_beside_other_weights_are_refused(
    tmp_path: Path, config: dict[str, Any]
) -> None:
    """PEFT takes what they began as out of the model's weights when it loads them."""
    tensors, text = peft(config)
    path = write(tmp_path / "a.safetensors", tensors, lora_adapter_metadata=text)
    assert "model's own weights" in refusal(path)


@pytest.mark.parametrize("began", [True, False, "gaussian", "eva", "orthogonal", "mica", None])
def test_factors_trained_beside_the_models_own_weights_are_taken(
    tmp_path: Path, began: object
) -> None:
    config = {"r": 4, "lora_alpha": 2, "init_lora_weights": began, "kasa_config": None}
    tensors, text = peft(config)
    path = write(tmp_path / "a.safetensors", tensors, lora_adapter_metadata=text)
    assert scale_of(path) == 0.5


def test_alpha_in_the_file_comes_first(tmp_path: Path) -> None:
    tensors, text = peft({"unet.r": 4, "unet.lora_alpha": 2})
    tensors[f"{PATH}.alpha"] = torch.tensor(3.0)
    path = write(tmp_path / "a.safetensors", tensors, lora_adapter_metadata=text)
    assert scale_of(path) is None


def test_configuration_beside_the_file(tmp_path: Path) -> None:
    tensors, text = peft({"r": 4, "lora_alpha": 2})
    config = tmp_path / "adapter_config.json"
    config.write_text(text, "utf-8")
    path = write(tmp_path / "adapter_model.safetensors", tensors)
    assert scale_of(path) == 0.5
    stamp = FileStamp.of(path)
    config.write_text(json.dumps({"r": 4, "lora_alpha": 8}), "utf-8")
    os.utime(config, ns=(1, 1))
    assert scale_of(path) == 2.0
    assert FileStamp.of(path) != stamp, "the file means something else now"
    # In a folder of several it says nothing of the others.
    other = write(tmp_path / "other.safetensors", tensors)
    assert scale_of(other) is None
    path.unlink()
    assert scale_of(other) == 2.0
    config.write_bytes(b"\xff\xfe")
    with pytest.raises(FileFormatError, match="not JSON"):
        read_lora_header(other)


@pytest.mark.parametrize("kind", ["a link to nowhere", "a link to itself", "a pipe"])
def test_a_configuration_that_cannot_be_read_is_not_passed_over(tmp_path: Path, kind: str) -> None:
    """As in a download of links that is not whole: the scale would be another one."""
    tensors, _ = peft({})
    path = write(tmp_path / "adapter_model.safetensors", tensors)
    config = tmp_path / "adapter_config.json"
    if kind == "a pipe":
        os.mkfifo(config)
    else:
        config.symlink_to("nowhere" if "nowhere" in kind else config)
    with pytest.raises(
        FileFormatError, match=r"adapter_config\.json.* (cannot be read|is not a file)"
    ):
        read_lora_header(path)
    config.unlink()
    read_lora_header(path)


@pytest.mark.parametrize(
    ("config", "numbers"),
    [
        ({"use_cayley_neumann": False}, {"neumann_terms": 0.0}),
        ({"use_cayley_neumann": True, "num_cayley_neumann_terms": 7}, {"neumann_terms": 7.0}),
        ({"coft": True, "eps": 0.5}, {"coft_eps": 0.5}),
        ({"coft": False, "eps": 0.5}, {}),
    ],
)
def test_variant_of_a_rotation(
    tmp_path: Path, config: dict[str, Any], numbers: dict[str, float]
) -> None:
    tensors = {f"{PATH}.oft_R.weight": torch.zeros(6, 28)}
    path = write(tmp_path / "a.safetensors", tensors, lora_adapter_metadata=json.dumps(config))
    roles = read_lora(read_lora_header(path)).modules[PATH]
    assert {role: float(t) for role, t in roles.items() if role != "oft_R"} == numbers


def test_endless_series_is_refused(tmp_path: Path) -> None:
    tensors = {f"{PATH}.oft_R.weight": torch.zeros(6, 28)}
    config = json.dumps({"num_cayley_neumann_terms": 10**9})
    path = write(tmp_path / "a.safetensors", tensors, lora_adapter_metadata=config)
    assert "num_cayley_neumann_terms" in refusal(path)


def test_root_scaling_of_glora_stands_in_the_metadata(tmp_path: Path) -> None:
    tensors = {f"{NAME}.{role}.weight": torch.zeros(4, 4) for role in ("a1", "a2", "b1", "b2")}
    arguments = json.dumps({"algo": "glora", "rs_lora": "True"})
    path = write(tmp_path / "a.safetensors", tensors, ss_network_args=arguments)
    assert "rs_lora" in read_lora_header(path).modules[NAME]
    path = write(tmp_path / "b.safetensors", tensors, ss_network_args="{broken")
    assert "rs_lora" not in read_lora_header(path).modules[NAME]
