"""One textual inversion: the vectors that stand for a word in SDXL's two text encoders.

Files and bundles hold them as `clip_l` and `clip_g` (A1111, ComfyUI, sd-scripts, diffusers), or
one tensor for one encoder: `emb_params`, `string_to_param.*` (SD 1.5, SD 2), diffusers' `<token>`.
Pivotal tuning (diffusers, Replicate) calls the two `text_encoders_0` and `text_encoders_1`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch

from engine.errors import FileFormatError
from engine.lora.tensors import count_non_finite

MAX_VECTORS = 75
"""What a chunk of a prompt has room for."""

_ROLES = {
    "clip_l": ("clip_l", "text_encoders_0"),
    "clip_g": ("clip_g", "text_encoders_1"),
    "clip_l_out": ("clip_l_out",),
    "clip_g_out": ("clip_g_out",),
}
"""What files call the tensors of each role."""

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
    clip_l_out: torch.Tensor | None = None
    clip_g_out: torch.Tensor | None = None
    """What stands in the encoders' states instead of what they make of the vectors, if anything
    (OneTrainer's output embeddings)."""

    def places(self, role: str) -> Iterator[tuple[torch.Tensor, torch.Tensor | None]]:
        """For `clip_l` or `clip_g`, each place's vector and what stands in the states there."""
        vectors, states = getattr(self, role), getattr(self, f"{role}_out")
        return zip(vectors, states if states is not None else [None] * len(vectors), strict=True)

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
    found = {
        role: _vectors(where, tensors[name])
        for role, names in _ROLES.items()
        for name in names
        if name in tensors
    }
    for role in ("clip_l", "clip_g"):
        states = found.get(f"{role}_out")
        # Where the states alone were trained, the encoders read zeros.
        if states is not None and found.setdefault(role, torch.zeros_like(states)).shape != (
            states.shape
        ):
            raise FileFormatError(
                f"{where}: its vectors and states for one text encoder are not alike; the file is "
                "damaged."
            )
    if "clip_l" not in found or "clip_g" not in found:
        raise FileFormatError(f"{where}: {_what_is_missing({**tensors, **found})}")
    count = len(found["clip_l"])
    if count != len(found["clip_g"]):
        raise FileFormatError(
            f"{where}: has {count} vectors for the first text encoder and "
            f"{len(found['clip_g'])} for the second; the file is damaged."
        )
    if not 1 <= count <= MAX_VECTORS:
        raise FileFormatError(
            f"{where}: has {count} vectors; a prompt takes from 1 to {MAX_VECTORS} in one word."
        )
    return TextualInversion(name, digest=digest, lora=lora, **found)


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
