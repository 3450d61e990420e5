"""Values that are NaN or infinite are noticed when a model is opened, and their tensor is named."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from engine.checkpoint import open_checkpoint
from engine.errors import CheckpointError
from tests.support.tiny_checkpoint import rewrite_checkpoint

Tensors = dict[str, torch.Tensor]
UNET = "model.diffusion_model."

PLACES = [
    f"{UNET}out.2.bias",
    f"{UNET}middle_block.1.transformer_blocks.1.attn2.to_k.weight",
    "conditioner.embedders.0.transformer.text_model.embeddings.token_embedding.weight",
    "conditioner.embedders.1.model.text_projection",
    "conditioner.embedders.1.model.transformer.resblocks.1.attn.in_proj_weight",
    "first_stage_model.decoder.conv_out.weight",
]
VALUES = (float("nan"), float("inf"), float("-inf"))
DTYPES = (torch.float16, torch.bfloat16, torch.float32)


@pytest.mark.parametrize("value", range(3))
@pytest.mark.parametrize("place", range(len(PLACES)))
def test_a_single_value_is_noticed(
    tiny_checkpoint: Path, tmp_path: Path, place: int, value: int
) -> None:
    """Each value in each place; each dtype with each of both."""
    key, dtype = PLACES[place], DTYPES[(place + value) % 3]

    def spoil(tensors: Tensors) -> None:
        tensors[key].view(-1)[-1] = VALUES[value]

    path = rewrite_checkpoint(tiny_checkpoint, tmp_path, spoil)
    with pytest.raises(CheckpointError) as caught:
        open_checkpoint(path, device="cpu", dtype=dtype)
    assert f"{path.name}: the tensor {key} holds 1 values that are not finite" in str(caught.value)


def test_all_of_them_are_counted(tiny_checkpoint: Path, tmp_path: Path) -> None:
    def spoil(tensors: Tensors) -> None:
        for key in PLACES:
            tensors[key].fill_(float("nan"))

    path = rewrite_checkpoint(tiny_checkpoint, tmp_path, spoil)
    with pytest.raises(CheckpointError, match=r"\(and \d+ more tensors\) holds \d+ values"):
        open_checkpoint(path, device="cpu", dtype=torch.float16)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_weights_of_zeros_alone_are_told(
    tiny_checkpoint: Path, tmp_path: Path, dtype: torch.dtype
) -> None:
    """Programs that load files give them their whole size first; what is not there yet is zeros."""

    def empty(tensors: Tensors) -> None:
        tensors[PLACES[1]].zero_()
        tensors[PLACES[-1]].zero_()
        tensors[f"{UNET}out.2.bias"].zero_()

    path = rewrite_checkpoint(tiny_checkpoint, tmp_path, empty)
    (note,) = open_checkpoint(path, device="cpu", dtype=dtype).notes
    assert f"nothing but zeros: 2, such as {PLACES[1]}; perhaps its download" in note
    assert open_checkpoint(tiny_checkpoint, device="cpu", dtype=dtype).notes == ()


def test_what_the_type_cannot_hold_is_no_damage(tiny_checkpoint: Path, tmp_path: Path) -> None:
    def widen(tensors: Tensors) -> None:
        tensors.update({key: tensor.float() for key, tensor in tensors.items()})
        tensors[f"{UNET}out.2.bias"][0] = 70_000.0

    path = rewrite_checkpoint(tiny_checkpoint, tmp_path, widen)
    with pytest.raises(CheckpointError, match=r"too large for float16, up to 70,000.*--dtype"):
        open_checkpoint(path, device="cpu", dtype=torch.float16)
    opened = open_checkpoint(path, device="cpu", dtype=torch.bfloat16)
    assert float(opened.pipeline.unet.conv_out.bias[0]) == pytest.approx(70_000, rel=0.01)


def test_tensors_that_no_picture_needs_may_hold_anything(
    tiny_checkpoint: Path, tmp_path: Path
) -> None:
    path = rewrite_checkpoint(
        tiny_checkpoint,
        tmp_path,
        lambda tensors: tensors.update(
            {
                "conditioner.embedders.1.model.logit_scale": torch.tensor(float("nan")),
                "model_ema.decay": torch.tensor(float("nan")),
            }
        ),
    )
    open_checkpoint(path, device="cpu", dtype=torch.float16)
