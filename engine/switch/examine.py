"""Examine a LoRA file against a model that is not loaded: would it be applied, and to what?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from msgspec import structs
from torch import nn

from engine.checkpoint.outline import outline_of
from engine.demo import DEMO_MODEL
from engine.device import DTYPES
from engine.errors import LoraRefusedError
from engine.lora.cache import require_room
from engine.lora.file import (
    LoraFile,
    non_finite_values,
    read_lora_header,
    read_values,
    refuse_non_finite,
)
from engine.lora.targets import TargetTable
from engine.protocol.reports import LoraReport
from engine.switch.fit import Adapters, fit, refuse_wrong_base


@dataclass(frozen=True)
class Examination:
    """How a LoRA file fits one model, down to its values."""

    model: str
    """The model's name."""
    dtype: str
    report: LoraReport | None
    """What it would change; None where nothing fits."""
    refusal: str
    """Why it would not be applied, as a sentence; empty when it would be."""
    non_finite: tuple[tuple[str, int], ...]
    """Modules with values that are NaN or infinite, and how many."""
    fits_demo: bool = False
    """It does not fit this model but the embedded demo."""


def examine(path: Path, model: Path | None = None, dtype: str = "float16") -> Examination:
    """Read a LoRA and fit it to a model file or folder; None is SDXL in its real size.

    Of the model only the configuration is read. Raises `FileFormatError` for a file that is broken
    or `LoraRefusedError` for one that is no LoRA, and `CheckpointError` for the model.
    """
    opened = read_lora_header(path)
    non_finite: dict[str, int] = {}
    refusal, report = "", None
    try:
        adapters, report = _fit(opened, model, dtype)
        require_room(opened, adapters.tensors)
        file = read_values(opened, tensors=adapters.tensors)
        non_finite = non_finite_values(file)
        refuse_non_finite(file)
        report = structs.replace(report, zeros=adapters.with_values(file).zeros)
    except LoraRefusedError as error:
        refusal = str(error)
    return Examination(
        "SDXL" if model is None else model.stem,
        dtype,
        report,
        refusal,
        tuple(non_finite.items()),
        fits_demo=report is None and model != DEMO_MODEL and _fits_demo(opened, dtype),
    )


def _fit(opened: LoraFile, model: Path | None, dtype: str) -> tuple[Adapters, LoraReport]:
    """What a switch would say to the file, as far as its header tells."""
    parts: Mapping[str, nn.Module] = outline_of(model, DTYPES[dtype])
    refuse_wrong_base(opened)
    return fit(opened, TargetTable(parts), parts)


def _fits_demo(opened: LoraFile, dtype: str) -> bool:
    try:
        _fit(opened, DEMO_MODEL, dtype)
    except LoraRefusedError:
        return False
    return True
