"""Which of the UNets of Stable Diffusion has modules of these names and widths."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import cache
from typing import NamedTuple

from engine.sdxl.unet_names import unet_original_path


class UNet(NamedTuple):
    """What a UNet's module names and widths follow from."""

    name: str
    channels: tuple[int, ...]
    """Of each level, from the picture inwards."""
    depths: tuple[int, ...]
    """Transformer blocks in each attention of a level; 0 where a level has none."""
    middle_depth: int
    text_width: int
    label_width: int = 0
    """Inputs of the embedding of sizes and pooled text; 0 where there is none."""


UNETS = (
    UNet("SD 1.5", (320, 640, 1280, 1280), (1, 1, 1, 0), 1, 768),
    UNet("SD 2", (320, 640, 1280, 1280), (1, 1, 1, 0), 1, 1024),
    UNet("SDXL", (320, 640, 1280), (0, 2, 10), 10, 2048, 2816),
    UNet("SDXL refiner", (384, 768, 1536, 1536), (0, 4, 4, 0), 4, 1280, 2560),
)


class Votes(NamedTuple):
    """The UNets that have most of a file's modules, and a module that others lack."""

    names: tuple[str, ...]
    evidence: str


def unets_with(modules: Mapping[str, int | None]) -> Votes:
    """Find the UNets with most of these modules (flat names; widths of their inputs or None).

    Widths count where any of them is one of a known UNet's; else the model is of another size,
    and the names alone count. Modules that no UNet has do not count.
    """
    known = _known_modules()
    found = [(name, width, known[name]) for name, width in modules.items() if name in known]
    fitting = [(name, _with_width(width, places)) for name, width, places in found]
    if not any(places for _, places in fitting):
        fitting = [(name, tuple(places)) for name, _, places in found]
    counts = Counter(name for _, places in fitting for name in places)
    most = max(counts.values(), default=0)
    names = tuple(unet.name for unet in UNETS if counts[unet.name] == most > 0)
    alone = [name for name, places in fitting if places and set(places) <= set(names)]
    some = [name for name, places in fitting if 0 < len(places) < len(UNETS)]
    telling = alone or some
    return Votes(names, _evidence(telling, modules))


def _with_width(width: int | None, places: Mapping[str, int | None]) -> tuple[str, ...]:
    return tuple(name for name, own in places.items() if None in (width, own) or width == own)


def _evidence(telling: list[str], modules: Mapping[str, int | None]) -> str:
    for name in telling:
        width = modules[name]
        if width is not None and name.endswith(("attn2_to_k", "attn2_to_v")):
            return f"attn2 width {width}"
    if not telling:
        return ""
    width = modules[telling[0]]
    return telling[0] if width is None else f"{telling[0]}, {width} wide"


@cache
def _known_modules() -> Mapping[str, Mapping[str, int | None]]:
    """Flat module names, diffusers' and the original ones, with the widths that UNets have."""
    known: dict[str, dict[str, int | None]] = {}
    for unet in UNETS:
        layers = (2,) * len(unet.channels)
        for path, width in _modules(unet):
            for name in (path, unet_original_path(path, layers)):
                # Old files of diffusers call the output projection `to_out`, without its index.
                for written in {name, re.sub(r"to_out\.0$", "to_out", name)}:
                    known.setdefault(written.replace(".", "_"), {})[unet.name] = width
    return known


def sdxl_modules() -> Iterator[str]:
    """The paths of the modules of SDXL's UNet, in diffusers' layout."""
    return (path for path, _ in _modules(next(unet for unet in UNETS if unet.name == "SDXL")))


def _modules(unet: UNet) -> Iterator[tuple[str, int | None]]:
    """Each module's path in diffusers' layout, with the width of its inputs."""
    first, last = unet.channels[0], len(unet.channels) - 1
    yield from (("conv_in", 4), ("conv_norm_out", None), ("conv_out", first))
    yield from (("time_embedding.linear_1", first), ("time_embedding.linear_2", 4 * first))
    if unet.label_width:
        yield "add_embedding.linear_1", unet.label_width
        yield "add_embedding.linear_2", 4 * first
    for level, (channels, depth) in enumerate(zip(unet.channels, unet.depths, strict=True)):
        block, before = f"down_blocks.{level}", unet.channels[max(0, level - 1)]
        for index, inputs in enumerate((before, channels)):
            yield from _resnet(f"{block}.resnets.{index}", inputs, channels, first)
            yield from _attention(f"{block}.attentions.{index}", channels, depth, unet)
        if level < last:
            yield f"{block}.downsamplers.0.conv", channels
    for index in range(2):
        yield from _resnet(
            f"mid_block.resnets.{index}", unet.channels[-1], unet.channels[-1], first
        )
    yield from _attention("mid_block.attentions.0", unet.channels[-1], unet.middle_depth, unet)
    below = unet.channels[-1]
    for number, level in enumerate(range(last, -1, -1)):
        block, channels = f"up_blocks.{number}", unet.channels[level]
        skips = (channels, channels, unet.channels[max(0, level - 1)])
        for index, skip in enumerate(skips):
            inputs = (channels if index else below) + skip
            yield from _resnet(f"{block}.resnets.{index}", inputs, channels, first)
            yield from _attention(f"{block}.attentions.{index}", channels, unet.depths[level], unet)
        if level:
            yield f"{block}.upsamplers.0.conv", channels
        below = channels


def _resnet(path: str, inputs: int, outputs: int, first: int) -> Iterator[tuple[str, int | None]]:
    yield from ((f"{path}.norm1", None), (f"{path}.norm2", None))
    yield from ((f"{path}.conv1", inputs), (f"{path}.conv2", outputs))
    yield f"{path}.time_emb_proj", 4 * first
    if inputs != outputs:
        yield f"{path}.conv_shortcut", inputs


def _attention(
    path: str, channels: int, depth: int, unet: UNet
) -> Iterator[tuple[str, int | None]]:
    if not depth:
        return
    yield from ((f"{path}.norm", None), (f"{path}.proj_in", channels))
    yield f"{path}.proj_out", channels
    for index in range(depth):
        block = f"{path}.transformer_blocks.{index}"
        yield from ((f"{block}.norm{number}", None) for number in (1, 2, 3))
        for attention, texts in (("attn1", channels), ("attn2", unet.text_width)):
            yield f"{block}.{attention}.to_q", channels
            yield from ((f"{block}.{attention}.to_{kind}", texts) for kind in "kv")
            yield f"{block}.{attention}.to_out.0", channels
        yield from ((f"{block}.ff.net.0.proj", channels), (f"{block}.ff.net.2", 4 * channels))
