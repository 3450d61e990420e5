"""Open an SDXL model offline: a single file in the original layout, or a diffusers folder."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate import init_empty_weights
from diffusers import (
    AutoencoderKL,
    EulerDiscreteScheduler,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from safetensors import SafetensorError, safe_open
from torch import nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

from engine.checkpoint.config import checkpoint_config
from engine.checkpoint.kinds import require_sdxl
from engine.checkpoint.layout import PARTS, Part, Source, parameter_source
from engine.checkpoint.tokenizers import open_tokenizers
from engine.errors import CheckpointError
from engine.lora.header import Header, read_header

Progress = Callable[[int, int], None]
"""Called with bytes done and bytes in all; may raise to stop the loading."""


@dataclass(frozen=True)
class Checkpoint:
    """An opened model: diffusers' pipeline, and how its latents look as RGB."""

    path: Path
    pipeline: StableDiffusionXLPipeline
    default_size: int
    """Pixels a side of the pictures it was trained on."""
    latent_rgb: Mapping[str, Any]
    """`factors` [4, 3] and `bias` [3]."""

    @property
    def modules(self) -> dict[Part, nn.Module]:
        """The four networks by part."""
        return {part: getattr(self.pipeline, part) for part in PARTS}


def check_checkpoint(path: Path) -> None:
    """Raise what `open_checkpoint` would for a path that is no SDXL model, reading headers only."""
    if path.is_dir():
        _require_sdxl_folder(path)
        return
    header = read_header(path)
    require_sdxl(path.name, header)
    checkpoint_config(path.name, header)


def open_checkpoint(
    path: Path, *, device: str, dtype: torch.dtype, progress: Progress | None = None
) -> Checkpoint:
    """Open a model file or folder and put it on `device` as `dtype`; the VAE is kept in float32.

    No network is used. On a CPU at the file's own dtype the parameters are the mapped file
    itself, copied page by page when written: the file never changes, and must not be rewritten in
    place by others meanwhile.
    Raises `CheckpointError` or `FileFormatError` with a sentence for the user.
    """
    try:
        if path.is_dir():
            return _open_folder(path, device, dtype)
        return _open_file(path, device, dtype, progress or (lambda done, total: None))
    except (OSError, ValueError, TypeError, KeyError, AttributeError, SafetensorError) as error:
        raise CheckpointError(f"{path}: cannot be opened as SDXL ({error}).") from error


def _open_file(path: Path, device: str, dtype: torch.dtype, progress: Progress) -> Checkpoint:
    header = read_header(path)
    require_sdxl(path.name, header)
    config = checkpoint_config(path.name, header)
    with init_empty_weights(include_buffers=False):
        modules: dict[Part, nn.Module] = {
            "unet": UNet2DConditionModel(**config["unet"]),
            "text_encoder": CLIPTextModel(CLIPTextConfig(**config["text_encoder"])),
            "text_encoder_2": CLIPTextModelWithProjection(
                CLIPTextConfig(**config["text_encoder_2"])
            ),
            "vae": AutoencoderKL(**config["vae"]),
        }
    plan = {part: list(_plan(path.name, header, part, module)) for part, module in modules.items()}
    total = sum(header.tensors[s.key].end - header.tensors[s.key].start for s in _unique(plan))
    done = 0
    with safe_open(path, framework="pt", device="cpu") as file:
        fused: Fused = {}
        for part, module in modules.items():
            wanted = torch.float32 if part == "vae" else dtype
            for name, source, shape in plan[part]:
                tensor = _read(file, source, fused)
                done += tensor.nbytes
                tensor = tensor.reshape(shape).to(device=device, dtype=wanted)
                _set_parameter(module, name, tensor)
                progress(done, total)
    for module in modules.values():
        module.to(device).eval().requires_grad_(False)
    first, second = open_tokenizers(path, config["text_encoder"]["vocab_size"])
    pipeline = StableDiffusionXLPipeline(
        **modules,
        tokenizer=first,
        tokenizer_2=second,
        scheduler=EulerDiscreteScheduler(**config["scheduler"]),
        add_watermarker=False,
    )
    return _finish(path, pipeline, config["latent_rgb"])


def _unique(plan: Mapping[Part, list[tuple[str, Source, torch.Size]]]) -> Iterator[Source]:
    seen: set[str] = set()
    for entries in plan.values():
        for _, source, _ in entries:
            if source.key not in seen:
                seen.add(source.key)
                yield source


def _plan(
    name: str, header: Header, part: Part, module: nn.Module
) -> Iterator[tuple[str, Source, torch.Size]]:
    """Pair each parameter with its place in the file, checking presence and size."""
    blocks = len(module.decoder.up_blocks) if isinstance(module, AutoencoderKL) else 0
    for parameter, tensor in module.named_parameters():
        source = parameter_source(part, parameter, vae_up_blocks=blocks)
        info = header.tensors.get(source.key)
        if info is None:
            raise CheckpointError(f"{name}: the tensor {source.key} is missing; download it again.")
        count = tensor.numel() * (3 if source.third is not None else 1)
        if torch.Size(info.shape).numel() != count:
            raise CheckpointError(
                f"{name}: the tensor {source.key} has the shape {list(info.shape)}, which does "
                f"not fit SDXL's {list(tensor.shape)}."
            )
        yield parameter, source, tensor.shape


Fused = dict[str, tuple[torch.Tensor, int]]
"""Fused tensors that were read and are needed again, with how often they were used."""


def _read(file: Any, source: Source, fused: Fused) -> torch.Tensor:
    """Read a parameter; a fused tensor is read once and dropped after its third part."""
    if source.third is None:
        tensor: torch.Tensor = file.get_tensor(source.key)
        return tensor.T.contiguous() if source.transposed else tensor
    whole, uses = fused.pop(source.key, None) or (file.get_tensor(source.key), 0)
    if uses < 2:
        fused[source.key] = (whole, uses + 1)
    return whole.chunk(3)[source.third]


def _set_parameter(module: nn.Module, name: str, tensor: torch.Tensor) -> None:
    path, _, attribute = name.rpartition(".")
    owner = module.get_submodule(path)
    setattr(owner, attribute, nn.Parameter(tensor, requires_grad=False))


def _require_sdxl_folder(path: Path) -> None:
    """Raise `CheckpointError` unless a diffusers folder says that it holds SDXL's base model."""
    try:
        index = json.loads((path / "model_index.json").read_text(encoding="utf-8"))
        unet = json.loads((path / "unet" / "config.json").read_text(encoding="utf-8"))
        kind, channels = index["_class_name"], unet["in_channels"]
    except FileNotFoundError as error:
        raise CheckpointError(
            f"{path}: the folder has no {Path(error.filename).relative_to(path)}, so it is no "
            "diffusers model; give a .safetensors file or a diffusers folder."
        ) from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{path}: its model_index.json cannot be read ({error}).") from error
    if not str(kind).startswith("StableDiffusionXL") or "text_encoder_2" not in index:
        raise CheckpointError(f"{path}: the folder holds a {kind}; only SDXL can be opened.")
    if index.get("text_encoder", [None])[0] is None or channels != 4:
        raise CheckpointError(
            f"{path}: this is SDXL's refiner or an inpainting model; open the base model."
        )


def _open_folder(path: Path, device: str, dtype: torch.dtype) -> Checkpoint:
    _require_sdxl_folder(path)
    variant = "fp16" if any((path / "unet").glob("*.fp16.safetensors")) else None
    pipeline = StableDiffusionXLPipeline.from_pretrained(
        path,
        dtype={"vae": torch.float32, "default": dtype},
        variant=variant,
        local_files_only=True,
        use_safetensors=True,
        add_watermarker=False,
    )
    pipeline.to(device)
    for part in PARTS:
        getattr(pipeline, part).eval().requires_grad_(False)
    config = checkpoint_config(path.name, Header({}, {}, 0, 0))
    return _finish(path, pipeline, config["latent_rgb"])


def _finish(
    path: Path, pipeline: StableDiffusionXLPipeline, latent_rgb: Mapping[str, Any]
) -> Checkpoint:
    pipeline.set_progress_bar_config(disable=True)
    scale = 2 ** (len(pipeline.vae.config.block_out_channels) - 1)
    return Checkpoint(path, pipeline, pipeline.unet.config.sample_size * scale, latent_rgb)
