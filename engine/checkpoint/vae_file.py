"""A VAE in a file or folder of its own, in the original layout or in diffusers'."""

from __future__ import annotations

from pathlib import Path

from engine.checkpoint.folder_files import part_files, read_config
from engine.checkpoint.kinds import describe
from engine.checkpoint.locate import PartFiles
from engine.checkpoint.model_files import ModelFiles, open_weights
from engine.checkpoint.spellings import spellings_of
from engine.errors import CheckpointError


def use_vae(model: ModelFiles, path: Path) -> ModelFiles:
    """The model with the VAE of a file (or of a diffusers folder, with its `config.json`).

    Raises `CheckpointError` when that is no VAE.
    """
    if path.is_dir():
        config = {**model.config["vae"], **read_config(path, "config.json")}
        files = part_files(path, "diffusion_pytorch_model", half=False)
        spellings = spellings_of("vae", {**model.config, "vae": config}, original_first=False)
        return model.with_vae(PartFiles("vae", files, spellings, is_alone=True), config)
    file = open_weights(path)
    vae = PartFiles("vae", (file,), spellings_of("vae", model.config, original_first=True))
    if not any(name.startswith("decoder.") for name in vae.names):
        raise CheckpointError(f"{path.name}: this is no VAE: {describe(file.header)}")
    return model.with_vae(vae)


def vae_beside(checkpoint: Path) -> Path | None:
    """The VAE that lies beside a checkpoint under its name: `model.vae.safetensors`."""
    beside = checkpoint.with_suffix(".vae.safetensors")
    return beside if beside.is_file() else None
