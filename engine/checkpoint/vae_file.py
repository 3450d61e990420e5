"""A VAE in a file or folder of its own, in the original layout or in diffusers'."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from engine.checkpoint.folder_files import part_files, read_config
from engine.checkpoint.kinds import describe, holds_vae
from engine.checkpoint.layout import Source, diffusers_vae_names, parameter_source
from engine.checkpoint.locate import PartFiles, Spellings
from engine.checkpoint.model_files import ModelFiles, open_weights
from engine.checkpoint.source import WeightFile
from engine.errors import CheckpointError


def vae_spellings(up_blocks: int) -> Spellings:
    """Where a VAE's parameter may lie: the original name with and without its prefix, diffusers'.

    `up_blocks` is the number of resolutions, which the original layout counts the other way round.
    """

    def spellings(name: str) -> Iterator[Source]:
        original = parameter_source("vae", name, vae_up_blocks=up_blocks)
        yield original
        yield Source(original.key.removeprefix("first_stage_model."))
        yield from map(Source, diffusers_vae_names(name))

    return spellings


def use_vae(model: ModelFiles, path: Path) -> ModelFiles:
    """The model with the VAE of a file (or of a diffusers folder, with its `config.json`).

    Raises `CheckpointError` when that is no VAE.
    """
    if path.is_dir():
        config = {**model.config["vae"], **read_config(path, "config.json")}
        files = part_files(path, "diffusion_pytorch_model", half=False)
        count = len(config["block_out_channels"])
        return model.with_vae(PartFiles(files, vae_spellings(count)), config)
    file = open_weights(path)
    if not holds_vae(file.header):
        raise CheckpointError(f"{path.name}: this is no VAE: {describe(file.header)}")
    return model.with_vae(vae_in(file, model))


def vae_in(file: WeightFile, model: ModelFiles) -> PartFiles:
    """The VAE that lies in `file`, built as the model's configuration says."""
    return PartFiles((file,), vae_spellings(len(model.config["vae"]["block_out_channels"])))


def vae_beside(checkpoint: Path) -> Path | None:
    """The VAE that lies beside a checkpoint under its name: `model.vae.safetensors`."""
    beside = checkpoint.with_suffix(".vae.safetensors")
    return beside if beside.is_file() else None
