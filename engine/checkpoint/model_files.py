"""What is known of a model before any weight is read: its configuration and its files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from engine.checkpoint.config import Config
from engine.checkpoint.kinds import is_pickle
from engine.checkpoint.layout import Part
from engine.checkpoint.locate import PartFiles
from engine.checkpoint.source import WeightFile
from engine.errors import CheckpointError, FileFormatError


@dataclass(frozen=True)
class ModelFiles:
    """The files of a model, all of whose headers are sound."""

    path: Path
    """The file or folder that was asked for."""
    config: Config
    parts: Mapping[Part, PartFiles]
    tokenizer: Path
    """The folder that a tokenizer of the model's own would be in."""

    @property
    def default_size(self) -> int:
        """Pixels a side of the pictures it was trained on; 1024 where the UNet does not say.

        Raises `CheckpointError` when that is no number of pixels.
        """
        side = self.config["unet"].get("sample_size")
        if side is None:
            side = 128
        if type(side) is not int or side < 1:
            raise CheckpointError(f"{self.path}: the UNet's sample_size makes no sense ({side!r}).")
        halvings = len(self.config["vae"]["block_out_channels"]) - 1
        return int(side * 2**halvings)

    def with_vae(self, vae: PartFiles, config: Mapping[str, Any] | None = None) -> ModelFiles:
        """The same model with another VAE, and with its configuration where that has one."""
        merged = {**self.config, "vae": dict(config or self.config["vae"])}
        return replace(self, config=merged, parts={**self.parts, "vae": vae})


def open_weights(path: Path) -> WeightFile:
    """Open a model's safetensors file.

    Raises `FileFormatError`; for a pickle (`.ckpt`, `.bin`) it tells how to convert it.
    """
    try:
        return WeightFile.open(path)
    except FileFormatError as error:
        if is_pickle(path):
            raise FileFormatError(
                f"{path.name}: this is a pickle (PyTorch) file, which can run code when opened; "
                "only safetensors files are read. To convert it, name it .ckpt, read it with "
                "torch.load(path, weights_only=True), which runs no code, and write the table "
                'under its "state_dict" with safetensors.torch.save_file.'
            ) from error
        raise
