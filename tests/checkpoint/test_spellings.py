"""One tensor, many names: single files as converters, save nodes and trainers write them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from engine.checkpoint import check_checkpoint
from tests.checkpoint.conftest import assert_same, open_float32, weights
from tests.support.tiny_checkpoint import rewrite_checkpoint

Tensors = dict[str, torch.Tensor]
Rename = Callable[[Tensors, Tensors], None]
"""Changes a file's tensors, given the weights by part and diffusers' names."""

TE1 = "conditioner.embedders.0.transformer."
TE2 = "conditioner.embedders.1.model."
PROJECTION = TE2 + "text_projection"


def drop(tensors: Tensors, *starts: str) -> None:
    for key in [key for key in tensors if key.startswith(starts)]:
        del tensors[key]


def of_part(own: Tensors, part: str) -> Tensors:
    start = f"{part}."
    return {k.removeprefix(start): t for k, t in own.items() if k.startswith(start)}


def bare(own: Tensors, part: str) -> Tensors:
    """A text encoder's weights without `text_model`."""
    return {k.removeprefix("text_model."): t for k, t in of_part(own, part).items()}


def old_transformers(own: Tensors, part: str) -> Tensors:
    """A text encoder's weights as transformers called them before 5.6."""
    return {
        k if k.startswith("text_projection") else f"text_model.{k}": t
        for k, t in bare(own, part).items()
    }


def add(tensors: Tensors, prefix: str, more: Tensors) -> None:
    tensors.update({prefix + key: tensor.clone().half() for key, tensor in more.items()})


def untransposed_projection(tensors: Tensors, own: Tensors) -> None:
    """Playground v2 and others: transformers' name, and its order of dimensions."""
    tensors[f"{PROJECTION}.weight"] = tensors.pop(PROJECTION).T.contiguous()


def encoder_1_of_transformers_5_6(tensors: Tensors, own: Tensors) -> None:
    for key in [key for key in tensors if key.startswith(f"{TE1}text_model.")]:
        tensors[key.replace("text_model.", "")] = tensors.pop(key)


def encoder_2_of_transformers(tensors: Tensors, own: Tensors) -> None:
    drop(tensors, TE2)
    add(tensors, TE2, old_transformers(own, "text_encoder_2"))


def encoder_2_of_transformers_without_text_model(tensors: Tensors, own: Tensors) -> None:
    drop(tensors, TE2)
    add(tensors, TE2, bare(own, "text_encoder_2"))


def encoders_of_comfyui(prefix: str) -> Rename:
    def rename(tensors: Tensors, own: Tensors) -> None:
        drop(tensors, TE1, TE2)
        add(tensors, f"{prefix}clip_l.transformer.", old_transformers(own, "text_encoder"))
        add(tensors, f"{prefix}clip_g.transformer.", old_transformers(own, "text_encoder_2"))
        tensors[f"{prefix}clip_l.logit_scale"] = torch.tensor(1.0)
        tensors[f"{prefix}clip_l.transformer.text_projection.weight"] = torch.eye(8)

    return rename


def encoder_2_of_comfyui_in_openclip(tensors: Tensors, own: Tensors) -> None:
    for key in [key for key in tensors if key.startswith(TE2)]:
        tensors[key.replace(TE2, "clip_g.")] = tensors.pop(key)


def encoders_of_a1111(tensors: Tensors, own: Tensors) -> None:
    for key in [key for key in tensors if key.startswith("conditioner.")]:
        tensors[key.replace("conditioner.", "cond_stage_model.")] = tensors.pop(key)


def encoders_within_a1111s_hooks(tensors: Tensors, own: Tensors) -> None:
    for key in [key for key in tensors if key.startswith("conditioner.")]:
        new = key.replace("embedders.0.", "embedders.0.wrapped.")
        tensors[new.replace("embedders.1.", "embedders.1.wrapped.")] = tensors.pop(key)


def encoders_of_sd1_and_sd2(tensors: Tensors, own: Tensors) -> None:
    for key in [key for key in tensors if key.startswith("conditioner.")]:
        new = key.replace(TE1, "cond_stage_model.transformer.")
        tensors[new.replace(TE2, "cond_stage_model.model.")] = tensors.pop(key)


def novelais_encoder_1(tensors: Tensors, own: Tensors) -> None:
    drop(tensors, TE1)
    add(tensors, "cond_stage_model.transformer.", bare(own, "text_encoder"))


def all_of_diffusers(tensors: Tensors, own: Tensors) -> None:
    tensors.clear()
    add(tensors, "", own)


def all_of_diffusers_with_old_encoders(tensors: Tensors, own: Tensors) -> None:
    all_of_diffusers(tensors, own)
    for part in ("text_encoder", "text_encoder_2"):
        drop(tensors, f"{part}.")
        add(tensors, f"{part}.", old_transformers(own, part))


def unet_of_diffusers(tensors: Tensors, own: Tensors) -> None:
    drop(tensors, "model.diffusion_model.")
    add(tensors, "model.diffusion_model.", of_part(own, "unet"))


def unet_without_prefix(tensors: Tensors, own: Tensors) -> None:
    for key in [key for key in tensors if key.startswith("model.diffusion_model.")]:
        tensors[key.removeprefix("model.diffusion_model.")] = tensors.pop(key)


def vae_of_diffusers(tensors: Tensors, own: Tensors) -> None:
    drop(tensors, "first_stage_model.")
    add(tensors, "first_stage_model.", of_part(own, "vae"))


def vae_without_prefix(tensors: Tensors, own: Tensors) -> None:
    for key in [key for key in tensors if key.startswith("first_stage_model.")]:
        tensors[key.removeprefix("first_stage_model.")] = tensors.pop(key)


def everything_under(prefix: str) -> Rename:
    def rename(tensors: Tensors, own: Tensors) -> None:
        for key in list(tensors):
            tensors[prefix + key] = tensors.pop(key)

    return rename


def wrapped_within(word: str) -> Rename:
    """As `torch.compile` and parallel training wrap each network."""

    def rename(tensors: Tensors, own: Tensors) -> None:
        for key in list(tensors):
            for prefix in ("model.diffusion_model.", "first_stage_model.", TE1, TE2):
                if key.startswith(prefix):
                    new = f"{prefix}{word}.{key.removeprefix(prefix)}"
                    tensors[new] = tensors.pop(key)

    return rename


def linear_layers_as_convolutions(tensors: Tensors, own: Tensors) -> None:
    for key, tensor in list(tensors.items()):
        if key.endswith(("proj_in.weight", "proj_out.weight")) and tensor.dim() == 2:
            tensors[key] = tensor[:, :, None, None].contiguous()


def both_names(tensors: Tensors, own: Tensors) -> None:
    add(tensors, TE1, bare(own, "text_encoder"))
    add(tensors, TE2, old_transformers(own, "text_encoder_2"))


WRITERS: dict[str, Rename] = {
    rename.__name__: rename
    for rename in (
        untransposed_projection, encoder_1_of_transformers_5_6, encoder_2_of_transformers,
        encoder_2_of_transformers_without_text_model, encoder_2_of_comfyui_in_openclip,
        encoders_of_a1111, encoders_within_a1111s_hooks, encoders_of_sd1_and_sd2,
        novelais_encoder_1, all_of_diffusers, all_of_diffusers_with_old_encoders,
        unet_of_diffusers, unet_without_prefix, vae_of_diffusers, vae_without_prefix,
        linear_layers_as_convolutions, both_names,
    )
} | {
    f"encoders under {prefix}clip_l": encoders_of_comfyui(prefix)
    for prefix in ("", "text_encoders.", "cond_stage_model.", "conditioner.")
} | {
    f"all under {prefix}": everything_under(prefix)
    for prefix in ("model.", "module.", "_orig_mod.", "state_dict.", "module.model.")
} | {
    f"networks within {word}": wrapped_within(word)
    for word in ("_orig_mod", "module", "_fsdp_wrapped_module", "module._orig_mod")
}  # fmt: skip


@pytest.mark.parametrize("writer", WRITERS)
def test_every_program_names_the_same_weights(
    tiny_checkpoint: Path, tiny_weights: Tensors, tmp_path: Path, writer: str
) -> None:
    path = rewrite_checkpoint(
        tiny_checkpoint, tmp_path, lambda tensors: WRITERS[writer](tensors, tiny_weights)
    )
    check_checkpoint(path)
    model = open_float32(path)
    assert_same(weights(model), tiny_weights)
    assert model.notes == ()
    assert model.source is not None
    for name, tensor in tiny_weights.items():
        part, _, parameter = name.partition(".")
        assert torch.equal(model.source.read(part, parameter), tensor), name


@pytest.mark.parametrize(
    ("used", "other"),
    [
        (PROJECTION, f"{PROJECTION}.weight"),
        (f"{TE1}text_model.final_layer_norm.bias", f"{TE1}final_layer_norm.bias"),
        (f"{TE2}ln_final.bias", f"{TE2}text_model.final_layer_norm.bias"),
        ("model.diffusion_model.out.2.bias", "model.diffusion_model._orig_mod.out.2.bias"),
        ("model.diffusion_model.out.2.bias", "module.model.diffusion_model.out.2.bias"),
        ("model.diffusion_model.out.2.bias", "model.diffusion_model.conv_out.bias"),
    ],
)
def test_of_two_names_with_different_values_the_original_counts(
    tiny_checkpoint: Path, tiny_weights: Tensors, tmp_path: Path, used: str, other: str
) -> None:
    path = rewrite_checkpoint(
        tiny_checkpoint, tmp_path, lambda tensors: tensors.update({other: tensors[used] + 1})
    )
    model = open_float32(path)
    assert_same(weights(model), tiny_weights)
    (note,) = model.notes
    assert f"{used} is used, {other} is not" in note
    assert "different values: 1;" in note


def test_a_second_name_of_another_shape_is_not_used_and_said(
    tiny_checkpoint: Path, tiny_weights: Tensors, tmp_path: Path
) -> None:
    path = rewrite_checkpoint(
        tiny_checkpoint,
        tmp_path,
        lambda tensors: tensors.update({f"{PROJECTION}.weight": torch.zeros(3, 3)}),
    )
    model = open_float32(path)
    assert_same(weights(model), tiny_weights)
    (note,) = model.notes
    assert "not used" in note
    assert f"{PROJECTION}.weight" in note


def test_tensors_that_are_not_sdxls_are_said(
    tiny_checkpoint: Path, tiny_weights: Tensors, tmp_path: Path
) -> None:
    strange = "model.diffusion_model.input_blocks.1.0.time_stack.weight"
    path = rewrite_checkpoint(
        tiny_checkpoint, tmp_path, lambda tensors: tensors.update({strange: torch.zeros(2)})
    )
    model = open_float32(path)
    assert_same(weights(model), tiny_weights)
    (note,) = model.notes
    assert strange in note
