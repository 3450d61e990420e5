"""T-LoRA: singular vectors of the base weight, trained on (arXiv:2507.05964; LyCORIS).

Which ranks it uses depends on the time step in training only: LyCORIS' own forward uses all.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from engine.lora.families.adapter import (
    Adapter,
    ShapeMismatchError,
    Tensors,
    flat,
    number,
    rank_of,
    require,
    scaling,
)
from engine.lora.families.singular import Singular

PRINCIPAL, LAST, MIDDLE, RANDOM = range(4)
"""Where the training began: at these singular vectors, or at those of a random matrix."""

BEGINNINGS = {"principal": PRINCIPAL, "last": LAST, "middle": MIDDLE}
"""LyCORIS' `sig_type`, in words."""


@dataclass(frozen=True)
class TLoRA(Adapter):
    """delta = trained - scale * (the same product as it was before training).

    That was made of singular vectors of the base weight (`began` says which), so the file need not
    hold it; without `before` it is worked out anew, in about a second for a weight of 1280 rows on
    one core.
    """

    trained: Singular
    before: Singular | None
    began: int

    def check(self, shape: torch.Size) -> None:
        self.trained.check(shape)
        if self.before is not None:
            self.before.check(shape)
        elif self.began == RANDOM:
            raise ShapeMismatchError(
                "a T-LoRA that began with random numbers, which the file does not hold"
            )
        rank = self.trained.values.numel()
        require(rank <= min(shape[0], shape[1:].numel()), f"{rank} singular vectors", shape)

    def delta(self, base: torch.Tensor, strength: float) -> torch.Tensor:
        after = self.trained.delta(base, strength)
        if self.before is not None:
            return after - self.before.delta(base, strength)
        before = _part_of(base.flatten(1), self.trained.values.numel(), self.began)
        return after - before.reshape(base.shape) * (self.trained.scale * strength)


def _part_of(weight: torch.Tensor, rank: int, began: int) -> torch.Tensor:
    """The weight in `rank` of its singular directions: the largest, the smallest or the middle."""
    exact = weight.double()
    is_wide = exact.shape[0] <= exact.shape[1]
    # Its squares on the shorter side have the same directions, and are quicker to take apart.
    squares = exact @ exact.T if is_wide else exact.T @ exact
    _, vectors = torch.linalg.eigh(squares)
    # From the smallest to the largest.
    first = {PRINCIPAL: len(squares) - rank, LAST: 0}.get(began, _middle(len(squares), rank))
    chosen = vectors[:, first : first + rank]
    part: torch.Tensor = chosen @ (chosen.T @ exact) if is_wide else (exact @ chosen) @ chosen.T
    return part.to(weight.dtype)


def _middle(count: int, rank: int) -> int:
    return count - rank - (count - rank) // 2


def build(tensors: Tensors, shape: torch.Size) -> Adapter | None:
    """Build from `p_layer` [out, r], `lambda_layer` [1, r] and `q_layer` [r, in].

    `base_p`, `base_lambda` and `base_q` are the same before training, where the file has them.
    """
    names = ("p_layer", "lambda_layer", "q_layer")
    if any(name not in tensors for name in names):
        return None
    up, values, down = (tensors[name] for name in names)
    scale = scaling(tensors, rank_of(down))
    before = None
    if all(name in tensors for name in ("base_p", "base_lambda", "base_q")):
        base_up, base_down = flat(tensors["base_p"]), flat(tensors["base_q"])
        before = Singular(base_up, tensors["base_lambda"], base_down, scale)
    began = int(number(tensors["began"])) if "began" in tensors else PRINCIPAL
    return TLoRA(Singular(flat(up), values, flat(down), scale), before, began)
