"""Textual inversions that come inside a LoRA's file (`bundle_emb`)."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

import torch

from engine.embeddings.inversion import TextualInversion, make_inversion
from engine.errors import FileFormatError
from engine.lora.file import LoraFile


@dataclass(frozen=True, eq=False)
class BundledEmbedding:
    """A LoRA's textual inversion by its keys, not checked yet: few prompts name it."""

    name: str
    lora: str
    tensors: Mapping[str, torch.Tensor]

    def read(self) -> TextualInversion:
        """Check it. Raises `FileFormatError` when it is not for SDXL."""
        where = f"{self.lora} (its embedding {self.name[:90]})"
        if any(tensor.is_meta for tensor in self.tensors.values()):
            raise FileFormatError(f"{where}: too large for a textual inversion.")
        digest = hashlib.sha256()
        for _, tensor in sorted(self.tensors.items()):
            digest.update(tensor.flatten().view(torch.uint8).numpy().tobytes())
        return make_inversion(self.name, where, self.tensors, digest.hexdigest(), self.lora)


def bundled_embeddings(file: LoraFile) -> tuple[BundledEmbedding, ...]:
    """The textual inversions in a LoRA that was read; copies, which do not hold its buffer."""
    return tuple(
        BundledEmbedding(name, file.path.stem, {key: t.clone() for key, t in tensors.items()})
        for name, tensors in file.embeddings.items()
    )
