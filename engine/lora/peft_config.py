"""PEFT's adapter configuration: the scale and the variant that its files leave out.

It stands in the safetensors metadata (`lora_adapter_metadata`, diffusers; per part of the model
or for the whole file) or in an `adapter_config.json` beside the file (PEFT).
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.errors import FileFormatError
from engine.lora.header import Header
from engine.lora.key_names import Module

METADATA_KEY = "lora_adapter_metadata"
CONFIG_NAME = "adapter_config.json"
MAX_CONFIG_BYTES = 4_000_000
MAX_TERMS = 64
"""Above what any series of PEFT's is good for; a bound, since each costs a product."""

_PARTS = ("unet", "text_encoder", "text_encoder_2")
_WRAPPER = "base_model.model."
_PEFT_ROLES = frozenset({"down", "hada_w1_b", "lokr_w1", "lokr_w1_b", "oft_R"})
_EXPRESSION = re.compile(r"[\\*+?()\[\]{}|^$]")


@dataclass(frozen=True)
class PeftConfig:
    """The configuration of a file's adapter: settings by name, for each part or (`""`) for all."""

    file_name: str
    parts: Mapping[str, Mapping[str, Any]]

    def numbers(self, name: str, module: Module) -> dict[str, float]:
        """What the file's module lacks, by role: `scale`, `neumann_terms`, `coft_eps`.

        Raises `FileFormatError` when the configuration makes no sense.
        """
        part = next((part for part in _PARTS if name.startswith(f"{part}.")), "")
        settings = self.parts.get(part) or self.parts.get("")
        if not settings or not module.tensors.keys() & _PEFT_ROLES:
            return {}
        path = name.removeprefix(f"{part}.").removeprefix(_WRAPPER)
        if "oft_R" in module.tensors:
            return self._rotation(settings)
        if module.tensors.keys() & {"alpha", "scale"}:
            return {}
        return self._scale(settings, path)

    def _scale(self, settings: Mapping[str, Any], path: str) -> dict[str, float]:
        alpha_name = "lora_alpha" if "lora_alpha" in settings else "alpha"
        if alpha_name not in settings or "r" not in settings:
            return {}
        alpha = self._for_module(settings, alpha_name, "alpha_pattern", path)
        rank = self._for_module(settings, "r", "rank_pattern", path)
        if rank <= 0:
            raise self._error("r")
        return {"scale": alpha / (math.sqrt(rank) if settings.get("use_rslora") else rank)}

    def _rotation(self, settings: Mapping[str, Any]) -> dict[str, float]:
        found: dict[str, float] = {}
        if settings.get("use_cayley_neumann") is False:
            found["neumann_terms"] = 0
        elif "num_cayley_neumann_terms" in settings:
            terms = self._number(settings, "num_cayley_neumann_terms")
            if not 1 <= terms <= MAX_TERMS:
                raise self._error("num_cayley_neumann_terms")
            found["neumann_terms"] = terms
        if settings.get("coft"):
            found["coft_eps"] = self._number(settings, "eps")
        return found

    def _for_module(
        self, settings: Mapping[str, Any], name: str, pattern_name: str, path: str
    ) -> float:
        """A setting for one module: that of the first pattern that names it, else the common one.

        PEFT takes patterns as regular expressions to be met by the end of a path. They come from
        strangers, so only plain names are followed.
        """
        patterns = settings.get(pattern_name) or {}
        if not isinstance(patterns, dict):
            raise self._error(pattern_name)
        for pattern in patterns:
            plain = pattern.removeprefix("^").removesuffix("$").replace(r"\.", ".")
            if _EXPRESSION.search(plain):
                raise FileFormatError(
                    f"{self.file_name}: its {pattern_name} has the regular expression "
                    f"{pattern[:60]!r}; only plain module names are read. Write the names out."
                )
            whole = pattern.startswith("^")
            if path == plain or (not whole and path.endswith(f".{plain}")):
                return self._number(patterns, pattern)
        return self._number(settings, name)

    def _number(self, settings: Mapping[str, Any], name: str) -> float:
        value = settings.get(name)
        if not isinstance(value, int | float) or not math.isfinite(value):
            raise self._error(name)
        return float(value)

    def _error(self, name: str) -> FileFormatError:
        return FileFormatError(
            f"{self.file_name}: its PEFT configuration has no sensible value for {name[:60]!r}."
        )


def companion(path: Path) -> Path | None:
    """The `adapter_config.json` that belongs to a file: PEFT puts one beside each it saves.

    In a folder of several LoRAs it belongs to `adapter_model.safetensors` alone.
    """
    config = path.parent / CONFIG_NAME
    if not config.is_file():
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
    try:
        if config.stat().st_size > MAX_CONFIG_BYTES:
            raise FileFormatError(f"{config}: too large for an adapter's configuration.")
        return _parse(f"{path.name} ({CONFIG_NAME})", config.read_text("utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise FileFormatError(f"{config}: cannot be read ({error}).") from error


def _parse(file_name: str, text: str) -> PeftConfig:
    try:
        settings = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise FileFormatError(f"{file_name}: its PEFT configuration is not JSON.") from error
    if not isinstance(settings, dict):
        raise FileFormatError(f"{file_name}: its PEFT configuration is not a table.")
    parts: dict[str, dict[str, Any]] = {}
    for key, value in settings.items():
        part = next((part for part in _PARTS if key.startswith(f"{part}.")), "")
        parts.setdefault(part, {})[key.removeprefix(f"{part}.")] = value
    return PeftConfig(file_name, parts)
