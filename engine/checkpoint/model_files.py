"""What is known of a model before any weight is read: its configuration and its files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from engine.checkpoint.config import Config
from engine.checkpoint.kinds import is_pickle
from engine.checkpoint.locate import PartFiles
from engine.checkpoint.source import WeightFile
from engine.errors import CheckpointError, FileFormatError
from engine.sdxl.layout import PARTS, Part


@dataclass(frozen=True)
class ModelFiles:
    """The files of a model, all of whose headers are sound."""

    path: Path
    """The file or folder that was asked for."""
    config: Config
    parts: Mapping[Part, PartFiles]
    tokenizer: Path
    """The folder that a tokenizer of the model's own would be in."""
    notes: tuple[str, ...] = ()
    """What the user should know of the model, in sentences."""
    lender: Path | None = None
    """The model whose text encoders or VAE are used, of one that has none."""

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

    @property
    def has_text_encoders(self) -> bool:
        """Whether both are there."""
        return self.parts.keys() >= {"text_encoder", "text_encoder_2"}

    def with_vae(self, vae: PartFiles, config: Mapping[str, Any] | None = None) -> ModelFiles:
        """The same model with another VAE, and with its configuration where that has one."""
        merged = {**self.config, "vae": dict(config or self.config["vae"])}
        return replace(self, config=merged, parts={**self.parts, "vae": vae})

    def completed_by(self, other: ModelFiles) -> ModelFiles:
        """The same model with the text encoders and the VAE of another where it has none."""
        lacking = [part for part in other.parts if part not in self.parts]
        config: Config = {**self.config, **{part: other.config[part] for part in lacking}}
        parts = {**self.parts, **{part: other.parts[part] for part in lacking}}
        note = f"{self.path.name} has no {parts_in_words(lacking)}: {other.path.name}'s are used."
        return replace(
            self,
            config=config,
            parts={part: parts[part] for part in PARTS if part in parts},
            tokenizer=other.tokenizer,
            notes=(*self.notes, note),
            lender=other.path,
        )


def parts_in_words(parts: Sequence[Part]) -> str:
    """`text encoders and VAE`."""
    encoders = [part for part in parts if part != "vae"]
    names = {0: "", 1: "_".join(encoders).replace("_", " "), 2: "text encoders"}[len(encoders)]
    return " and ".join(filter(None, (names, "VAE" if "vae" in parts else "")))


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
