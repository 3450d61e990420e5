"""The report on a LoRA before anything is touched: what it changes, and what of it is not used."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from engine.errors import LoraRefusedError
from engine.lora.file import read_lora_header
from engine.lora.targets import TargetTable
from engine.protocol.reports import LoraReport
from engine.switch.fit import fit
from tests.support.tiny_sdxl import make_parts

BLOCK = "lora_unet_input_blocks_4_1_transformer_blocks_0"
TO_K = f"{BLOCK}_attn2_to_k"
"""32x48, without a bias."""
TO_OUT = f"{BLOCK}_attn2_to_out_0"
"""32x32, with a bias."""
TE1_V = "lora_te1_text_model_encoder_layers_0_self_attn_v_proj"
"""16x16, with a bias."""


@pytest.fixture(scope="module")
def parts() -> dict[str, nn.Module]:
    return make_parts(torch.float16)


def lora(name: str, out: int, columns: int, rank: int = 4) -> dict[str, torch.Tensor]:
    return {
        f"{name}.lora_down.weight": torch.ones(rank, columns),
        f"{name}.lora_up.weight": torch.ones(out, rank),
    }


def loha(name: str, out: int, columns: int) -> dict[str, torch.Tensor]:
    shapes = {"w1_a": (out, 2), "w1_b": (2, columns), "w2_a": (out, 2), "w2_b": (2, columns)}
    return {f"{name}.hada_{role}": torch.ones(shape) for role, shape in shapes.items()}


def report_on(
    tensors: dict[str, torch.Tensor], parts: dict[str, nn.Module], folder: Path
) -> LoraReport:
    path = folder / "ink.safetensors"
    save_file(tensors, path, {"ss_base_model_version": "sdxl_base_v1-0"})
    _, report = fit(read_lora_header(path), TargetTable(parts), parts)
    return report


def test_a_whole_match_has_nothing_to_warn_of(parts: dict[str, nn.Module], tmp_path: Path) -> None:
    tensors = lora(TO_K, 32, 48) | lora(TE1_V, 16, 16) | {f"{TE1_V}.diff_b": torch.ones(16)}
    report = report_on(tensors, parts, tmp_path)
    assert (report.matched, report.modules, report.warnings) == (2, 2, ())
    assert report.base_model == "SDXL"
    assert report.base_evidence == "ss_base_model_version: sdxl_base_v1-0"
    found = {part.part: (part.modules, part.bytes) for part in report.parts}
    # The bias counts as well: it is written.
    assert found == {"unet": (1, 32 * 48 * 2), "text_encoder": (1, (16 * 16 + 16) * 2)}
    assert report.bytes == 32 * 48 * 2 + 16 * 17 * 2


def test_each_thing_left_over_is_counted_and_named(
    parts: dict[str, nn.Module], tmp_path: Path
) -> None:
    stray = "lora_unet_input_blocks_44_1_proj_in"
    tensors = (
        lora(TO_K, 32, 48)
        | {f"{TO_K}.diff_b": torch.ones(32)}
        | {f"{BLOCK}_attn1_to_q.diff_b": torch.ones(32)}
        | lora(stray, 32, 32)
        | {f"{TO_OUT}.lora_down.weight": torch.ones(4, 32)}
        | {"bundle_emb.twig.clip_l": torch.ones(2, 16), "bundle_emb.twig.clip_g": torch.ones(2, 32)}
        | {"odd.key": torch.ones(1)}
    )
    report = report_on(tensors, parts, tmp_path)
    assert (report.matched, report.modules) == (1, 4)
    assert report.unmatched == (stray,)
    assert report.unsupported == (TO_OUT,)
    assert report.dropped_biases == (TO_K,)
    assert report.biases_alone == (f"{BLOCK}_attn1_to_q",)
    assert report.embeddings == ("twig",)
    assert report.unknown_keys == ("odd.key",)
    assert report.bytes == 32 * 48 * 2
    assert len(report.warnings) == 5
    for name in (stray, TO_OUT, TO_K, "attn1_to_q", "odd.key"):
        assert sum(f"{name})." in warning for warning in report.warnings) == 1
    assert report.warnings[0] == f"ink: 1 of 4 modules are not in the model (such as {stray})."


def test_a_weight_under_two_names_is_changed_once_and_said(
    parts: dict[str, nn.Module], tmp_path: Path
) -> None:
    other = "unet.down_blocks.1.attentions.0.transformer_blocks.0.attn2.to_k"
    report = report_on(lora(TO_K, 32, 48) | lora(other, 32, 48), parts, tmp_path)
    assert (report.matched, report.modules, report.unsupported) == (1, 2, ())
    # safetensors writes tensors in the order of their names.
    assert report.twice == (other,)
    assert report.warnings == (
        "ink: 1 of 2 modules are left out, another name of their weight came first "
        f"(such as {other}).",
    )


@pytest.mark.parametrize("role", ["lora_up", "lora_down"])
def test_half_an_adapter_is_refused_with_what_there_is(
    role: str, parts: dict[str, nn.Module], tmp_path: Path
) -> None:
    half = {f"{TO_K}.{role}.weight": lora(TO_K, 32, 48)[f"{TO_K}.{role}.weight"]}
    with pytest.raises(
        LoraRefusedError, match=rf"{TO_K}, incomplete .* has \.{role}\.weight alone"
    ):
        report_on(half, parts, tmp_path)


def test_what_lies_beside_an_adapter_is_merged_or_named(
    parts: dict[str, nn.Module], tmp_path: Path
) -> None:
    merged = {f"{TO_OUT}.diff": torch.ones(32, 32), f"{TO_OUT}.diff_b": torch.ones(32)}
    report = report_on(lora(TO_OUT, 32, 32) | merged, parts, tmp_path)
    assert (report.matched, report.left_over, report.warnings) == (1, (), ())
    odd = {f"{TO_OUT}.rescale": torch.ones(32), f"{TO_OUT}.weight": torch.ones(32, 32)}
    report = report_on(lora(TO_OUT, 32, 32) | merged | odd, parts, tmp_path)
    assert set(report.left_over) == set(odd)
    (warning,) = report.warnings
    assert warning.startswith("ink: 2 tensors beside those of an adapter are of no use here")
    assert any(f"(such as {key})." in warning for key in odd)


def empty(name: str, out: int, columns: int, family: str) -> dict[str, torch.Tensor]:
    """A module whose factors have nothing between them."""
    if family == "LoRA":
        return lora(name, out, columns, rank=0) | {f"{name}.alpha": torch.tensor(4.0)}
    if family == "LoHa":
        return {key: tensor[:, :0] if key.endswith("_a") else tensor[:0]
                for key, tensor in loha(name, out, columns).items()}  # fmt: skip
    return {
        f"{name}.lokr_w1": torch.ones(2, 2),
        f"{name}.lokr_w2_a": torch.ones(out // 2, 0),
        f"{name}.lokr_w2_b": torch.ones(0, columns // 2),
    }


@pytest.mark.parametrize("family", ["LoRA", "LoHa", "LoKr"])
def test_modules_of_rank_0_are_said_to_change_nothing(
    parts: dict[str, nn.Module], tmp_path: Path, family: str
) -> None:
    nothing = empty(TO_OUT, 32, 32, family)
    report = report_on(lora(TO_K, 32, 48) | nothing, parts, tmp_path)
    assert (report.matched, report.modules, report.empty) == (1, 2, (TO_OUT,))
    assert report.warnings == (
        f"ink: 1 of 2 modules have rank 0 and change nothing (such as {TO_OUT}).",
    )
    with pytest.raises(LoraRefusedError, match="all of its 1 modules have rank 0"):
        report_on(nothing, parts, tmp_path)


def test_rank_0_beside_something_else_is_no_emptiness(
    parts: dict[str, nn.Module], tmp_path: Path
) -> None:
    for more in ({f"{TO_OUT}.diff": torch.ones(32, 32)}, {f"{TO_OUT}.dora_scale": torch.ones(32)}):
        report = report_on(lora(TO_OUT, 32, 32, rank=0) | more, parts, tmp_path)
        assert (report.matched, report.empty, report.warnings) == (1, (), ())


def test_of_nested_adapters_that_look_at_the_weight_one_is_left_out(
    parts: dict[str, nn.Module], tmp_path: Path
) -> None:
    """The outer one was trained on what the inner had made of the weight."""
    name = "unet.down_blocks.1.attentions.0.transformer_blocks.0.attn2.to_k"
    inner = lora(f"{name}.base_layer", 32, 48)
    for outer in (
        lora(name, 32, 48) | {f"{name}.lora_magnitude_vector": torch.ones(32)},
        {f"{name}.oft_R.weight": torch.ones(12, 6)},
    ):
        report = report_on(inner | outer, parts, tmp_path)
        assert (report.matched, report.modules, len(report.twice)) == (1, 2, 1)


def test_an_alpha_in_the_metadata_alone_is_said_to_be_of_no_use(
    parts: dict[str, nn.Module], tmp_path: Path
) -> None:
    def remarks(tensors: dict[str, torch.Tensor], **metadata: str) -> tuple[str, ...]:
        path = tmp_path / "ink.safetensors"
        save_file(tensors, path, metadata)
        _, report = fit(read_lora_header(path), TargetTable(parts), parts)
        assert report.warnings == tuple(f"ink: {remark}" for remark in report.remarks)
        return report.remarks

    bare = lora(TO_K, 32, 48, rank=4)
    for key in ("network_alpha", "ss_network_alpha", "lora_alpha"):
        (remark,) = remarks(bare, **{key: "2"})
        assert remark.startswith(f"its metadata has an alpha of 2 ({key}), which no program")
    assert remarks(bare, network_alpha="4.0") == ()
    for nonsense in ("None", "nan", "", "\x1b[31m"):
        assert remarks(bare, network_alpha=nonsense) == ()
    for role in ("alpha", "scale"):
        assert remarks(bare | {f"{TO_K}.{role}": torch.tensor(1.0)}, network_alpha="2") == ()
    assert remarks(loha(TO_K, 32, 48), network_alpha="8") == ()
    config = json.dumps({"unet.lora_alpha": 2, "unet.r": 4})
    assert remarks(bare, network_alpha="8", lora_adapter_metadata=config) == ()


def test_names_of_strangers_cannot_act_on_a_terminal(
    parts: dict[str, nn.Module], tmp_path: Path
) -> None:
    evil = "evil\x1b]52;c;AAAA\x07\x9b31m"
    tensors = lora(TO_K, 32, 48) | lora(evil, 2, 2) | {f"{evil}.junk": torch.ones(1)}
    report = report_on(tensors, parts, tmp_path)
    assert report.unmatched == (evil,)
    assert len(report.warnings) == 2
    assert all(warning.isprintable() and "evil" in warning for warning in report.warnings)
    with pytest.raises(LoraRefusedError) as refusal:
        report_on(lora(evil, 2, 2), parts, tmp_path)
    assert str(refusal.value).isprintable()
    assert "evil" in str(refusal.value)


@pytest.mark.parametrize("role", ["alpha", "scale"])
@pytest.mark.parametrize("shape", [(0,), (2,), (1, 2)])
def test_a_number_that_is_none_is_refused(
    parts: dict[str, nn.Module], tmp_path: Path, role: str, shape: tuple[int, ...]
) -> None:
    tensors = lora(TO_K, 32, 48) | {f"{TO_K}.{role}": torch.ones(shape)}
    with pytest.raises(LoraRefusedError) as refusal:
        report_on(tensors, parts, tmp_path)
    sentence = f"{TO_K} is damaged: its {role} has the shape {'x'.join(map(str, shape))}, which is"
    assert sentence in str(refusal.value)
    report_on(lora(TO_K, 32, 48) | {f"{TO_K}.{role}": torch.ones(1)}, parts, tmp_path)


@pytest.mark.parametrize("ending", ["weight_scale", "scale_weight"])
def test_quantized_factors_are_refused(
    parts: dict[str, nn.Module], tmp_path: Path, ending: str
) -> None:
    """Without their scales they would be other numbers."""
    tensors = {key: t.to(torch.float8_e4m3fn) for key, t in lora(TO_K, 32, 48).items()}
    scales = {f"{TO_K}.lora_{role}.{ending}": torch.tensor(0.1) for role in ("down", "up")}
    with pytest.raises(LoraRefusedError, match="quantized"):
        report_on(tensors | scales, parts, tmp_path)


def test_the_first_text_encoder_without_a_number(
    parts: dict[str, nn.Module], tmp_path: Path
) -> None:
    name = "lora_te_text_model_encoder_layers_0_self_attn_v_proj"
    report = report_on(lora(TO_K, 32, 48) | lora(name, 16, 16), parts, tmp_path)
    assert {part.part: part.modules for part in report.parts} == {"unet": 1, "text_encoder": 1}


@pytest.mark.parametrize("dtype", [torch.float8_e4m3fn, torch.float8_e5m2, torch.int8], ids=str)
def test_weights_of_a_few_bits_are_refused_before_anything_is_touched(
    tmp_path: Path, dtype: torch.dtype
) -> None:
    parts = make_parts(torch.float16)
    layer = parts["unet"].get_submodule(
        "down_blocks.1.attentions.0.transformer_blocks.0.attn2.to_k"
    )
    layer.weight = nn.Parameter(layer.weight.detach().to(dtype), requires_grad=False)
    kind = str(dtype).removeprefix("torch.")
    with pytest.raises(LoraRefusedError, match=rf"the model has in {kind}, .*; load the model in"):
        report_on(lora(TO_K, 32, 48) | lora(TO_OUT, 32, 32), parts, tmp_path)
    assert report_on(lora(TO_OUT, 32, 32), parts, tmp_path).matched == 1


def test_scratch_is_that_of_the_largest_merge(parts: dict[str, nn.Module], tmp_path: Path) -> None:
    small = report_on(lora(TO_OUT, 32, 32), parts, tmp_path)
    assert small.scratch_bytes == 4 * (32 * 32 + 2 * 4 * 32)
    both = report_on(lora(TO_OUT, 32, 32) | loha(TO_K, 32, 48), parts, tmp_path)
    assert both.scratch_bytes == 4 * 5 * 32 * 48


def test_misfits_are_counted(parts: dict[str, nn.Module], tmp_path: Path) -> None:
    tensors = lora(TO_K, 32, 50) | lora(TO_OUT, 64, 32) | lora(TE1_V, 16, 16)
    with pytest.raises(LoraRefusedError) as refusal:
        report_on(tensors, parts, tmp_path)
    sentence = str(refusal.value)
    assert "made for 32x50 at rank 4, the model has 32x48 (1 more do" in sentence


def test_a_bias_alone_that_nothing_takes_is_refused(
    parts: dict[str, nn.Module], tmp_path: Path
) -> None:
    with pytest.raises(LoraRefusedError, match=f"none of its 1 modules fit .*{TO_K}"):
        report_on({f"{TO_K}.diff_b": torch.ones(32)}, parts, tmp_path)
