"""What a user asks for: a LoRA file and how strongly to apply it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from engine.block_weights import BlockWeights


@dataclass(frozen=True)
class LoraRef:
    """One member of a stack: a LoRA file with a strength per part of the model.

    `text_encoder` counts for both text encoders unless `text_encoder_2` is given. `blocks` are
    factors on top, by block of the model (see `engine.block_weights`).
    """

    path: str | Path
    unet: float = 1.0
    text_encoder: float = 1.0
    text_encoder_2: float | None = None
    blocks: BlockWeights = ()

    @property
    def name(self) -> str:
        """The file's name without its ending."""
        return Path(self.path).stem

    @property
    def text_encoder_2_strength(self) -> float:
        """The strength for the second text encoder."""
        return self.text_encoder if self.text_encoder_2 is None else self.text_encoder_2

    def at(self, strength: float) -> LoraRef:
        """The same file with one strength for everything."""
        return LoraRef(self.path, strength, strength, blocks=self.blocks)
