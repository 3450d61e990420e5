"""Networks that rest in main memory and visit a device for each of their calls."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn


class Visits:
    """A network's `forward` that has the weights on a device during the call, and only then.

    The weights in main memory are the ones that count. A call computes with copies of them, which
    are dropped when it ends, however it does: nothing goes back over the bus, and what was written
    between two calls is what the next one reads.
    """

    def __init__(self, module: nn.Module, device: torch.device) -> None:
        self._module = module
        self._forward = module.forward
        self._device = device
        self._away: list[tuple[dict[str, Any], str, torch.Tensor]] = []
        self.home = next(module.parameters()).device
        """Where the weights are between two calls."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        try:
            self._go()
            there = {name: self._sent(value) for name, value in kwargs.items()}
            return self._forward(*map(self._sent, args), **there)
        finally:
            self.go_home()

    def _go(self) -> None:
        for module in self._module.modules():
            tables: tuple[dict[str, Any], ...] = module._parameters, module._buffers
            for table in tables:
                for name, tensor in table.items():
                    if tensor is not None:
                        self._away.append((table, name, tensor))
                        table[name] = self._copy(tensor)

    def _copy(self, tensor: torch.Tensor) -> torch.Tensor:
        copy = copy_on(self._device, tensor.detach())
        is_parameter = isinstance(tensor, nn.Parameter)
        return nn.Parameter(copy, requires_grad=False) if is_parameter else copy

    def _sent(self, value: Any) -> Any:
        return copy_on(self._device, value) if isinstance(value, torch.Tensor) else value

    def go_home(self) -> None:
        """Let the weights be those in main memory again; for a call that is on its way, too."""
        while self._away:
            # In this order an interrupt between them leaves nothing away.
            table, name, tensor = self._away[-1]
            table[name] = tensor
            self._away.pop()


def copy_on(device: torch.device, tensor: torch.Tensor) -> torch.Tensor:
    """A tensor on a device, when the copying is done: what it was copied from may be written to."""
    return tensor.to(device)


def visits_of(module: nn.Module) -> Visits | None:
    """How a network visits a device, if it does."""
    forward = vars(module).get("forward")
    return forward if isinstance(forward, Visits) else None


def home_of(module: nn.Module) -> torch.device:
    """Where a network's weights are between its calls."""
    visits = visits_of(module)
    return visits.home if visits else next(module.parameters()).device
