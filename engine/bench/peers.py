"""How others do it, on the same weights and files: diffusers, and a bare copy of the weights."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import torch
from diffusers import StableDiffusionXLPipeline
from safetensors.torch import load_file
from torch import nn

from engine.bench.clock import median, seconds_of
from engine.bench.results import Peer
from engine.bench.steadiness import Steadiness, spread
from engine.bench.switches import BACK, FROM_BASE, TO_ANOTHER
from engine.switch.plan import WeightName

HAS_PEFT = find_spec("peft") is not None
"""diffusers loads LoRAs with the help of PEFT."""


def bare_backup(
    parts: Mapping[str, nn.Module],
    names: Sequence[WeightName],
    device: torch.device,
    steadiness: Steadiness,
    repeat: int,
) -> Peer:
    """Copy the weights that a LoRA touches into fresh memory beside them, and do no more."""
    live = [name.find(parts) for name in names]
    seconds, copies = list[float](), [steadiness.sample()]
    for _ in range(repeat):
        seconds.append(seconds_of(lambda: [weight.clone() for weight in live], device))
        copies.append(steadiness.sample())
    name = "a bare backup copy"
    return Peer(name, FROM_BASE, median(seconds), min(seconds), spread(copies), repeat)


class DiffusersPeers:
    """Loads, fuses, unfuses and unloads one LoRA, then switches to another, and without fusing.

    Its unfusing subtracts in the weights' own dtype, so the base is not the same afterwards.
    """

    def __init__(
        self,
        parts: Mapping[str, nn.Module],
        loras: Sequence[Path],
        device: torch.device,
        steadiness: Steadiness,
    ) -> None:
        self._user = DiffusersUser(parts, device)
        self._loras = loras
        self._steadiness = steadiness
        self._copies = [steadiness.sample()]
        self._runs: list[tuple[float, float, float, float]] = []

    def run(self) -> tuple[Peer, ...]:
        """Do all of it once more; what is known now.

        Raises what diffusers raises for a file it does not take.
        """
        with quiet_peft():
            self._runs.append(self._user.cycle(self._loras[0], self._loras[-1]))
        self._copies.append(self._steadiness.sample())
        unsteady = spread(self._copies)
        names = (
            ("diffusers: load, fuse", FROM_BASE),
            ("diffusers: unfuse, unload, load, fuse", TO_ANOTHER),
            ("diffusers: unfuse, unload", BACK),
            ("diffusers: set_adapters, none fused", TO_ANOTHER),
        )
        return tuple(
            Peer(name, against, median(column), min(column), unsteady, len(column))
            for (name, against), column in zip(names, zip(*self._runs, strict=True), strict=True)
            if against != TO_ANOTHER or len(self._loras) > 1
        )


@contextmanager
def quiet_peft() -> Iterator[None]:
    """Keep PEFT from warning of a second adapter, for which it takes what diffusers leaves."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        yield


def pipeline_of(parts: Mapping[str, nn.Module]) -> StableDiffusionXLPipeline:
    """A pipeline of the networks that LoRAs change, and of nothing else."""
    given = {name: parts.get(name) for name in ("unet", "text_encoder", "text_encoder_2")}
    return StableDiffusionXLPipeline(
        vae=None, tokenizer=None, tokenizer_2=None, scheduler=None, add_watermarker=False, **given
    )


class DiffusersUser:
    """What a user of diffusers calls."""

    def __init__(self, parts: Mapping[str, nn.Module], device: torch.device) -> None:
        self._pipe = pipeline_of(parts)
        self._device = device

    def cycle(self, first: Path, second: Path) -> tuple[float, float, float, float]:
        """Seconds from the base to A, from A to B, back to the base, and from A to B unfused."""
        to_first = self._seconds(lambda: self.fuse(first))
        to_second = self._seconds(lambda: self._replace(second))
        back = self._seconds(self.unfuse)
        self._load(first, "a")
        self._load(second, "b")
        self._pipe.set_adapters(["a"])
        unfused = self._seconds(lambda: self._pipe.set_adapters(["b"]))
        self.unload()
        return to_first, to_second, back, unfused

    def _seconds(self, action: Callable[[], object]) -> float:
        return seconds_of(action, self._device)

    def _load(self, path: Path, name: str) -> None:
        self._pipe.load_lora_weights(load_file(path), adapter_name=name)

    def fuse(self, path: Path) -> None:
        """Load a LoRA and add it to the weights. Raises what diffusers raises."""
        self._load(path, "fused")
        self._pipe.fuse_lora()

    def _replace(self, path: Path) -> None:
        self.unfuse()
        self.fuse(path)

    def unfuse(self) -> None:
        """Subtract it again, and forget it."""
        self._pipe.unfuse_lora()
        self.unload()

    def unload(self) -> None:
        """Forget what is loaded."""
        self._pipe.unload_lora_weights()
