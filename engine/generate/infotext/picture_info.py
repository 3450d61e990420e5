"""What an infotext says of a picture."""

from __future__ import annotations

import re
from dataclasses import dataclass

from engine.generate.infotext.passes import HiresUsed, StartUsed
from engine.protocol.request import Noise
from engine.sdxl.prediction import Prediction
from engine.words.lora_tags import LoraTag

_OF_A1111 = re.compile(r"[vf][0-9]+\.[0-9]")
"""How the versions of A1111 (`v1.10.1`) and Forge (`f2.0.1`) begin."""

NamedHashes = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class ModelUsed:
    """The model that draws, by all that a picture says of it. Hashes are AutoV2, 10 digits."""

    name: str
    hash: str | None = None
    vae: str | None = None
    """Where it is not the model's own."""
    vae_hash: str | None = None
    prediction: Prediction = "epsilon"
    parts_from: str | None = None
    """The model that lends text encoders or a VAE to one that has none."""


@dataclass(frozen=True)
class Infotext:
    """The settings of a picture as far as they are known; None is left out.

    Sampler and schedule have the names of this program where it knows them, else those of the one
    that wrote them. `extra` holds fields without a place of their own, as written, such as
    `Hires sampler`.
    """

    prompt: str = ""
    """With the tags that were typed or written there."""
    negative_prompt: str = ""
    steps: int | None = None
    sampler: str | None = None
    schedule: str | None = None
    cfg_scale: float | None = None
    seed: int | None = None
    width: int | None = None
    height: int | None = None
    model_hash: str | None = None
    model: str | None = None
    vae: str | None = None
    vae_hash: str | None = None
    prediction: str | None = None
    """What the model predicts where it is not the noise: `v` or `v-zsnr`."""
    parts_from: str | None = None
    """The model that lent text encoders or a VAE to one that has none."""
    clip_skip: int | None = None
    empty_negative: str | None = None
    """What stood for an empty negative prompt: `zeros` or `encoded`."""
    rng: str | None = None
    """Where the noise was drawn, in A1111's words: `CPU`, `GPU` or `NV`; or `ComfyUI`."""
    variation_seed: int | None = None
    variation_strength: float | None = None
    start: StartUsed | None = None
    hires: HiresUsed | None = None
    region_ratios: str | None = None
    """Regional Prompter's `RP Ratios`."""
    region_masks: NamedHashes = ()
    """The pictures that say where regions lie."""
    loras: tuple[LoraTag, ...] = ()
    """Those named beside the prompt, as SwarmUI, Fooocus and Civitai's generator do it."""
    lora_hashes: NamedHashes = ()
    embedding_hashes: NamedHashes = ()
    """Of textual inversions: A1111's `TI hashes`."""
    extra: tuple[tuple[str, str], ...] = ()
    version: str | None = None

    @property
    def noise(self) -> Noise | None:
        """Whose noise its seed stands for; A1111 and Forge name none for that of GPUs."""
        if self.rng is None:
            return "GPU" if _OF_A1111.match(self.version or "") else None
        # stable-diffusion.cpp calls the noise of GPUs `cuda`.
        known: dict[str, Noise] = {
            "cpu": "CPU",
            "gpu": "GPU",
            "nv": "GPU",
            "cuda": "GPU",
            "comfyui": "ComfyUI",
        }
        return known.get(self.rng.casefold())

    @property
    def drawable_prompt(self) -> str:
        """The prompt with the LoRAs named beside it, as tags: all that it takes here."""
        return " ".join(filter(None, (self.prompt, *map(str, self.loras))))
