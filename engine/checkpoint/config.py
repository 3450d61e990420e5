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

from engine.checkpoint.prediction_in_files import other_prediction_in, prediction_in
from engine.errors import CheckpointError
from engine.files.header import Header
from engine.files.json_text import parse_json
from engine.sdxl.prediction import Prediction

METADATA_KEY = "loraswitch.config"
Config = dict[str, dict[str, Any]]

NONSENSE = (
    TypeError, ValueError, LookupError, AttributeError, ArithmeticError, RuntimeError,
    StrictDataclassError,
)  # fmt: skip
"""What comes of building a model by values of any type and size, as a file may hold them."""


def checkpoint_config(name: str, header: Header, like: Config | None = None) -> Config:
    """Build the configuration of each part (`unet`, `vae`, ...) for a checkpoint's header.

    Of a file that says nothing of itself it is that of the model it is `like`, or SDXL's.
    Raises `CheckpointError` when the header's own configuration makes no sense.
    """
    config = sdxl_config()
    if like is not None:
        # What the noise was like, and what is predicted, is the file's own.
        config.update({part: dict(like[part]) for part in like if part != "scheduler"})
    own = header.metadata.get(METADATA_KEY)
    if own is not None:
        _overlay(name, config, own)
    if prediction := prediction_in(header):
        set_prediction(config, prediction)
    elif other := other_prediction_in(header):
        config["scheduler"]["prediction_type"] = other
    return config


def set_prediction(config: Config, prediction: Prediction) -> None:
    """Have the scheduler take the model's predictions for noise, or for v."""
    scheduler = config["scheduler"]
    scheduler["prediction_type"] = "epsilon" if prediction == "epsilon" else "v_prediction"
    scheduler["rescale_betas_zero_snr"] = prediction == "v-zsnr"


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
