"""Give vectors to a text encoder in place of token embeddings, without touching its weights."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch

Injection = tuple[int, int, torch.Tensor]
"""Row of the batch, position within it, and the vector that stands there."""


@contextmanager
def injected(text_encoder: Any, injections: Sequence[Injection]) -> Iterator[None]:
    """Let the encoder read these vectors at their places while the block runs.

    They replace what its token embedding puts out, rounded to its type as a row of the table would
    be; the table stays as it is, so nothing has to be undone.
    """

    def replace(_module: Any, _inputs: Any, embedded: torch.Tensor) -> torch.Tensor:
        for row, position, vector in injections:
            embedded[row, position] = vector.to(embedded)
        return embedded

    if not injections:
        yield
        return
    handle = text_encoder.get_input_embeddings().register_forward_hook(replace)
    try:
        yield
    finally:
        handle.remove()


def token_widths(pipe: Any) -> tuple[int, int]:
    """How wide the vectors of a pipeline's two text encoders are."""
    first, second = (
        encoder.get_input_embeddings().embedding_dim
        for encoder in (pipe.text_encoder, pipe.text_encoder_2)
    )
    return first, second
