"""PEFT's adapter configuration: the scale and the variant that its files leave out.

It stands in the safetensors metadata (`lora_adapter_metadata`, diffusers; per part of the model
or for the whole file) or in an `adapter_config.json` beside the file (PEFT).
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engine.errors import FileFormatError, LoraRefusedError
from engine.files.header import Header
from engine.files.json_text import parse_json
from engine.files.regular_file import read_regular
from engine.lora.key_names import Module

METADATA_KEY = "lora_adapter_metadata"
CONFIG_NAME = "adapter_config.json"
MAX_CONFIG_BYTES = 4_000_000
MAX_TERMS = 64
"""Above what any series of PEFT's is good for; a bound, since each costs a product."""

MAX_NUMBER = 1e9
"""Above what any alpha, rank or bound can mean; products with it are still finite."""

_PARTS = ("unet", "text_encoder", "text_encoder_2")
_WRAPPER = "base_model.model."
_PEFT_ROLES = frozenset(
    {"down", "embedding_A", "hada_w1_b", "lokr_w1", "lokr_w1_b", "oft_R", "hra_u", "ia3_l"}
)
_TAKES_FROM_WEIGHTS = ("pissa", "olora", "corda", "loftq", "lora_ga")
"""How `init_lora_weights` begins where the model was trained without what the factors began as."""

_EXPRESSION = re.compile(r"[\\*+?()\[\]{}|^$]")


@dataclass(frozen=True)
class PeftConfig:
    """The configuration of a file's adapter: settings by name, for each part or (`""`) for all."""

    file_name: str
    parts: Mapping[str, Mapping[str, Any]]
    _patterns: dict[int, _Patterns] = field(default_factory=dict, init=False, repr=False)
    """Tables of `parts` that were read as patterns, by their identity."""

    def numbers(self, name: str, module: Module) -> dict[str, float]:
        """What the file's module lacks, by role: `scale`, `neumann_terms`, `coft_eps`.

        Raises `FileFormatError` when the configuration makes no sense, and `LoraRefusedError` for
        one whose factors alone are not the change.
        """
        part = next((part for part in _PARTS if name.startswith(f"{part}.")), "")
        settings = self.parts.get(part) or self.parts.get("")
        if not settings or not module.tensors.keys() & _PEFT_ROLES:
            return {}
        path = name.removeprefix(f"{part}.").removeprefix(_WRAPPER)
        if "oft_R" in module.tensors:
            return self._rotation(settings)
        if "hra_u" in module.tensors:
            return {"orthogonal": float(bool(settings.get("apply_GS")))}
        if "ia3_l" in module.tensors:
            return {"feedforward": float(self._is_feedforward(settings, path))}
        if module.tensors.keys() & {"alpha", "scale"}:
            return {}
        if "singular" in module.tensors:
            return self._adaptive_scale(settings, module.rank or 0)
        if "down" in module.tensors:
            self._refuse_other_weights(settings)
        return self._scale(settings, path)

    def _refuse_other_weights(self, settings: Mapping[str, Any]) -> None:
        """Refuse factors that were trained beside weights that are not the model's own."""
        began = str(settings.get("init_lora_weights")).lower()
        if began.startswith(_TAKES_FROM_WEIGHTS):
            raise LoraRefusedError(
                f"{self.file_name}: its training began with factors taken out of the model's own "
                f"weights ({began[:20]}), so it fits only a model without them. Save it with PEFT "
                "as an ordinary LoRA (path_initial_model_for_weight_conversion)."
            )
        if settings.get("kasa_config"):
            raise LoraRefusedError(
                f"{self.file_name}: this is a KaSA adapter (PEFT), which changes the model's own "
                "weights too; it is not supported."
            )

    def _scale(self, settings: Mapping[str, Any], path: str) -> dict[str, float]:
        alpha_name = "lora_alpha" if "lora_alpha" in settings else "alpha"
        if alpha_name not in settings or "r" not in settings:
            return {}
        alpha = self._for_module(settings, alpha_name, "alpha_pattern", path)
        rank = self._for_module(settings, "r", "rank_pattern", path)
        if rank < 1:
            raise self._error("r")
        return {"scale": alpha / (math.sqrt(rank) if settings.get("use_rslora") else rank)}

    def _adaptive_scale(self, settings: Mapping[str, Any], rank: int) -> dict[str, float]:
        """AdaLoRA's: by the rank that is left, with the small number that PEFT adds to it."""
        if "lora_alpha" not in settings:
            return {}
        alpha = self._number(settings, "lora_alpha")
        return {"scale": (alpha if alpha > 0 else rank) / (rank + 1e-5)}

    def _is_feedforward(self, settings: Mapping[str, Any], path: str) -> bool:
        """Whether IA3 scales the inputs of a module: those that the configuration lists."""
        names = settings.get("feedforward_modules") or []
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise FileFormatError(
                f"{self.file_name}: its feedforward_modules is no list of module names."
            )
        return any(path == name or path.endswith(f".{name}") for name in names)

    def _rotation(self, settings: Mapping[str, Any]) -> dict[str, float]:
        found: dict[str, float] = {}
        if settings.get("use_cayley_neumann") is False:
            found["neumann_terms"] = 0
        elif "num_cayley_neumann_terms" in settings:
            terms = self._number(settings, "num_cayley_neumann_terms")
            if not 1 <= terms <= MAX_TERMS or terms % 1:
                raise self._error("num_cayley_neumann_terms")
            found["neumann_terms"] = terms
        if settings.get("coft"):
            found["coft_eps"] = self._number(settings, "eps")
        return found

    def _for_module(
        self, settings: Mapping[str, Any], name: str, pattern_name: str, path: str
    ) -> float:
        """A setting for one module: of the first pattern that names it, else the common one."""
        patterns = settings.get(pattern_name) or {}
        if not isinstance(patterns, dict):
            raise self._error(pattern_name)
        known = self._patterns.get(id(patterns))
        if known is None:
            known = self._patterns[id(patterns)] = _Patterns(self.file_name, pattern_name, patterns)
        pattern = known.first_for(path)
        return self._number(settings, name) if pattern is None else self._number(patterns, pattern)

    def _number(self, settings: Mapping[str, Any], name: str) -> float:
        value: Any = settings.get(name)
        # Compared as it is: an integer may be too long for a float.
        if type(value) not in (int, float) or not -MAX_NUMBER <= value <= MAX_NUMBER:
            raise self._error(name)
        return float(value)

    def _error(self, name: str) -> FileFormatError:
        return FileFormatError(
            f"{self.file_name}: its PEFT configuration has no sensible value for {name[:60]!r}."
        )


class _Patterns:
    """The patterns of `rank_pattern` or `alpha_pattern` and the modules that they name.

    PEFT takes them as regular expressions to be met by the end of a path. They come from strangers,
    so only plain names are followed, and looked up: thousands of modules meet thousands of them.
    Raises `FileFormatError` for another expression.
    """

    def __init__(self, file_name: str, pattern_name: str, patterns: Iterable[str]) -> None:
        self._whole: dict[str, tuple[int, str]] = {}
        self._ends: dict[str, tuple[int, str]] = {}
        for order, pattern in enumerate(patterns):
            plain = pattern.removeprefix("^").removesuffix("$").replace(r"\.", ".")
            if _EXPRESSION.search(plain):
                raise FileFormatError(
                    f"{file_name}: its {pattern_name} has the regular expression "
                    f"{pattern[:60]!r}; only plain module names are read. Write the names out."
                )
            table = self._whole if pattern.startswith("^") else self._ends
            table.setdefault(plain, (order, pattern))

    def first_for(self, path: str) -> str | None:
        """The first of the patterns that names a module, by its path."""
        names = path.split(".")
        ends = (self._ends.get(".".join(names[start:])) for start in range(len(names)))
        found = [one for one in (self._whole.get(path), *ends) if one is not None]
        return min(found)[1] if found else None


def companion(path: Path) -> Path | None:
    """The `adapter_config.json` that belongs to a file: PEFT puts one beside each it saves.

    In a folder of several LoRAs it belongs to `adapter_model.safetensors` alone. It need not be a
    file that can be read: what it says would be missed.
    """
    config = path.parent / CONFIG_NAME
    if not os.path.lexists(config) or config.is_dir():
        return None
    if path.stem != "adapter_model" and any(
        other != path for other in path.parent.glob("*.safetensors")
    ):
        return None
    return config


def read_peft_config(path: Path, header: Header) -> PeftConfig | None:
    """Find a file's PEFT configuration; None when there is none.

    Raises `FileFormatError` when there is one that cannot be read.
    """
    text = header.metadata.get(METADATA_KEY)
    if text is not None:
        return _parse(path.name, text)
    config = companion(path)
    if config is None:
        return None
    return _parse(f"{path.name} ({CONFIG_NAME})", read_regular(config, MAX_CONFIG_BYTES))


def _parse(file_name: str, text: str | bytes) -> PeftConfig:
    try:
        settings = parse_json(text)
    except ValueError as error:
        raise FileFormatError(f"{file_name}: its PEFT configuration is not JSON.") from error
    if not isinstance(settings, dict):
        raise FileFormatError(f"{file_name}: its PEFT configuration is not a table.")
    parts: dict[str, dict[str, Any]] = {}
    for key, value in settings.items():
        part = next((part for part in _PARTS if key.startswith(f"{part}.")), "")
        parts.setdefault(part, {})[key.removeprefix(f"{part}.")] = value
    return PeftConfig(file_name, parts)
