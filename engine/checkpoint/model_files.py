"""What is known of a model before any weight is read: its configuration and its files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from engine.checkpoint.config import Config
from engine.checkpoint.kinds import is_pickle
from engine.checkpoint.layout import Part
from engine.checkpoint.locate import PartFiles
from engine.checkpoint.source import WeightFile
from engine.errors import FileFormatError


@dataclass(frozen=True)
class ModelFiles:
    """The files of a model, all of whose headers are sound."""

    path: Path
    """The file or folder that was asked for."""
    config: Config
    parts: Mapping[Part, PartFiles]
    tokenizer: Path
    """The folder that a tokenizer of the model's own would be in."""

    def with_vae(self, vae: PartFiles, **config: object) -> ModelFiles:
        """The same model with another VAE, whose configuration differs in what is given."""
        merged = {**self.config, "vae": {**self.config["vae"], **config}}
        return replace(self, config=merged, parts={**self.parts, "vae": vae})


def open_weights(path: Path) -> WeightFile:
    """Open a model's safetensors file.

    Raises `FileFormatError`; for a pickle (`.ckpt`, `.bin`) it tells how to convert it.
    """
    try:
        return WeightFile.open(path)
    except FileFormatError as error:
        if path.is_file() and is_pickle(path):
            raise FileFormatError(
                f"{path.name}: this is a pickle (PyTorch) file, which can run code when opened; "
                "only safetensors files are read. To convert it, name it .ckpt, read it with "
                "torch.load(path, weights_only=True), which runs no code, and write the table "
                'under its "state_dict" with safetensors.torch.save_file.'
            ) from error
        raise
