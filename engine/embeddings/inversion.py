"""One textual inversion: the vectors that stand for a word in SDXL's two text encoders.

Files and bundles hold them as `clip_l` and `clip_g` (A1111, ComfyUI, sd-scripts, diffusers), or
one tensor for one encoder: `emb_params`, `string_to_param.*` (SD 1.5, SD 2), diffusers' `<token>`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch

from engine.errors import FileFormatError
from engine.lora.tensors import count_non_finite

MAX_VECTORS = 75
"""What a chunk of a prompt has room for."""

_ONE_ENCODER = {768: "SD 1.5", 1024: "SD 2"}
"""What a lone tensor of a width is made for."""


@dataclass(frozen=True, eq=False)
class TextualInversion:
    """Vectors for the first text encoder, `clip_l` [n, width 1], and the second, `clip_g`."""

    name: str
    clip_l: torch.Tensor
    clip_g: torch.Tensor
    digest: str
    """Other vectors, another digest; of a file its SHA-256."""
    lora: str = ""
    """The LoRA it is bundled with, if any."""

    @property
    def infotext_hash(self) -> str:
        """What A1111 writes under `TI hashes`: 12 digits, or the name of the LoRA it is part of."""
        return self.lora or self.digest[:12]


def make_inversion(
    name: str, where: str, tensors: Mapping[str, torch.Tensor], digest: str, lora: str = ""
) -> TextualInversion:
    """Check the tensors of a textual inversion, by their keys, and put them together.

    `where` names the file for the user. Raises `FileFormatError` when they are not for SDXL's two
    text encoders, not vectors, or not finite.
    """
    if "clip_l" not in tensors or "clip_g" not in tensors:
        raise FileFormatError(f"{where}: {_what_is_missing(tensors)}")
    clip_l, clip_g = (_vectors(where, tensors[role]) for role in ("clip_l", "clip_g"))
    count = len(clip_l)
    if count != len(clip_g):
        raise FileFormatError(
            f"{where}: has {count} vectors for the first text encoder and {len(clip_g)} for the "
            "second; the file is damaged."
        )
    if not 1 <= count <= MAX_VECTORS:
        raise FileFormatError(
            f"{where}: has {count} vectors; a prompt takes from 1 to {MAX_VECTORS} in one word."
        )
    return TextualInversion(name, clip_l, clip_g, digest, lora)


def require_widths(inversion: TextualInversion, where: str, widths: tuple[int, int]) -> None:
    """Raise `FileFormatError` unless the vectors are as wide as the model's text encoders."""
    own = inversion.clip_l.shape[1], inversion.clip_g.shape[1]
    if own != widths:
        raise FileFormatError(
            f"{where}: its vectors are {own[0]} and {own[1]} wide, the model's text encoders "
            f"{widths[0]} and {widths[1]}."
        )


def _what_is_missing(tensors: Mapping[str, torch.Tensor]) -> str:
    for role, other in (("clip_l", "second"), ("clip_g", "first")):
        if role in tensors:
            return f"has no vectors for SDXL's {other} text encoder; it can not be used."
    width = next((t.shape[-1] for t in tensors.values() if t.dim()), 0)
    if len(tensors) == 1 and width in _ONE_ENCODER:
        return (
            f"this textual inversion is for {_ONE_ENCODER[width]} (one text encoder, {width} "
            "wide), the loaded model is SDXL."
        )
    return "this is no textual inversion for SDXL (it has no tensors clip_l and clip_g)."


def _vectors(where: str, tensor: torch.Tensor) -> torch.Tensor:
    """The tensor as [n, width]; one vector alone may be stored without its first dimension."""
    vectors = tensor.unsqueeze(0) if tensor.dim() == 1 else tensor
    if vectors.dim() != 2 or not vectors.is_floating_point():
        raise FileFormatError(f"{where}: a tensor in it is no list of vectors.")
    if count_non_finite({"": vectors}):
        raise FileFormatError(
            f"{where}: holds values that are not finite (NaN or infinity); the file is damaged or "
            "its training failed."
        )
    return vectors
