"""The report on a LoRA before anything is touched: what it changes, and what of it is not used."""

from __future__ import annotations

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


def test_the_first_text_encoder_without_a_number(
    parts: dict[str, nn.Module], tmp_path: Path
) -> None:
    name = "lora_te_text_model_encoder_layers_0_self_attn_v_proj"
    report = report_on(lora(TO_K, 32, 48) | lora(name, 16, 16), parts, tmp_path)
    assert {part.part: part.modules for part in report.parts} == {"unet": 1, "text_encoder": 1}


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
