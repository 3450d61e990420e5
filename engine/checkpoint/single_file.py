"""A checkpoint in one file, in the original layout, with a VAE inside or beside it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from engine.checkpoint.config import checkpoint_config
from engine.checkpoint.kinds import holds_vae, require_sdxl
from engine.checkpoint.layout import Part, Source, parameter_source
from engine.checkpoint.locate import PartFiles, Spellings
from engine.checkpoint.model_files import ModelFiles, open_weights
from engine.checkpoint.vae_file import use_vae, vae_beside, vae_in
from engine.errors import CheckpointError


def networks_in_file(path: Path) -> ModelFiles:
    """Read a checkpoint's header, without a look for its VAE.

    Raises `CheckpointError` or `FileFormatError` when it is no SDXL.
    """
    file = open_weights(path)
    require_sdxl(path.name, file.header)
    networks: tuple[Part, ...] = ("unet", "text_encoder", "text_encoder_2")
    return ModelFiles(
        path,
        checkpoint_config(path.name, file.header),
        {part: PartFiles((file,), _original(part)) for part in networks},
        tokenizer=path.parent,
    )


def read_single_file(path: Path, vae: Path | None) -> ModelFiles:
    """Read a checkpoint's header; the VAE is `vae`, else the one inside, else the one beside it.

    Raises `CheckpointError` or `FileFormatError` when it is no SDXL, or has no VAE.
    """
    model = networks_in_file(path)
    (file,) = model.parts["unet"].files
    if vae is None and holds_vae(file.header):
        return model.with_vae(vae_in(file, model))
    vae = vae or vae_beside(path)
    if vae is None:
        raise CheckpointError(
            f"{path.name}: there is no VAE in it; name one to use with it, or put it beside the "
            f"checkpoint as {path.stem}.vae.safetensors."
        )
    return use_vae(model, vae)


def _original(part: Part) -> Spellings:
    def spellings(name: str) -> Iterator[Source]:
        yield parameter_source(part, name)

    return spellings
