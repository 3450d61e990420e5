"""Under which names files hold a parameter: the original layout's, diffusers' and transformers'."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from engine.checkpoint.config import Config
from engine.checkpoint.unet_layers import UNetLayers
from engine.sdxl.layout import Part, Source, diffusers_vae_names, original_source

Spellings = Callable[[str], Iterator[Source]]
"""Where a parameter may lie within its network, by its name in diffusers or transformers."""


def spellings_of(part: Part, config: Config, *, original_first: bool) -> Spellings:
    """The names that the parameters of a network have in files, the likeliest first.

    Files of one program hold others' names too: conversions translate what they know, and leave
    the rest. Where a file holds two, the first counts.
    """
    layers = UNetLayers.of_config(config["unet"]).counts_down
    vae_blocks = len(config["vae"]["block_out_channels"])

    def original(name: str) -> Iterator[Source]:
        try:
            yield original_source(part, name, layers=layers, vae_blocks=vae_blocks)
        except KeyError:
            # A block of another kind than SDXL's, which the original layout has no name for.
            return

    def own(name: str) -> Iterator[Source]:
        if part == "vae":
            yield from map(Source, diffusers_vae_names(name))
            return
        yield Source(name)
        if part != "unet":
            # Text encoders were called `text_model` within their files before transformers 5.6.
            bare = name.removeprefix("text_model.")
            yield Source(f"text_model.{bare}")
            yield Source(bare)

    def spellings(name: str) -> Iterator[Source]:
        for names in (original, own) if original_first else (own, original):
            yield from names(name)

    return spellings
