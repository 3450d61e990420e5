"""Trainable adapters for the demo's LoRAs, and their tensors under the names that files use."""

from __future__ import annotations

import torch
from torch import nn


class Factors(nn.Module):
    """A parametrization of a frozen weight: weight + sign * delta, with trainable factors.

    `sign` is set to -1 while a slider learns its opposite.
    """

    def __init__(self) -> None:
        super().__init__()
        self.sign = 1.0

    def delta(self) -> torch.Tensor:
        """The change of the flattened weight [out, in * kh * kw] at strength 1."""
        raise NotImplementedError

    def tensors(self) -> dict[str, torch.Tensor]:
        """The file's tensors, by the ending of their names."""
        raise NotImplementedError

    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        return weight + self.sign * self.delta().reshape(weight.shape)


def _normal(*shape: int, std: float) -> nn.Parameter:
    return nn.Parameter(torch.randn(shape) * std)


class Lora(Factors):
    """up @ down with alpha = rank."""

    def __init__(self, weight: torch.Tensor, rank: int) -> None:
        super().__init__()
        self.shape = weight.shape
        self.down = _normal(rank, weight[0].numel(), std=weight[0].numel() ** -0.5)
        self.up = nn.Parameter(torch.zeros(weight.shape[0], rank))

    def delta(self) -> torch.Tensor:
        return self.up @ self.down

    def tensors(self) -> dict[str, torch.Tensor]:
        rank, kernel = self.down.shape[0], self.shape[2:]
        return {
            "lora_up.weight": self.up.reshape(-1, rank, *(1 for _ in kernel)),
            "lora_down.weight": self.down.reshape(rank, *self.shape[1:]),
            "alpha": torch.tensor(float(rank)),
        }


class Dora(Lora):
    """LoRA with trained row lengths."""

    def __init__(self, weight: torch.Tensor, rank: int) -> None:
        super().__init__(weight, rank)
        self.magnitude = nn.Parameter(weight.flatten(1).norm(dim=1, keepdim=True).clone())

    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        changed = weight.flatten(1) + self.delta()
        norm = changed.norm(dim=1, keepdim=True) + torch.finfo(weight.dtype).eps
        rescaled: torch.Tensor = changed * (self.magnitude / norm)
        return rescaled.reshape(weight.shape)

    def tensors(self) -> dict[str, torch.Tensor]:
        scale = self.magnitude.reshape(-1, *(1 for _ in self.shape[1:]))
        return {**super().tensors(), "dora_scale": scale}


class LoHa(Factors):
    """(w1_a @ w1_b) * (w2_a @ w2_b) with alpha = rank."""

    def __init__(self, weight: torch.Tensor, rank: int) -> None:
        super().__init__()
        out, columns = weight.flatten(1).shape
        self.w1_a, self.w1_b = _normal(out, rank, std=0.5), _normal(rank, columns, std=1.0)
        self.w2_a = nn.Parameter(torch.zeros(out, rank))
        self.w2_b = _normal(rank, columns, std=1.0)

    def delta(self) -> torch.Tensor:
        return (self.w1_a @ self.w1_b) * (self.w2_a @ self.w2_b)

    def tensors(self) -> dict[str, torch.Tensor]:
        return {
            "hada_w1_a": self.w1_a,
            "hada_w1_b": self.w1_b,
            "hada_w2_a": self.w2_a,
            "hada_w2_b": self.w2_b,
            "alpha": torch.tensor(float(self.w1_b.shape[0])),
        }


class LoKr(Factors):
    """kron(w1, w2_a @ w2_b) with a whole w1 of 4 x 4 and alpha = rank; for convolutions w2 keeps
    the kernel in its columns."""

    FACTOR = 4

    def __init__(self, weight: torch.Tensor, rank: int) -> None:
        super().__init__()
        self.shape = weight.shape
        f = self.FACTOR
        columns = weight.shape[1] // f * weight.shape[2:].numel()
        self.w1 = _normal(f, f, std=0.5)
        self.w2_a = nn.Parameter(torch.zeros(weight.shape[0] // f, rank))
        self.w2_b = _normal(rank, columns, std=columns**-0.5)

    @classmethod
    def divides(cls, weight: torch.Tensor) -> bool:
        """Whether both sides split as LyCORIS splits them, with the smaller factor first."""
        return all(side % cls.FACTOR == 0 and side >= cls.FACTOR**2 for side in weight.shape[:2])

    def delta(self) -> torch.Tensor:
        return torch.kron(self.w1, self.w2_a @ self.w2_b)

    def tensors(self) -> dict[str, torch.Tensor]:
        if self.w2_b.shape[0] >= max(self.shape[:2]) // self.FACTOR / 2:
            # LyCORIS stores the second factor whole where a low rank would save nothing.
            kernel = self.shape[2:]
            whole = (self.w2_a @ self.w2_b).reshape(-1, self.shape[1] // self.FACTOR, *kernel)
            return {"lokr_w1": self.w1, "lokr_w2": whole, "alpha": torch.tensor(1.0)}
        return {
            "lokr_w1": self.w1,
            "lokr_w2_a": self.w2_a,
            "lokr_w2_b": self.w2_b,
            "alpha": torch.tensor(float(self.w2_b.shape[0])),
        }


FAMILIES: dict[str, type[Factors]] = {"lora": Lora, "dora": Dora, "loha": LoHa, "lokr": LoKr}
