"""From a LoRA file's module names to the modules of the loaded model, by exact look-up.

Underscored kohya names are ambiguous to split, so nothing is split: every module path of the model
is entered in both vocabularies (diffusers' and the original sgm's) with `.` written as `_`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from torch import nn

from engine.lora.key_names import WRAPPERS, outermost
from engine.sdxl.unet_names import Layers, layers_down, unet_original_path

TEXT_ENCODERS = ("text_encoder", "text_encoder_2")


@dataclass(frozen=True)
class Target:
    """A module of the model that a LoRA can change."""

    part: str
    """`unet`, `text_encoder` or `text_encoder_2`."""
    path: str
    """Module path within its part."""


_PREFIXES: tuple[tuple[str, str], ...] = (
    ("lora_unet_", "unet"),
    ("oft_unet_", "unet"),
    ("lora_te1_", "text_encoder"),
    ("lora_te2_", "text_encoder_2"),
    # Programs of SD 1.x number their only text encoder not, and some keep to that.
    ("lora_te_", "text_encoder"),
    ("oft_te_", "text_encoder"),
    ("oft_te1_", "text_encoder"),
    ("oft_te2_", "text_encoder_2"),
    ("lycoris_te1_", "text_encoder"),
    ("lycoris_te2_", "text_encoder_2"),
    ("lycoris_unet_", "unet"),
    # The names that OneTrainer keeps for itself: kohya's prefixes before diffusers' names.
    ("lora_unet.", "unet"),
    ("lora_te1.", "text_encoder"),
    ("lora_te2.", "text_encoder_2"),
    ("lora_te.", "text_encoder"),
    ("text_encoder_2.", "text_encoder_2"),
    ("text_encoder.", "text_encoder"),
    ("clip_l.", "text_encoder"),
    ("clip_g.", "text_encoder_2"),
    ("text_encoders.clip_l.", "text_encoder"),
    ("text_encoders.clip_g.", "text_encoder_2"),
    ("unet.", "unet"),
    ("diffusion_model.", "unet"),
    # Names without a part: LyCORIS and PEFT wrap one model alone, be it which it may.
    ("lycoris_", "unet"),
    ("lycoris_", "text_encoder"),
    ("", "unet"),
    ("", "text_encoder"),
)
_WRAPPERS = re.compile(
    rf"^(?:{WRAPPERS})+ | (?<=\.)(?:base_model\.model|_orig_mod|module)\.", re.VERBOSE
)
"""What stands before a name, and what is put around a part of a model within it."""
_OLD_PROCESSOR = re.compile(r"\.processor\.to_")


class TargetTable:
    """All modules of the model's parts under every name that files use for them."""

    def __init__(self, parts: Mapping[str, nn.Module]) -> None:
        self._paths: dict[tuple[str, str], Target] = {}
        for part, module in parts.items():
            layers = layers_down(bare_name(path) for path, _ in module.named_modules())
            for path, child in module.named_modules():
                # PEFT's own layers show the weight of the module inside them.
                if child._parameters.get("weight") is not None:
                    target = Target(part, path)
                    for name in _names(part, bare_name(path), layers):
                        self._paths[part, name] = target

    def find(self, name: str) -> Target | None:
        """Find a module by the name a file gives it, without the tensor's own ending."""
        name = bare_name(name)
        name = _OLD_PROCESSOR.sub(".to_", name)
        for prefix, part in _PREFIXES:
            if name.startswith(prefix):
                rest = name[len(prefix) :].replace(".", "_")
                target = self._paths.get((part, rest))
                if target is not None:
                    return target
        return None


def bare_name(name: str) -> str:
    """A module's name in a file, or its path in a model, without what is put around modules."""
    return outermost(_WRAPPERS.sub("", name))


def _names(part: str, path: str, layers: Layers) -> Iterator[str]:
    flat = path.replace(".", "_")
    if part == "unet":
        yield flat
        # Old diffusers processors call the output projection `to_out`, without its index.
        if flat.endswith("_to_out_0"):
            yield flat.removesuffix("_0")
        try:
            original = unet_original_path(path, layers).replace(".", "_")
        except KeyError:
            return
        yield original
        if original.endswith("_to_out_0"):
            yield original.removesuffix("_0")
    else:
        bare = flat.removeprefix("text_model_")
        yield bare
        yield f"text_model_{bare}"
        yield f"transformer_{bare}"
        yield f"transformer_text_model_{bare}"
