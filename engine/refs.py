"""What a user asks for: a LoRA file and how strongly to apply it."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path

from engine.block_weights import BlockWeights


@dataclass(frozen=True, init=False)
class LoraRef:
    """One member of a stack: a LoRA file with a strength per part of the model.

    However the file is given (`str` or `Path`, relative, with `~`), `path` is absolute, so that
    references to one file are equal and stay so when the working directory changes. Links are kept:
    what lies beside a link (PEFT's `adapter_config.json`) goes with it.

    `text_encoder` counts for both text encoders unless `text_encoder_2` is given. `blocks` are
    factors on top, by block of the model (see `engine.block_weights`).
    """

    path: Path
    unet: float
    text_encoder: float
    text_encoder_2: float | None
    blocks: BlockWeights

    def __init__(
        self,
        path: str | os.PathLike[str],
        unet: float = 1.0,
        text_encoder: float = 1.0,
        text_encoder_2: float | None = None,
        blocks: BlockWeights = (),
    ) -> None:
        # Unlike `Path.expanduser`, this leaves a `~name` as it is where nobody has that name.
        given = Path(os.path.expanduser(path)).absolute()  # noqa: PTH111
        for name, value in (
            ("path", given),
            ("unet", unet),
            ("text_encoder", text_encoder),
            ("text_encoder_2", text_encoder_2),
            ("blocks", tuple(blocks)),
        ):
            object.__setattr__(self, name, value)

    @property
    def name(self) -> str:
        """The file's name without its ending."""
        return self.path.stem

    @property
    def text_encoder_2_strength(self) -> float:
        """The strength for the second text encoder."""
        return self.text_encoder if self.text_encoder_2 is None else self.text_encoder_2

    def at(self, strength: float) -> LoraRef:
        """The same file with one strength for everything."""
        return replace(self, unet=strength, text_encoder=strength, text_encoder_2=None)
