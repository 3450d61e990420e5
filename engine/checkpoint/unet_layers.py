"""How many layers a UNet of SDXL's kind has where: distilled models have fewer than SDXL."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from engine.checkpoint.config import Config
from engine.errors import CheckpointError
from engine.sdxl.unet_names import Layers

Depths = tuple[tuple[int, ...], ...]
"""For each layer of each block, the transformer blocks in its attention; 0 without attention."""


@dataclass(frozen=True)
class UNetLayers:
    """The layers of a UNet: a resnet each, most with attention behind it."""

    down: Depths
    middle_resnets: int
    middle_depth: int
    """Transformer blocks between the resnets in the middle; 0 without attention."""
    up: Depths

    @property
    def counts_down(self) -> Layers:
        """Layers in each block on the way down."""
        return tuple(map(len, self.down))

    @property
    def total(self) -> int:
        """Resnets and transformer blocks in all."""
        blocks = [depth + 1 for block in (*self.down, *self.up) for depth in block]
        return sum(blocks) + self.middle_resnets + self.middle_depth

    @property
    def name(self) -> str:
        """What the distilled model is called that has these layers; empty for none known here."""
        return next((name for name, layers in _DISTILLED.items() if layers == self), "")

    @classmethod
    def of_config(cls, config: Mapping[str, Any]) -> UNetLayers:
        """The layers that diffusers makes of a UNet's configuration.

        Raises one of `config.NONSENSE` when that makes no sense.
        """
        number = len(config["down_block_types"])
        layers = _for_each(config.get("layers_per_block", 2), number)
        depths = _for_each(config.get("transformer_layers_per_block", 1), number)
        upwards = config.get("reverse_transformer_layers_per_block") or depths[::-1]
        middle = config.get("mid_block_type", _MIDDLE)
        return cls(
            _depths(config["down_block_types"], layers, depths),
            {_MIDDLE: 2, _MIDDLE_WITHOUT_ATTENTION: 1}.get(middle, 0),
            _for_each(depths[-1], 1)[0] if middle == _MIDDLE else 0,
            _depths(config["up_block_types"], [n + 1 for n in layers[::-1]], upwards),
        )

    @classmethod
    def of_names(cls, names: Iterable[str]) -> UNetLayers | None:
        """The layers whose tensors are among the names, in the original layout or in diffusers'.

        None where the names lie in no order of blocks that a UNet could have.
        """
        seen = _Seen()
        for name in names:
            seen.add(name)
        return seen.layers()

    def changes(self) -> dict[str, Any] | None:
        """The entries of a configuration that make these layers; None where none can.

        Blocks have attention in all of their layers or in none, the way up has one layer more in
        each block, and the middle is as deep as the last block of the way down.
        """
        blocks = (*self.down, *self.up)
        is_even = all(len({depth > 0 for depth in block}) == 1 for block in blocks)
        expected = tuple(len(block) + 1 for block in self.down[::-1])
        middle = (self.middle_resnets, self.middle_depth > 0)
        fits = self.middle_depth in (0, *self.down[-1][:1]) or not any(self.down[-1])
        if not (is_even and tuple(map(len, self.up)) == expected and middle in _MIDDLES and fits):
            return None
        # Of a block without attention the number is not used, but by the middle behind the last.
        empty = self.middle_depth or 1
        return {
            "layers_per_block": [len(block) for block in self.down],
            "down_block_types": [f"{_kind(block)}DownBlock2D" for block in self.down],
            "mid_block_type": _MIDDLES[middle],
            "up_block_types": [f"{_kind(block)}UpBlock2D" for block in self.up],
            "transformer_layers_per_block": [[d or empty for d in block] for block in self.down],
            "reverse_transformer_layers_per_block": [[d or 1 for d in b] for b in self.up],
        }


def with_layers_of(name: str, config: Config, names: Iterable[str]) -> tuple[Config, str]:
    """The configuration of a model with as many layers as the names of its UNet's tensors show.

    Also returns a sentence for the user when these are fewer than SDXL's.
    Raises `CheckpointError` naming the model for layers that no UNet can be made of.
    """
    layers, configured = UNetLayers.of_names(names), UNetLayers.of_config(config["unet"])
    if layers is None or layers == configured:
        return config, _note(name, configured.name) if configured.name else ""
    changes = layers.changes()
    if changes is None:
        raise CheckpointError(
            f"{name}: this is a distilled SDXL with fewer layers, in a structure that is not "
            "known: no UNet can be made of the layers that it has."
        )
    is_less = layers.total < _SDXL.total
    note = _note(name, layers.name) if is_less else f"{name} has more layers than SDXL."
    return {**config, "unet": {**config["unet"], **changes}}, note


def _note(name: str, model: str) -> str:
    return (
        f"{name} is a distilled SDXL with fewer layers{f' ({model})' if model else ''}: LoRAs made "
        "for SDXL change only those that it has."
    )


_MIDDLE, _MIDDLE_WITHOUT_ATTENTION = "UNetMidBlock2DCrossAttn", "UNetMidBlock2D"
_MIDDLES = {(2, True): _MIDDLE, (1, False): _MIDDLE_WITHOUT_ATTENTION, (0, False): None}

_BLOCK_TYPES = {"DownBlock2D", "CrossAttnDownBlock2D", "UpBlock2D", "CrossAttnUpBlock2D"}

_SDXL = UNetLayers(((0, 0), (2, 2), (10, 10)), 2, 10, ((10, 10, 10), (2, 2, 2), (0, 0, 0)))
_DISTILLED = {
    "SSD-1B": UNetLayers(((0, 0), (2, 2), (4, 4)), 1, 0, ((4, 4, 10), (2, 1, 1), (0, 0, 0))),
    "Segmind Vega": UNetLayers(((0, 0), (1, 1), (2, 2)), 1, 0, ((2, 2, 2), (1, 1, 1), (0, 0, 0))),
    "KOALA 700M": UNetLayers(((0,), (2,), (5,)), 0, 0, ((5, 5), (2, 2), (0, 0))),
    "KOALA 1B": UNetLayers(((0,), (2,), (6,)), 2, 6, ((6, 6), (2, 2), (0, 0))),
}


def _kind(block: tuple[int, ...]) -> str:
    return "CrossAttn" if any(block) else ""


def _for_each(value: Any, number: int) -> list[Any]:
    return [value] * number if isinstance(value, int) else list(value)


def _depths(kinds: Iterable[str], layers: list[int], depths: Iterable[Any]) -> Depths:
    if strange := set(kinds) - _BLOCK_TYPES:
        raise ValueError(f"blocks of the type {min(strange)}, which SDXL does not have")
    return tuple(
        tuple(_for_each(depth, count)[:count]) if "CrossAttn" in kind else (0,) * count
        for kind, count, depth in zip(kinds, layers, depths, strict=True)
    )


_ORIGINAL = re.compile(
    r"(?P<side>input_blocks|middle_block|output_blocks)\.(?P<place>\d{1,3})\."
    r"(?:(?P<layer>\d)\.)?(?P<rest>.*)"
)
_DIFFUSERS = re.compile(
    r"(?:(?P<side>down|up)_blocks\.(?P<block>\d{1,3})|mid_block)\.(?P<kind>resnets|attentions)\."
    r"(?P<place>\d{1,3})\.(?P<rest>.*)"
)
_TRANSFORMER = re.compile(r"transformer_blocks\.(\d{1,3})\.")


class _Seen:
    """What the names of a UNet's tensors show, gathered one by one."""

    def __init__(self) -> None:
        self._resnets: dict[str, set[tuple[int, int]]] = defaultdict(set)
        self._depths: dict[str, dict[tuple[int, int], int]] = defaultdict(dict)
        self._ends: dict[str, set[int]] = defaultdict(set)
        """Places of the original layout at which a block ends: by its down- or upsampler."""

    def add(self, name: str) -> None:
        """Note where a resnet or a transformer block is."""
        if match := _ORIGINAL.match(name):
            side, rest = match["side"].partition("_")[0], match["rest"]
            place = (0, int(match["place"]))
            if side == "middle" and match["layer"] is not None:
                return
            if rest.startswith(("in_layers.", "out_layers.")):
                self._resnets[side].add(place)
            elif rest.startswith(("op.", "conv.")):
                self._ends[side].add(place[1])
            else:
                self._add_depth(side, place, rest)
        elif match := _DIFFUSERS.match(name):
            side = match["side"] or "mid"
            place = (int(match["block"] or 0), int(match["place"]))
            if match["kind"] == "resnets":
                self._resnets[side].add(place)
            else:
                self._add_depth(side, place, match["rest"])

    def _add_depth(self, side: str, place: tuple[int, int], rest: str) -> None:
        if match := _TRANSFORMER.match(rest):
            depths = self._depths[side]
            depths[place] = max(depths.get(place, 0), int(match[1]) + 1)

    def layers(self) -> UNetLayers | None:
        """All of it in order."""
        if self._resnets["input"]:
            down, middle, up = self._numbered("input"), "middle", self._numbered("output")
        else:
            down, middle, up = self._blocks("down"), "mid", self._blocks("up")
        if not (down and up and all(down) and all(up)):
            return None
        depth = max(self._depths[middle].values(), default=0)
        return UNetLayers(down, len(self._resnets[middle]), depth, up)

    def _blocks(self, side: str) -> Depths:
        number = max((block for block, _ in self._resnets[side]), default=-1) + 1
        blocks: list[list[int]] = [[] for _ in range(number)]
        for place in sorted(self._resnets[side]):
            blocks[place[0]].append(self._depths[side].get(place, 0))
        return tuple(map(tuple, blocks))

    def _numbered(self, side: str) -> Depths:
        """The blocks of a side of the original layout, whose places are numbered through."""
        blocks: list[list[int]] = [[]]
        last = max((place for _, place in self._resnets[side]), default=-1)
        for place in range(last + 1):
            if (0, place) in self._resnets[side]:
                blocks[-1].append(self._depths[side].get((0, place), 0))
            if place in self._ends[side] and place < last:
                blocks.append([])
        return tuple(map(tuple, blocks))
