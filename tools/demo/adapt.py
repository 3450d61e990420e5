"""Put a recipe's trainable factors on the demo model, and take them off again."""

from __future__ import annotations

import re

from torch import nn
from torch.nn.utils import parametrize

from tools.demo.denoiser import TRAINED_PARTS, Denoiser
from tools.demo.factors import FAMILIES, Factors, LoKr
from tools.demo.recipes import Recipe

Attached = dict[tuple[str, str], Factors]

_ATTENTION = re.compile(r"(to_q|to_k|to_v|to_out\.0)$")
_VALUES = re.compile(r"(to_v|to_out\.0)$")
"""Enough of the attention where convolutions are trained too; keeps the files small."""

_CONVS = re.compile(r"(conv1|conv2|conv_in|conv_out)$")
_TEXT = re.compile(r"(q_proj|k_proj|v_proj|out_proj|fc1|fc2)$")


def attach(model: Denoiser, recipe: Recipe) -> Attached:
    """Freeze the model and parametrize the recipe's modules; keys are (part, module path)."""
    model.requires_grad_(False)
    family = FAMILIES[recipe.family]
    attached: Attached = {}
    for part in TRAINED_PARTS:
        if part != "unet" and not recipe.text_encoders:
            continue
        for path, module in list(model.get_submodule(part).named_modules()):
            rank = _rank(recipe, part, path, module)
            weight = getattr(module, "weight", None)
            if not rank or not isinstance(weight, nn.Parameter):
                continue
            if family is LoKr and not LoKr.divides(weight):
                continue
            factors = family(weight.detach(), rank)  # type: ignore[call-arg]
            parametrize.register_parametrization(module, "weight", factors)
            attached[part, path] = factors
    return attached


def _rank(recipe: Recipe, part: str, path: str, module: nn.Module) -> int:
    if part != "unet":
        return 2 if isinstance(module, nn.Linear) and _TEXT.search(path) else 0
    if isinstance(module, nn.Conv2d):
        return recipe.conv_rank if _CONVS.search(path) else 0
    linears = _VALUES if recipe.conv_rank else _ATTENTION
    inside = isinstance(module, nn.Linear) and linears.search(path)
    return recipe.rank if inside else 0


def detach(model: Denoiser, attached: Attached) -> None:
    """Take the parametrizations off again; the weights are the trained ones as before."""
    for part, path in attached:
        module = model.get_submodule(part).get_submodule(path)
        parametrize.remove_parametrizations(module, "weight", leave_parametrized=False)


def set_sign(attached: Attached, sign: float) -> None:
    """Use the factors at strength 1, -1 or 0 (the model without them)."""
    for factors in attached.values():
        factors.sign = sign
