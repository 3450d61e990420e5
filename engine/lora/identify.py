"""What a safetensors file is, from the names and shapes in its header; no tensor is read."""

from __future__ import annotations

import math
import os
import struct
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from engine.files.header import Header, TensorInfo
from engine.files.regular_file import open_regular, unreadable
from engine.lora.base_model import Base, base_by_names, weigh
from engine.lora.key_names import Module, group_modules, part_of
from engine.sdxl.file_kinds import LORA, FileKind, Kind, foreign_kind, kind_without_adapters
from engine.sdxl.part_names import TEXT_ENCODERS, part_name, unwrapped

_SCALAR_FORMATS = {
    "F16": "<e", "F32": "<f", "F64": "<d", "I8": "<b", "U8": "<B", "I16": "<h", "U16": "<H",
    "I32": "<i", "U32": "<I", "I64": "<q", "U64": "<Q",
}  # fmt: skip


@dataclass(frozen=True)
class Identity:
    """What a file is and, for a LoRA, what it is made of and for which base model."""

    kind: Kind
    words: str
    """The kind in words: `a LoRA`, `an IP-Adapter`."""
    base_model: str = ""
    """`SDXL`, `SD 1.5`, `SD 2`, `Flux`, `SD 3`, `Wan`, ...; empty when it cannot be told."""
    evidence: str = ""
    """Why `base_model` says so, in words: `attn2 width 768`."""
    base_variant: str = ""
    """What people call this SDXL: `Pony`, `Illustrious`, `NoobAI`; empty where nothing tells."""
    families: tuple[tuple[str, int], ...] = ()
    """Adapter family and number of modules, most frequent first: `(("LoRA", 722),)`."""
    rank: int | None = None
    """The most common one."""
    alpha: TensorInfo | None = None
    """Where the alpha of a module of that rank lies; `read_scalar` gives its value."""
    modules: int = 0
    parts: tuple[str, ...] = ()
    """Which parts it changes: `UNet`, `TE1`, `TE2`, `TE3`, `Transformer`."""

    @property
    def family(self) -> str:
        """The families in words, most frequent first: `LoRA + LoCon`."""
        return " + ".join(name for name, _ in self.families)


@dataclass(frozen=True)
class Outline:
    """What the names and shapes of a file's tensors tell, whatever its metadata says.

    Most files of a library have one of a few outlines: those of their trainers, at a few ranks.
    """

    kind: FileKind
    base: Base | None = None
    """As the names show it; None for what is for no base model."""
    families: tuple[tuple[str, int], ...] = ()
    rank: int | None = None
    alpha: TensorInfo | None = None
    modules: int = 0
    parts: tuple[str, ...] = ()


def identify(header: Header) -> Identity:
    """Tell what a file is from its key names, shapes and metadata alone."""
    return identity_of(outline_of(header.tensors), header.metadata)


def identity_of(outline: Outline, metadata: Mapping[str, str]) -> Identity:
    """What a file of this outline and this metadata is."""
    base = Base()
    if outline.base is not None:
        base = weigh(metadata, outline.base, is_lora=bool(outline.modules))
    return Identity(
        *outline.kind, *base, outline.families, outline.rank, outline.alpha, outline.modules,
        outline.parts,
    )  # fmt: skip


def outline_of(tensors: Mapping[str, TensorInfo]) -> Outline:
    """Tell what a file is from its key names and shapes alone."""
    if foreign := foreign_kind(tensors):
        return Outline(foreign)
    modules = group_modules(tensors)
    if not modules:
        kind = kind_without_adapters(tensors)
        has_base = kind.kind in ("lora", "checkpoint", "unet")
        return Outline(kind, base_by_names(_plain(tensors), {}) if has_base else None)
    rank = _most_common_rank(modules)
    return Outline(
        LORA,
        base_by_names(tensors, modules),
        tuple(Counter(module.family for module in modules.values()).most_common()),
        rank,
        next((m.alpha for m in modules.values() if m.alpha and m.rank == rank), None),
        len(modules),
        tuple(sorted({part for name in modules if (part := part_of(name))}, key=_part_order)),
    )


def _plain(tensors: Mapping[str, TensorInfo]) -> dict[str, TensorInfo]:
    """The tensors of a model's network under their names within it."""
    split = {key: part_name(key) for key in tensors}
    return {
        unwrapped(key) if split[key].part in TEXT_ENCODERS else split[key].name: info
        for key, info in tensors.items()
    }


def why_no_lora(header: Header, identity: Identity) -> str:
    """Say what a file is that cannot be used as a LoRA, in a sentence without the file's name."""
    base, known = identity.base_model, identity.words
    match identity.kind:
        case "lora" if base not in ("", "SDXL"):
            return (
                f"this LoRA is for {base} ({identity.evidence}), in a form that is not known here."
            )
        case "lora" | "unknown":
            example = next((f" (such as {name[:90]})" for name in header.tensors), "")
            what = f"this is {known}" if identity.kind == "lora" else "this file is no LoRA"
            return f"{what}: none of its tensors belong to an adapter known here{example}."
        case "checkpoint" if base == "SDXL":
            return f"this is {known} (SDXL), not a LoRA; open it as the model (--model)."
    return f"this is {known}{f' ({base})' if base else ''}, not a LoRA."


def read_scalar(path: Path, info: TensorInfo) -> float | None:
    """Read the single number that `info` points at; None when it is no finite single number.

    Raises `FileFormatError` when the file cannot be read.
    """
    try:
        with open_regular(path) as file:
            return scalar_at(file.fileno(), info)
    except OSError as error:
        raise unreadable(path, error) from error


def scalar_at(descriptor: int, info: TensorInfo, after: int = 0) -> float | None:
    """The same of an open file, so many bytes behind; raises OSError when it cannot be read."""
    if math.prod(info.shape) != 1:
        return None
    raw = os.pread(descriptor, info.end - info.start, info.start + after)
    if len(raw) != info.end - info.start:
        return None
    if info.dtype == "BF16":
        # A bfloat16 is the upper half of a float32.
        (number,) = struct.unpack("<f", b"\0\0" + raw)
    elif info.dtype in _SCALAR_FORMATS:
        (number,) = struct.unpack(_SCALAR_FORMATS[info.dtype], raw)
    else:
        return None
    return float(number) if math.isfinite(number) else None


def _most_common_rank(modules: dict[str, Module]) -> int | None:
    ranks = Counter(module.rank for module in modules.values() if module.rank is not None)
    return ranks.most_common(1)[0][0] if ranks else None


def _part_order(part: str) -> int:
    return ("UNet", "Transformer", "TE1", "TE2", "TE3").index(part)
