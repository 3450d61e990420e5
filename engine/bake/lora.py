"""A stack as one LoRA of a chosen rank: the best there is for each weight, and how far it is off.

The change of a weight is cut off after its largest singular values (Eckart-Young).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from engine.bake.stream import Entry, write_safetensors
from engine.lora.cache import LoraCache
from engine.lora.families import LowRank
from engine.protocol.refs import LoraRef
from engine.sdxl.unet_names import SDXL_LAYERS, layers_down, unet_original_path
from engine.switch.loras import ModelLoras
from engine.switch.phases import Phases
from engine.switch.plan import Term, WeightName, combine

_NOTHING = 1e-9
"""Singular values below this share of the largest are rounding."""
_PREFIXES = {"unet": "lora_unet_", "text_encoder": "lora_te1_", "text_encoder_2": "lora_te2_"}


@dataclass(frozen=True)
class ModuleError:
    """How far a module's change in the file is from the stack's, as it is read again."""

    name: str
    rank: int
    """0: the change is stored whole."""
    relative: float
    """The Frobenius norm of the difference, by that of the change."""
    largest: float
    """The largest difference of one weight."""


@dataclass(frozen=True)
class BakedLora:
    """What was written, and how far it is off."""

    bytes: int
    modules: tuple[ModuleError, ...]
    relative: float
    """Of all modules together."""


def bake_lora(
    parts: Mapping[str, nn.Module],
    stack: Sequence[LoraRef],
    rank: int,
    path: Path,
    metadata: Mapping[str, str],
    on_progress: Callable[[int, int], None] = lambda done, total: None,
    dtype: torch.dtype = torch.float16,
) -> BakedLora:
    """Write a stack as one LoRA of kohya's names, to be used at strength 1.

    `parts` hold the base weights. Changes of biases and norms are stored whole. Raises
    `EngineError` as a switch does, and where the file cannot be written.
    """
    unet = next(parts["unet"].parameters())
    loras = ModelLoras(parts, LoraCache(), lambda: unet.device)
    terms = combine(loras.fit(stack, Phases(), lambda: False).members)
    layers = layers_down(name for name, _ in parts["unet"].named_parameters()) or SDXL_LAYERS
    entries: list[Entry] = []
    errors: list[ModuleError] = []
    off = whole = 0.0
    for done, (name, shares) in enumerate(terms.items()):
        on_progress(done, len(terms))
        change, factors = _change(name.find(parts), shares)
        module = _file_name(name, layers)
        tensors, used = _tensors(module, name.kind, change, factors, rank, dtype)
        stored = _read_again(tensors, change)
        difference = change - stored
        off += float(difference.square().sum())
        norm = float(change.square().sum())
        whole += norm
        relative = (float(difference.square().sum()) / norm) ** 0.5 if norm else 0.0
        errors.append(ModuleError(module, used, relative, float(difference.abs().max())))
        entries += [_entry(key, tensor) for key, tensor in tensors.items()]
    metadata = {
        "ss_network_module": "networks.lora",
        "ss_network_dim": str(rank),
        "ss_network_alpha": str(rank),
        "ss_base_model_version": "sdxl_base_v1-0",
        "modelspec.architecture": "stable-diffusion-xl-v1-base/lora",
        "modelspec.title": path.stem,
        **metadata,
    }
    size = write_safetensors(path, sorted(entries, key=lambda entry: entry.name), metadata)
    return BakedLora(size, tuple(errors), (off / whole) ** 0.5 if whole else 0.0)


def _change(
    weight: torch.Tensor, shares: Sequence[Term]
) -> tuple[torch.Tensor, tuple[torch.Tensor, torch.Tensor] | None]:
    """The change of a weight in float64; and its factors [out, r] and [r, in] where it has some."""
    base = weight.detach().to("cpu", torch.float64)
    change = torch.zeros_like(base)
    for share in shares:
        change += share.adapter.delta(base, share.strength)
    if not all(isinstance(share.adapter, LowRank) for share in shares):
        return change, None
    ups, downs = [], []
    for share in shares:
        adapter = share.adapter
        assert isinstance(adapter, LowRank)
        ups.append(adapter.up.double().cpu() * (adapter.scale * share.strength))
        downs.append(adapter.down.double().cpu())
    return change, (torch.cat(ups, dim=1), torch.cat(downs))


def _tensors(
    module: str,
    kind: str,
    change: torch.Tensor,
    factors: tuple[torch.Tensor, torch.Tensor] | None,
    rank: int,
    dtype: torch.dtype,
) -> tuple[dict[str, torch.Tensor], int]:
    """What the file has of a weight, and the rank that it has there."""
    if change.dim() < 2:
        role = "diff_b" if kind == "bias" else "diff"
        return {f"{module}.{role}": change.to(dtype)}, 0
    up, values, down = _singular(change, factors)
    used = max(1, min(rank, int((values > values[0] * _NOTHING).sum())))
    roots = values[:used].sqrt()
    up, down = up[:, :used] * roots, roots[:, None] * down[:used]
    shape = change.shape
    ones = (1,) * (len(shape) - 2)
    return {
        f"{module}.alpha": torch.tensor(float(used), dtype=dtype),
        f"{module}.lora_down.weight": down.reshape(used, *shape[1:]).to(dtype),
        f"{module}.lora_up.weight": up.reshape(shape[0], used, *ones).to(dtype),
    }, used


def _singular(
    change: torch.Tensor, factors: tuple[torch.Tensor, torch.Tensor] | None
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """U, the singular values and V of a change as a matrix; of factors without the matrix."""
    matrix = change.flatten(1)
    if factors is None or factors[0].shape[1] >= min(matrix.shape):
        up, values, down = torch.linalg.svd(matrix, full_matrices=False)
        return up, values, down
    outer, first = torch.linalg.qr(factors[0])
    inner, second = torch.linalg.qr(factors[1].T)
    up, values, down = torch.linalg.svd(first @ second.T, full_matrices=False)
    return outer @ up, values, down @ inner.T


def _read_again(tensors: Mapping[str, torch.Tensor], like: torch.Tensor) -> torch.Tensor:
    """The change that the file's tensors stand for, at strength 1."""
    by_role = {key.rpartition(".lora_")[2] or key: tensor for key, tensor in tensors.items()}
    if "up.weight" not in by_role:
        return next(iter(tensors.values())).double()
    up, down = by_role["up.weight"].double(), by_role["down.weight"].double()
    return (up.flatten(1) @ down.flatten(1)).reshape(like.shape)


def _entry(key: str, tensor: torch.Tensor) -> Entry:
    return Entry(key, tensor.dtype, tuple(tensor.shape), lambda: tensor)


def _file_name(name: WeightName, layers: tuple[int, ...]) -> str:
    """The module's name in kohya's files."""
    if name.part == "unet":
        path = name.path
        with suppress(KeyError):  # distilled UNets have modules that the original layout has not
            path = unet_original_path(name.path, layers)
    else:
        path = name.path.removeprefix("text_model.")
        path = path if path == "text_projection" else f"text_model.{path}"
    return _PREFIXES[name.part] + path.replace(".", "_")
