"""The model that is loaded, and what is told about it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import torch

from engine.checkpoint import Checkpoint
from engine.demo import DEMO_MODEL
from engine.device import device_name, device_uuid
from engine.files.hashes import FileHashes
from engine.generate.infotext import ModelUsed
from engine.protocol.events import ModelInfo
from engine.protocol.modes import OFFLOADED, Mode
from engine.protocol.reports import LoraReport, MemoryReport
from engine.sdxl.layout import PARTS, Part
from engine.switch.switcher import LoraSwitcher


@dataclass
class OpenedModel:
    """A checkpoint with the switcher of its weights."""

    checkpoint: Checkpoint
    switcher: LoraSwitcher
    device: torch.device
    dtype: torch.dtype
    mode: Mode
    fingerprint: str
    vae: Path | None = None
    """In place of the model's own."""
    lender: Path | None = None
    """The model whose text encoders or VAE are used."""
    loras: tuple[LoraReport, ...] = ()
    """How the LoRAs that are live fit it."""
    notes: tuple[str, ...] = ()
    """What its user should know of the device."""

    @property
    def bytes(self) -> int:
        """Bytes of all weights."""
        return self._bytes_of(PARTS)

    def _bytes_of(self, parts: Iterable[Part]) -> int:
        modules = self.checkpoint.modules
        return sum(p.nbytes for part in parts for p in modules[part].parameters())

    @property
    def vae_dtype(self) -> str:
        """By which the pictures are decoded, such as `float32`."""
        return str(self.checkpoint.pipeline.vae.dtype).removeprefix("torch.")

    def describe(self) -> ModelInfo:
        """What it is called, where it lives, how large it is."""
        checkpoint, device = self.checkpoint, str(self.device)
        modules = checkpoint.modules.values()
        return ModelInfo(
            name=checkpoint.path.stem,
            path=checkpoint.path,
            device=device,
            device_name=device_name(device),
            dtype=str(self.dtype).removeprefix("torch."),
            vae_dtype=self.vae_dtype,
            parameters=sum(p.numel() for module in modules for p in module.parameters()),
            bytes=self.bytes,
            default_size=checkpoint.default_size,
            is_demo=checkpoint.path == DEMO_MODEL.absolute(),
            gpu_uuid=device_uuid(device),
            mode=self.mode,
            prediction=checkpoint.prediction,
            fingerprint=self.fingerprint,
        )

    def used(self, model: FileHashes | None, vae: FileHashes | None) -> ModelUsed:
        """What a picture says of it, with the hashes of its files where they are known."""
        return ModelUsed(
            self.checkpoint.path.stem,
            model.autov2 if model else None,
            vae=self.vae.stem if self.vae is not None else None,
            vae_hash=vae.autov2 if vae else None,
            prediction=self.checkpoint.prediction,
            parts_from=self.lender.stem if self.lender is not None else None,
        )

    def memory(self) -> MemoryReport:
        """The bytes that it holds, by purpose."""
        cuda = self.device.type == "cuda"
        return MemoryReport(
            model=self.bytes,
            backup=self.switcher.backup_bytes,
            backup_tier=self.switcher.tier,
            backup_on_gpu=self.switcher.backup_bytes_on_gpu,
            lora_cache=self.switcher.cache_bytes,
            lora_on_gpu=self.switcher.device_cache_bytes,
            torch_allocated=torch.cuda.memory_allocated(self.device) if cuda else 0,
            torch_reserved=torch.cuda.memory_reserved(self.device) if cuda else 0,
            model_offloaded=self._bytes_of(OFFLOADED[self.mode]),
        )
