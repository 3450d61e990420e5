"""The configuration of a checkpoint: SDXL's, with what a file's own header changes.

A checkpoint of SDXL's structure in another size (the demo) says so in its header's metadata under
`loraswitch.config`: the same JSON as `sdxl.json`, with only the entries that differ.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from huggingface_hub.errors import StrictDataclassError

from engine.errors import CheckpointError
from engine.json_text import parse_json
from engine.lora.header import Header

METADATA_KEY = "loraswitch.config"
Config = dict[str, dict[str, Any]]

NONSENSE = (
    TypeError, ValueError, LookupError, AttributeError, ArithmeticError, RuntimeError,
    StrictDataclassError,
)  # fmt: skip
"""What comes of building a model by values of any type and size, as a file may hold them."""


def checkpoint_config(name: str, header: Header) -> Config:
    """Build the configuration of each part (`unet`, `vae`, ...) for a checkpoint's header.

    A marker tensor `v_pred`, or ModelSpec's `modelspec.prediction_type`, selects v-prediction; with
    it the marker `ztsnr` selects zero terminal SNR (https://github.com/Stability-AI/ModelSpec,
    arXiv:2305.08891).
    Raises `CheckpointError` when the header's own configuration makes no sense.
    """
    config = sdxl_config()
    own = header.metadata.get(METADATA_KEY)
    if own is not None:
        _overlay(name, config, own)
    spec = header.metadata.get("modelspec.prediction_type", "").strip().lower()
    if "v_pred" in header.tensors or spec in ("v", "v_prediction"):
        config["scheduler"]["prediction_type"] = "v_prediction"
    # From pure noise the noise itself tells nothing: only v-prediction can start there.
    if "ztsnr" in header.tensors and config["scheduler"]["prediction_type"] == "v_prediction":
        config["scheduler"]["rescale_betas_zero_snr"] = True
    return config


def sdxl_config() -> Config:
    """The configuration of SDXL's base model 1.0."""
    config: Config = json.loads((Path(__file__).parent / "sdxl.json").read_text())
    return config


@contextmanager
def refuse_nonsense(name: str) -> Iterator[None]:
    """Raise `CheckpointError` naming the model when the block fails over its configuration."""
    try:
        yield
    except NONSENSE as error:
        words = " ".join(str(error).split())
        raise CheckpointError(f"{name}: its configuration makes no sense ({words}).") from error


def _overlay(name: str, config: Config, text: str) -> None:
    try:
        changes = parse_json(text)
    except ValueError as error:
        raise CheckpointError(f"{name}: its {METADATA_KEY} is not JSON.") from error
    if not isinstance(changes, Mapping):
        raise CheckpointError(f"{name}: its {METADATA_KEY} is not a table.")
    for part, values in changes.items():
        if part not in config or not isinstance(values, Mapping):
            raise CheckpointError(f"{name}: its {METADATA_KEY} has an unknown part {part!r}.")
        unknown = set(values) - set(config[part])
        if unknown:
            raise CheckpointError(
                f"{name}: its {METADATA_KEY} has unknown entries for {part}: {sorted(unknown)}."
            )
        config[part].update(values)
