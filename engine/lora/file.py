"""One LoRA file in memory: its modules and their tensors, read once and checked."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from engine.errors import FileFormatError, LoraRefusedError
from engine.lora.header import Header, TensorInfo, read_header
from engine.lora.identify import Identity, identify
from engine.lora.key_names import Keys, Module, sort_keys
from engine.lora.peft_config import PeftConfig, companion, read_peft_config

_DTYPES = {
    "F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16,
    "F8_E4M3": torch.float8_e4m3fn, "F8_E5M2": torch.float8_e5m2,
    "F8_E4M3FNUZ": torch.float8_e4m3fnuz, "F8_E5M2FNUZ": torch.float8_e5m2fnuz,
    "I64": torch.int64, "I32": torch.int32, "I16": torch.int16, "I8": torch.int8,
    "U8": torch.uint8, "BOOL": torch.bool,
}  # fmt: skip
_SLICE = 1 << 24


@dataclass(frozen=True)
class FileStamp:
    """Which version of a file was read: it changes when the file is replaced or rewritten."""

    path: Path
    size: int
    mtime_ns: int
    inode: int
    config_mtime_ns: int | None = None
    """Of the PEFT configuration beside it, which changes what the file means."""

    @classmethod
    def of(cls, path: Path) -> FileStamp:
        """Stamp the file as it is now. Raises `FileFormatError` when it cannot be found."""
        try:
            stat = path.stat()
            config = companion(path)
            config_time = config.stat().st_mtime_ns if config else None
        except OSError as error:
            raise FileFormatError(f"{path}: cannot be read ({error.strerror}).") from error
        return cls(path, stat.st_size, stat.st_mtime_ns, stat.st_ino, config_time)


@dataclass(frozen=True)
class LoraFile:
    """A LoRA's modules by the names the file gives them; each maps roles to tensors.

    After `read_lora_header` tensors are on the meta device (shapes only); after `read_lora` they
    share one buffer of the file's bytes, in the file's dtypes. Numbers that stand in the file's
    metadata or beside it (PEFT) are among them as tensors (`scale`, `neumann_terms`, ...).
    """

    stamp: FileStamp
    header: Header
    keys: Keys
    modules: Mapping[str, Mapping[str, torch.Tensor]]
    embeddings: Mapping[str, Mapping[str, torch.Tensor]]
    """Bundled textual inversions by name: `clip_l` and `clip_g`, or `emb_params`."""
    bytes: int

    @property
    def path(self) -> Path:
        """The file."""
        return self.stamp.path

    @property
    def groups(self) -> Mapping[str, Module]:
        """The modules with the places of their tensors in the file."""
        return self.keys.modules

    @property
    def unknown(self) -> tuple[str, ...]:
        """Keys of tensors that belong to no adapter known here."""
        return self.keys.unknown


def read_lora_header(path: Path) -> LoraFile:
    """Open a LoRA by its header alone.

    Raises `FileFormatError` for a broken file and `LoraRefusedError` for one that is no LoRA.
    """
    stamp = FileStamp.of(path)
    header = read_header(path)
    keys = sort_keys(header.tensors)
    if not keys.modules:
        raise LoraRefusedError(f"{path.name}: {_what_it_is(identify(header))}")
    peft = read_peft_config(path, header)
    root_scaled = _has_root_scaling(header)
    modules = {
        name: {role: _meta(path, info) for role, info in module.tensors.items()}
        | _outside_numbers(name, module, peft, root_scaled)
        for name, module in keys.modules.items()
    }
    embeddings = {
        name: {role: _meta(path, info) for role, info in roles.items()}
        for name, roles in keys.embeddings.items()
    }
    return LoraFile(stamp, header, keys, modules, embeddings, 0)


def _what_it_is(identity: Identity) -> str:
    base = f" ({identity.base_model})" if identity.base_model else ""
    return {
        "checkpoint": f"this is a whole model{base}, not a LoRA; open it as the checkpoint.",
        "vae": "this is a VAE, not a LoRA.",
        "embedding": "this is a textual inversion (an embedding), not a LoRA.",
    }.get(identity.kind, "this file is no LoRA (no adapter tensors known here are in it).")


def _outside_numbers(
    name: str, module: Module, peft: PeftConfig | None, root_scaled: bool
) -> dict[str, torch.Tensor]:
    """What a module's own tensors do not say, by role."""
    numbers = peft.numbers(name, module) if peft else {}
    if root_scaled and "a1" in module.tensors:
        numbers["rs_lora"] = 1.0
    return {role: torch.tensor(value) for role, value in numbers.items()}


def _has_root_scaling(header: Header) -> bool:
    """Whether sd-scripts' metadata says `rs_lora`; GLoRA's alpha alone does not show it."""
    try:
        arguments = json.loads(header.metadata.get("ss_network_args", "{}"))
    except (ValueError, RecursionError):
        return False
    return isinstance(arguments, dict) and str(arguments.get("rs_lora")).lower() in ("true", "1")


def read_lora(opened: LoraFile) -> LoraFile:
    """Read the values of a LoRA opened by its header.

    The file is read, not mapped: one that shrinks meanwhile gives an error, not a crash.
    Raises `FileFormatError` when the file changed or ended early, `LoraRefusedError` for values
    that are not finite.
    """
    path, start = opened.path, opened.header.data_start
    buffer = bytearray(opened.header.file_size - start)
    try:
        with path.open("rb", buffering=0) as file:
            file.seek(start)
            view, done = memoryview(buffer), 0
            while done < len(buffer):
                count = file.readinto(view[done : done + _SLICE])
                if not count:
                    raise FileFormatError(f"{path.name}: the file ended while it was read.")
                done += count
    except OSError as error:
        raise FileFormatError(f"{path}: cannot be read ({error.strerror}).") from error
    if FileStamp.of(path) != opened.stamp:
        raise FileFormatError(f"{path.name}: the file changed while it was read; try again.")
    modules = {
        name: dict(opened.modules[name])
        | {role: _tensor(buffer, start, info) for role, info in module.tensors.items()}
        for name, module in opened.groups.items()
    }
    embeddings = {
        name: {role: _tensor(buffer, start, info) for role, info in roles.items()}
        for name, roles in opened.keys.embeddings.items()
    }
    _refuse_non_finite(path.name, {**modules, **embeddings})
    return replace(opened, modules=modules, embeddings=embeddings, bytes=len(buffer))


def _dtype(path: Path, info: TensorInfo) -> torch.dtype:
    try:
        return _DTYPES[info.dtype]
    except KeyError as error:
        raise FileFormatError(
            f"{path.name}: holds tensors of type {info.dtype}, which no LoRA format uses."
        ) from error


def _meta(path: Path, info: TensorInfo) -> torch.Tensor:
    return torch.empty(info.shape, dtype=_dtype(path, info), device="meta")


def _tensor(buffer: bytearray, start: int, info: TensorInfo) -> torch.Tensor:
    count = torch.Size(info.shape).numel()
    if count == 0:
        return torch.empty(info.shape, dtype=_DTYPES[info.dtype])
    flat = torch.frombuffer(
        buffer, dtype=_DTYPES[info.dtype], count=count, offset=info.start - start
    )
    return flat.reshape(info.shape)


def _refuse_non_finite(name: str, modules: Mapping[str, Mapping[str, torch.Tensor]]) -> None:
    for module, tensors in modules.items():
        for tensor in tensors.values():
            if not tensor.is_floating_point():
                continue
            wide = tensor if tensor.itemsize > 1 else tensor.to(torch.float16)
            if not bool(torch.isfinite(wide).all()):
                raise LoraRefusedError(
                    f"{name}: {module} holds values that are not finite (NaN or infinity); "
                    "the file is damaged or its training failed."
                )
