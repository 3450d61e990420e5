"""Diffusers folders: the weights diffusers itself would load, in variants and shards."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import (
    DPMSolverMultistepScheduler,
    EDMEulerScheduler,
    EulerDiscreteScheduler,
    StableDiffusionXLPipeline,
)
from safetensors.torch import load_file, save_file

from engine.checkpoint import check_checkpoint, open_checkpoint
from engine.errors import CancelledError, CheckpointError, EngineError
from engine.sdxl.layout import PARTS
from tests.checkpoint.conftest import assert_same, open_float32, weights

Tensors = dict[str, torch.Tensor]

SHARDS = "300KB"


def test_weights_equal_those_that_diffusers_loads(saved: Path, tiny_weights: Tensors) -> None:
    check_checkpoint(saved)
    ours = open_float32(saved)
    assert_same(weights(ours), tiny_weights)
    theirs = StableDiffusionXLPipeline.from_pretrained(saved, local_files_only=True)
    for part in PARTS:
        ours_part, theirs_part = getattr(ours.pipeline, part), getattr(theirs, part)
        assert_same(dict(ours_part.named_parameters()), dict(theirs_part.named_parameters()))
    text = "a fox, “neon” night"
    straight = text.replace("“", '"').replace("”", '"')
    for name in ("tokenizer", "tokenizer_2"):
        found = getattr(ours.pipeline, name)(text, padding="max_length").input_ids
        assert found == getattr(theirs, name)(straight, padding="max_length").input_ids
    assert ours.default_size == 64
    assert not ours.pipeline.unet.training


def test_text_encoders_under_the_names_of_transformers_4(
    folder: Path, tiny_weights: Tensors
) -> None:
    for part in ("text_encoder", "text_encoder_2"):
        tensors = {
            f"text_model.{name.removeprefix(f'{part}.').removeprefix('text_model.')}": tensor
            for name, tensor in tiny_weights.items()
            if name.startswith(f"{part}.") and "text_projection" not in name
        }
        if part == "text_encoder_2":
            name = "text_projection.weight"
            tensors[name] = tiny_weights[f"{part}.{name}"]
        tensors["text_model.embeddings.position_ids"] = torch.arange(77)[None]
        save_file(tensors, folder / part / "model.safetensors")
    assert_same(weights(open_float32(folder)), tiny_weights)


def add_half_variant(folder: Path, pipeline: Any, **options: Any) -> None:
    """Save the weights again as the variant fp16, all of them 1 larger to be told apart."""
    for part in PARTS:
        for parameter in getattr(pipeline, part).parameters():
            parameter.data.add_(1)
    pipeline.to(torch.float16).save_pretrained(folder, variant="fp16", **options)


def test_the_variant_that_fits_the_dtype_is_read(
    folder: Path, tiny_checkpoint: Path, tiny_weights: Tensors
) -> None:
    add_half_variant(folder, open_float32(tiny_checkpoint).pipeline, max_shard_size=SHARDS)
    assert (folder / "unet/diffusion_pytorch_model.safetensors.index.fp16.json").exists()
    assert_same(weights(open_float32(folder), "unet"), unet_of(tiny_weights))
    half = open_checkpoint(folder, device="cpu", dtype=torch.float16)
    raised = {name: (tensor + 1).half() for name, tensor in unet_of(tiny_weights).items()}
    assert_same(weights(half, "unet"), raised)


def test_a_folder_of_nothing_but_half_precision(
    folder: Path, tiny_checkpoint: Path, tiny_weights: Tensors
) -> None:
    shutil.rmtree(folder)
    pipeline = open_float32(tiny_checkpoint).pipeline
    add_half_variant(folder, pipeline)
    raised = {name: (t + 1).half().float() for name, t in unet_of(tiny_weights).items()}
    assert_same(weights(open_float32(folder), "unet"), raised)


def unet_of(tensors: Tensors) -> Tensors:
    return {name: tensor for name, tensor in tensors.items() if name.startswith("unet.")}


@pytest.fixture
def sharded(folder: Path, tiny_checkpoint: Path) -> Path:
    unet = open_float32(tiny_checkpoint).pipeline.unet
    (folder / "unet/diffusion_pytorch_model.safetensors").unlink()
    unet.save_pretrained(folder / "unet", max_shard_size=SHARDS)
    return folder


def test_shards_and_their_weights_again(sharded: Path, tiny_weights: Tensors) -> None:
    model = open_float32(sharded)
    assert_same(weights(model), tiny_weights)
    assert model.source is not None
    shards = sorted((sharded / "unet").glob("*-of-*.safetensors"))
    assert len(shards) > 2
    assert {file.path for file in model.source.files()} >= set(shards)
    for name, tensor in unet_of(tiny_weights).items():
        assert torch.equal(model.source.read("unet", name.removeprefix("unet.")), tensor)


def test_bytes_are_counted_and_loading_can_be_stopped(saved: Path) -> None:
    seen: list[tuple[int, int]] = []
    open_float32(saved, progress=lambda done, total: seen.append((done, total)))
    parameters = 4 * sum(p.numel() for p in weights(open_float32(saved)).values())
    assert seen[-1] == (parameters, parameters)
    assert seen == sorted(seen)
    done_when_stopped: list[int] = []

    def stop(done: int, total: int) -> None:
        done_when_stopped.append(done)
        if done > total / 2:
            raise CancelledError("enough")

    with pytest.raises(CancelledError):
        open_float32(saved, progress=stop)
    assert done_when_stopped[-1] < parameters
    assert sum(done > parameters / 2 for done in done_when_stopped) == 1


@pytest.mark.parametrize("kind", [EulerDiscreteScheduler, DPMSolverMultistepScheduler])
def test_the_folders_scheduler_says_how_it_was_trained(folder: Path, kind: Any) -> None:
    kind(prediction_type="v_prediction", rescale_betas_zero_snr=True).save_pretrained(
        folder / "scheduler"
    )
    config = open_float32(folder).pipeline.scheduler.config
    assert config.prediction_type == "v_prediction"
    assert config.rescale_betas_zero_snr


def edm(folder: Path) -> None:
    EDMEulerScheduler().save_pretrained(folder / "scheduler")


def empty(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.mkdir()


def no_index(folder: Path) -> None:
    (folder / "model_index.json").unlink()


def no_config(folder: Path) -> None:
    (folder / "text_encoder_2/config.json").unlink()


def broken_config(folder: Path) -> None:
    (folder / "unet/config.json").write_text('{"in_channels": 4')


def list_config(folder: Path) -> None:
    (folder / "vae/config.json").write_text("[]")


def strange_config(folder: Path) -> None:
    edit(folder / "unet/config.json", down_block_types=["NoBlock"] * 3)


def no_weights(folder: Path) -> None:
    (folder / "unet/diffusion_pytorch_model.safetensors").unlink()


def pickled_weights(folder: Path) -> None:
    torch.save({}, folder / "unet/diffusion_pytorch_model.bin")
    no_weights(folder)


def truncated_weights(folder: Path) -> None:
    path = folder / "text_encoder_2/model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


def another_variant(folder: Path) -> None:
    path = folder / "unet/diffusion_pytorch_model.safetensors"
    path.rename(path.with_suffix(".non_ema.safetensors"))


def refiner(folder: Path) -> None:
    edit(folder / "model_index.json", text_encoder=[None, None])


def inpainting(folder: Path) -> None:
    edit(folder / "unet/config.json", in_channels=9)


def sd1(folder: Path) -> None:
    edit(folder / "model_index.json", _class_name="StableDiffusionPipeline")


def folder_of_files(folder: Path) -> None:
    empty(folder)
    (folder / "juggernaut.safetensors").write_bytes(b"")


def shard_outside(folder: Path) -> None:
    no_weights(folder)
    index = {"weight_map": {"conv_in.weight": "../../secret.safetensors"}}
    path = folder / "unet/diffusion_pytorch_model.safetensors.index.json"
    path.write_text(json.dumps(index))


def shard_missing(folder: Path) -> None:
    no_weights(folder)
    index = {"weight_map": {"conv_in.weight": "part-1.safetensors"}}
    path = folder / "unet/diffusion_pytorch_model.safetensors.index.json"
    path.write_text(json.dumps(index))


def edit(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (edm, "EDMEulerScheduler.*not supported"),
        (empty, "tiny_folder: the folder is empty"),
        (no_index, r"has no model_index\.json"),
        (no_config, r"has no text_encoder_2/config\.json"),
        (broken_config, r"unet/config\.json: cannot be read"),
        (list_config, r"vae/config\.json: is not a table"),
        (no_weights, r"unet: the weights .* are missing"),
        (another_variant, r"are missing; what is there is \S+model\.non_ema\.safetensors"),
        (pickled_weights, r"pickle \(\.bin\)"),
        (truncated_weights, r"model\.safetensors: truncated"),
        (refiner, "refiner"),
        (inpainting, "inpainting"),
        (sd1, "holds a StableDiffusionPipeline; only SDXL"),
        (folder_of_files, r"give one of the files, such as juggernaut\.safetensors"),
        (shard_outside, r"index\.json: it does not name"),
        (shard_missing, r"part-1\.safetensors"),
    ],
)
def test_what_is_wrong_with_a_folder_is_said(
    folder: Path, change: Callable[[Path], None], words: str
) -> None:
    change(folder)
    for function in (check_checkpoint, open_float32):
        with pytest.raises(EngineError, match=words):
            function(folder)


def in_shards(folder: Path) -> None:
    """The UNet's weights in two files and their list."""
    whole = folder / "unet/diffusion_pytorch_model.safetensors"
    names = [f"{whole.stem}-0000{number}-of-00002.safetensors" for number in (1, 2)]
    tensors = load_file(whole)
    table = {key: names[number % 2] for number, key in enumerate(tensors)}
    for name in names:
        held = {key: tensor for key, tensor in tensors.items() if table[key] == name}
        save_file(held, whole.parent / name)
    index = whole.with_name(f"{whole.name}.index.json")
    index.write_text(json.dumps({"weight_map": table}))
    whole.unlink()


@pytest.mark.parametrize(
    ("within", "words"),
    [
        ("model_index.json", r"lists the parts of a diffusers model; give its folder, \S+folder\."),
        ("unet", r"one part of a diffusers model; give the folder of the whole, \S+tiny_folder\."),
        ("unet/diffusion_pytorch_model.safetensors.index.json",
         r"lists the pieces of a file\. Give the folder of the whole model, \S+tiny_folder\."),
        ("unet/diffusion_pytorch_model-00002-of-00002.safetensors",
         r"one of 2 pieces of a file\. Give the folder of the whole model, \S+tiny_folder\."),
    ],
)  # fmt: skip
def test_a_path_within_a_folder_leads_to_the_folder(folder: Path, within: str, words: str) -> None:
    in_shards(folder)
    check_checkpoint(folder)
    for function in (check_checkpoint, open_float32):
        with pytest.raises(CheckpointError, match=words):
            function(folder / within)


def test_a_piece_without_a_folder_around_it(tiny_checkpoint: Path, tmp_path: Path) -> None:
    piece = tmp_path / "model-00001-of-00003.safetensors"
    shutil.copy(tiny_checkpoint, piece)
    with pytest.raises(CheckpointError, match=r"one of 3 pieces of a file\. Only the pieces of a"):
        check_checkpoint(piece)
    whole = piece.rename(tmp_path / "model-00001-of-00001.safetensors")
    shutil.copytree(tiny_checkpoint.parent / "tokenizer", tmp_path / "tokenizer")
    check_checkpoint(whole)


def test_in_the_hubs_cache_the_folder_of_a_version_is_named(folder: Path, tmp_path: Path) -> None:
    cache = tmp_path / "models--someone--tiny"
    version = cache / "snapshots/0a1b"
    version.parent.mkdir(parents=True)
    folder.rename(version)
    for path in (cache, version.parent):
        with pytest.raises(CheckpointError, match=rf"model in one of its own; give {version}\."):
            check_checkpoint(path)
    check_checkpoint(version)


def test_a_configuration_that_makes_no_sense_is_refused(folder: Path) -> None:
    strange_config(folder)
    with pytest.raises(
        CheckpointError, match=r"tiny_folder: its configuration makes no sense.*NoBlock"
    ):
        open_float32(folder)
