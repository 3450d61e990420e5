"""How one LoRA file fits the loaded model: which weights it changes, and what is left over."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import torch
from torch import nn

from engine.errors import LoraRefusedError
from engine.lora.base_model import base_of_file
from engine.lora.families import Adapter, ShapeMismatchError, build_bias, build_weight
from engine.lora.file import LoraFile
from engine.lora.targets import Target, TargetTable
from engine.reports import LoraReport
from engine.switch.plan import WeightName


def refuse_wrong_base(file: LoraFile) -> None:
    """Raise `LoraRefusedError` when the header shows that the LoRA is for another base model."""
    base, evidence = base_of_file(file.header, file.groups)
    if base not in ("", "SDXL"):
        raise LoraRefusedError(
            f"{file.path.name}: this LoRA is for {base}, the loaded model is SDXL ({evidence})."
        )


def fit(
    file: LoraFile, table: TargetTable, parts: Mapping[str, nn.Module]
) -> tuple[dict[WeightName, Adapter], LoraReport]:
    """Find the weights a LoRA changes and build its adapters for them.

    Raises `LoraRefusedError` when nothing matches or a matched weight has another shape.
    """
    adapters: dict[WeightName, Adapter] = {}
    unmatched, unsupported = [], []
    families: Counter[str] = Counter()
    for name, tensors in file.modules.items():
        target = table.find(name)
        if target is None:
            unmatched.append(name)
            continue
        built = _build(file.path.name, name, tensors, target, parts)
        if not built:
            unsupported.append(name)
            continue
        if built.keys() & adapters.keys():
            # The same weight under two names; which one was meant cannot be told.
            unsupported.append(name)
            continue
        families[file.groups[name].family] += 1
        adapters.update(built)
    matched = sum(families.values())
    if not matched:
        example = (unmatched or unsupported)[0]
        raise LoraRefusedError(
            f"{file.path.name}: none of its {len(file.modules)} modules fit the loaded model "
            f"(such as {example[:90]})."
        )
    report = LoraReport(
        file.path.stem,
        tuple(families.most_common()),
        matched,
        tuple(unmatched),
        tuple(unsupported),
    )
    return adapters, report


def _build(
    file_name: str,
    name: str,
    tensors: Mapping[str, torch.Tensor],
    target: Target,
    parts: Mapping[str, nn.Module],
) -> dict[WeightName, Adapter]:
    module = parts[target.part].get_submodule(target.path)
    built: dict[WeightName, Adapter] = {}
    weight = module.get_parameter("weight")
    adapters = {"weight": build_weight(tensors, weight.shape)}
    if isinstance(getattr(module, "bias", None), nn.Parameter):
        adapters["bias"] = build_bias(tensors)
    for kind, adapter in adapters.items():
        if adapter is None:
            continue
        try:
            adapter.check(module.get_parameter(kind).shape)
        except ShapeMismatchError as error:
            raise LoraRefusedError(
                f"{file_name}: does not fit the loaded model; {name[:90]} is {error}."
            ) from error
        built[WeightName(target.part, target.path, kind)] = adapter
    return built
