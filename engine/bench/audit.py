"""What a LoRA leaves in the weights once it is taken off: by our switches, and by diffusers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from torch import nn

from engine.bench.clock import seconds_of
from engine.bench.peers import HAS_PEFT as HAS_PEFT
from engine.bench.peers import DiffusersUser, quiet_peft
from engine.checkpoint import Checkpoint
from engine.checkpoint.source import WeightSource
from engine.errors import EngineError
from engine.protocol.refs import LoraRef
from engine.sdxl.layout import Part
from engine.switch.switcher import LoraSwitcher

PARTS: tuple[Part, ...] = ("unet", "text_encoder", "text_encoder_2")


@dataclass(frozen=True)
class Traces:
    """One LoRA put on and taken off: the seconds, and how the weights differ from the base."""

    seconds_on: float
    seconds_off: float
    tensors: int
    """That differ in at least one weight."""
    weights: int
    """Numbers that differ."""
    largest: float
    """The largest difference of one number."""


@dataclass(frozen=True)
class Audit:
    """One LoRA by both; where one of them does not take the file, why."""

    lora: Path
    ours: Traces | None = None
    ours_refused: str = ""
    diffusers: Traces | None = None
    diffusers_refused: str = ""


def audit(
    model: Checkpoint,
    loras: Sequence[LoraRef],
    on_progress: Callable[[str], object] = lambda words: None,
) -> Iterator[Audit]:
    """Put each LoRA on and off, by our switches and by diffusers with PEFT, on one model.

    Each begins at the base, which is read from the model's files again after diffusers. Without
    PEFT diffusers is left out. Raises `EngineError` where the model's files have changed.
    """
    assert model.source is not None, "opened from files"
    weights = _Weights(model.modules, model.source)
    switcher = LoraSwitcher(
        model.pipeline.unet,
        model.pipeline.text_encoder,
        model.pipeline.text_encoder_2,
        source=model.source,
    )
    user = DiffusersUser(weights.modules, weights.device)
    for ref in loras:
        on_progress(f"{ref.name}: our switches")
        found, refused = _ours(switcher, ref, weights)
        if not HAS_PEFT:
            yield Audit(ref.path, found, refused)
            continue
        on_progress(f"{ref.name}: diffusers")
        theirs, reason = _theirs(user, ref, weights)
        yield Audit(ref.path, found, refused, theirs, reason)


class _Weights:
    """The live weights beside the base's in the files."""

    def __init__(self, modules: Mapping[Part, nn.Module], source: WeightSource) -> None:
        self.modules: dict[str, nn.Module] = {part: modules[part] for part in PARTS}
        self._source = source
        self.device = next(modules["unet"].parameters()).device

    def traces(self, seconds_on: float, seconds_off: float) -> Traces:
        """Compare, one tensor at a time."""
        tensors = weights = 0
        largest = 0.0
        for live, base in self._pairs():
            # By their bits: a zero of another sign is another number too.
            different = live.view(_BITS[live.itemsize]) != base.view(_BITS[base.itemsize])
            if count := int(different.sum()):
                tensors, weights = tensors + 1, weights + count
                largest = max(largest, float((live.double() - base.double()).abs().max()))
        return Traces(seconds_on, seconds_off, tensors, weights, largest)

    def restore(self) -> None:
        """Write the base again."""
        for live, base in self._pairs():
            live.copy_(base)

    def _pairs(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        for part, module in self.modules.items():
            for name, parameter in module.named_parameters():
                yield parameter.data, self._source.read(part, name).to(self.device)
        self._source.require_as_loaded()


_REFUSALS = (ValueError, KeyError, TypeError, AttributeError, RuntimeError, SafetensorError)
"""What diffusers and its libraries raise for a file that they do not know."""
_BITS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}


def _ours(switcher: LoraSwitcher, ref: LoraRef, weights: _Weights) -> tuple[Traces | None, str]:
    try:
        on = seconds_of(lambda: switcher.apply([ref]), weights.device)
    except EngineError as error:
        return None, str(error)
    off = seconds_of(lambda: switcher.apply([]), weights.device)
    return weights.traces(on, off), ""


def _theirs(user: DiffusersUser, ref: LoraRef, weights: _Weights) -> tuple[Traces | None, str]:
    try:
        with quiet_peft():
            on = seconds_of(lambda: user.fuse(ref.path), weights.device)
            off = seconds_of(lambda: user.unfuse(), weights.device)
        return weights.traces(on, off), ""
    except _REFUSALS as error:
        # What diffusers does not know of it raises as it comes.
        return None, " ".join(str(error).split())[:200] or type(error).__name__
    finally:
        with suppress(*_REFUSALS):
            user.unload()
        weights.restore()
