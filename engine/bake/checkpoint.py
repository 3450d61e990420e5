"""A model with its live stack as a single file in the original layout."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path

import torch
from torch import nn

from engine.bake.stream import Entry, write_safetensors
from engine.checkpoint import Checkpoint
from engine.errors import EngineError
from engine.sdxl.layout import Part, parameter_source
from engine.sdxl.unet_names import SDXL_LAYERS, layers_down


def bake_checkpoint(
    model: Checkpoint,
    path: Path,
    metadata: Mapping[str, str],
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> int:
    """Write the weights as they are now, in their own types; returns the bytes written.

    The VAE is written in the UNet's type where that holds all of its values exactly. What the model
    predicts is written too. Raises `EngineError` where the file cannot be written, is there already
    or the UNet has weights that the layout has no names for.
    """
    dtype = next(model.modules["unet"].parameters()).dtype
    vae = dtype if _all_fit(model.modules["vae"], dtype) else torch.float32
    entries = list(_entries(model.modules, {"vae": vae}))
    metadata = {
        "modelspec.sai_model_spec": "1.0.0",
        "modelspec.architecture": "stable-diffusion-xl-v1-base",
        "modelspec.implementation": "https://github.com/Stability-AI/generative-models",
        "modelspec.title": path.stem,
        "modelspec.prediction_type": "epsilon" if model.prediction == "epsilon" else "v",
        **metadata,
    }
    markers = {"epsilon": (), "v": ("v_pred",), "v-zsnr": ("v_pred", "ztsnr")}[model.prediction]
    for name in markers:
        entries.append(Entry(name, dtype, (0,), lambda: torch.empty(0, dtype=dtype)))
    return write_safetensors(path, entries, metadata, on_progress)


def _entries(
    modules: Mapping[Part, nn.Module], dtypes: Mapping[Part, torch.dtype]
) -> Iterator[Entry]:
    for part, module in modules.items():
        layers = layers_down(name for name, _ in module.named_parameters()) or SDXL_LAYERS
        fused: dict[str, dict[int, nn.Parameter]] = {}
        for name, parameter in module.named_parameters():
            dtype = dtypes.get(part, parameter.dtype)
            try:
                source = parameter_source(part, name, layers=layers)
            except KeyError as error:
                raise EngineError(
                    f"The model's weight {name} has no name in the original layout; it cannot be "
                    "written as a single file."
                ) from error
            if source.third is not None:
                thirds = fused.setdefault(source.key, {})
                thirds[source.third] = parameter
                if len(thirds) == 3:
                    first = thirds[0]
                    shape = (3 * first.shape[0], *first.shape[1:])
                    yield Entry(source.key, dtype, shape, partial(_joined, dict(thirds), dtype))
                continue
            shape = tuple(parameter.shape[::-1] if source.transposed else parameter.shape)
            make = partial(_one, parameter, dtype, source.transposed)
            yield Entry(source.key, dtype, shape, make)


def _one(parameter: nn.Parameter, dtype: torch.dtype, transposed: bool) -> torch.Tensor:
    tensor = parameter.detach().to(dtype)
    return tensor.T if transposed else tensor


def _joined(thirds: Mapping[int, nn.Parameter], dtype: torch.dtype) -> torch.Tensor:
    """The q, k and v of a layer as one."""
    return torch.cat([thirds[number].detach().to(dtype) for number in range(3)])


def _all_fit(module: nn.Module, dtype: torch.dtype) -> bool:
    return all(torch.equal(p.to(dtype).to(p.dtype), p) for p in module.parameters())
