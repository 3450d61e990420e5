"""Open an SDXL model offline: a single file in the original layout, or a diffusers folder."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers import EulerDiscreteScheduler, StableDiffusionXLPipeline
from torch import nn

from engine.checkpoint.config import Config, refuse_nonsense
from engine.checkpoint.leftovers import log_left_out, notes_on_tensors, notes_on_zeros
from engine.checkpoint.load import Progress, load_weights
from engine.checkpoint.locate import Located, locate
from engine.checkpoint.model_files import ModelFiles
from engine.checkpoint.networks import make_networks
from engine.checkpoint.read import ModelChoice, read_model
from engine.checkpoint.source import WeightSource
from engine.checkpoint.tokenizers import CLIP_VOCABULARY, open_tokenizers
from engine.sdxl.layout import PARTS, Part
from engine.sdxl.prediction import Prediction


@dataclass(frozen=True)
class Checkpoint:
    """An opened model: diffusers' pipeline, and how its latents look as RGB."""

    path: Path
    pipeline: StableDiffusionXLPipeline
    default_size: int
    """Pixels a side of the pictures it was trained on."""
    latent_rgb: Mapping[str, Any]
    """`factors` [4, 3] and `bias` [3]."""
    source: WeightSource | None = None
    """Reads the base weights again from the model's files."""
    notes: tuple[str, ...] = ()
    """What the user should know of the model, in sentences."""

    @property
    def prediction(self) -> Prediction:
        """What the UNet predicts in each step."""
        scheduler = self.pipeline.scheduler.config
        if scheduler.prediction_type != "v_prediction":
            return "epsilon"
        return "v-zsnr" if scheduler.rescale_betas_zero_snr else "v"

    @property
    def modules(self) -> dict[Part, nn.Module]:
        """The four networks by part."""
        return {part: getattr(self.pipeline, part) for part in PARTS}


def check_checkpoint(
    path: Path, *, vae: Path | None = None, parts_from: Path | None = None
) -> None:
    """Raise what `open_checkpoint` would for a path that is no SDXL model, reading headers only."""
    read_model(ModelChoice(path, vae, parts_from), half=True)


@dataclass(frozen=True)
class CheckpointPlan:
    """A model whose files are known to fit together, before any weight is read."""

    files: ModelFiles
    modules: dict[Part, nn.Module]
    """Still without weights."""
    located: Mapping[Part, Located]
    scheduler: EulerDiscreteScheduler
    tokenizers: tuple[Any, Any]
    default_size: int

    def load(
        self,
        *,
        device: str,
        visitors: Collection[Part] = (),
        channels_last: bool = False,
        progress: Progress | None = None,
    ) -> Checkpoint:
        """Read the weights onto `device`, once; see `open_checkpoint`."""
        places = {part: located.places for part, located in self.located.items()}
        loaded = load_weights(
            self.modules,
            places,
            device=device,
            visitors=visitors,
            channels_last=channels_last,
            progress=progress or (lambda done, total: None),
        )
        source = WeightSource(places, loaded.views)
        source.require_unchanged()
        pipeline = StableDiffusionXLPipeline(
            **self.modules,
            tokenizer=self.tokenizers[0],
            tokenizer_2=self.tokenizers[1],
            scheduler=self.scheduler,
            add_watermarker=False,
        )
        pipeline.set_progress_bar_config(disable=True)
        return Checkpoint(
            self.files.path,
            pipeline,
            self.default_size,
            self.files.config["latent_rgb"],
            source,
            (
                *self.files.notes,
                *notes_on_tensors(self.files.path.name, self.located),
                *notes_on_zeros(loaded.zeros),
            ),
        )


def _require_colours(config: Config) -> None:
    """Raise `ValueError` unless previews can be drawn of latents with `latent_rgb`."""
    channels = config["unet"]["in_channels"]
    for name, shape in (("factors", (channels, 3)), ("bias", (3,))):
        values = torch.tensor(config["latent_rgb"][name], dtype=torch.float32)
        if values.shape != shape or not values.isfinite().all():
            raise ValueError(f"the {name} of latent_rgb are not {shape} numbers")


def plan_checkpoint(
    path: Path,
    *,
    dtype: torch.dtype,
    vae: Path | None = None,
    vae_dtype: torch.dtype = torch.float32,
    parts_from: Path | None = None,
    prediction: Prediction | None = None,
) -> CheckpointPlan:
    """Do all of `open_checkpoint` that needs no weights, and so may refuse the model.

    Raises `CheckpointError` or `FileFormatError` with a sentence for the user.
    """
    choice = ModelChoice(path, vae, parts_from, prediction)
    files = read_model(choice, half=dtype in (torch.float16, torch.bfloat16))
    size = files.default_size
    modules = make_networks(path.name, files.config)
    located = {
        part: locate(files.parts[part], module, vae_dtype if part == "vae" else dtype)
        for part, module in modules.items()
    }
    with refuse_nonsense(path.name):
        scheduler = EulerDiscreteScheduler.from_config(files.config["scheduler"])
    vocabulary = files.config["text_encoder"].get("vocab_size", CLIP_VOCABULARY)
    with refuse_nonsense(path.name):
        _require_colours(files.config)
    tokenizers = open_tokenizers(files.tokenizer, path.name, vocabulary)
    log_left_out(path.name, files)
    return CheckpointPlan(files, modules, located, scheduler, tokenizers, size)


def open_checkpoint(
    path: str | Path,
    *,
    device: str,
    dtype: torch.dtype,
    vae: Path | None = None,
    vae_dtype: torch.dtype = torch.float32,
    parts_from: Path | None = None,
    prediction: Prediction | None = None,
    visitors: Collection[Part] = (),
    channels_last: bool = False,
    progress: Progress | None = None,
) -> Checkpoint:
    """Open a model file or folder and put it on `device` as `dtype`, its VAE as `vae_dtype`.

    `vae` is a file or diffusers folder to take the VAE from instead of the model's own, and
    `parts_from` a model whose text encoders and VAE are used where this one has none, such as for a
    UNet alone. `prediction` says what the model predicts, whatever its files say of it. `visitors`
    are networks that go to main memory instead, from where they will visit the device.
    `channels_last` orders the weights of the UNet's and the VAE's convolutions so, which suits
    tensor cores. `progress` hears of the bytes done and in all, and may raise to stop.

    No network is used. On a CPU at the file's own dtype the parameters (but the VAE's) are the
    mapped file itself, copied page by page when written: this never changes the file. When others
    write to it, the weights change with it, which a `LoraSwitcher` with the model's `source`
    notices; when they cut it off while its pages are read, the system ends the process. Another
    file may take its name at any time.
    Raises `CheckpointError` or `FileFormatError` with a sentence for the user.
    """
    plan = plan_checkpoint(
        Path(path),
        dtype=dtype,
        vae=vae,
        vae_dtype=vae_dtype,
        parts_from=parts_from,
        prediction=prediction,
    )
    return plan.load(
        device=device, visitors=visitors, channels_last=channels_last, progress=progress
    )
