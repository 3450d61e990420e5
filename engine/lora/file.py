"""One LoRA file in memory: its modules and their tensors, read once and checked."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple

import torch

from engine.errors import FileFormatError, LoraRefusedError
from engine.files.file_version import FileVersion
from engine.files.header import Header, TensorInfo, read_header
from engine.files.json_text import parse_json
from engine.host_memory import HostMemory
from engine.lora.base_model import Base, base_of_file
from engine.lora.families.tlora import BEGINNINGS, RANDOM
from engine.lora.identify import identify, why_no_lora
from engine.lora.key_names import Keys, Module, sort_keys
from engine.lora.peft_config import CONFIG_NAME, PeftConfig, companion, read_peft_config
from engine.lora.tensors import count_non_finite, meta_tensor, read_tensors
from engine.sdxl.file_kinds import foreign_kind

MAX_EMBEDDING_BYTES = 16 << 20
"""Of one tensor: many times what a chunk's 75 vectors take."""

_TELLING = 32
"""Modules, and values of each of their tensors, that tell one file from another."""


class FileStamp(NamedTuple):
    """Which version of a file was read: it changes when the file is replaced or rewritten."""

    device: int
    inode: int
    size: int
    mtime_ns: int
    ctime_ns: int
    path: Path
    config: FileVersion | None
    """Of the PEFT configuration beside it, which changes what the file means."""

    @classmethod
    def of(cls, path: Path) -> FileStamp:
        """Stamp the file as it is now. Raises `FileFormatError` when it cannot be found."""
        try:
            version = FileVersion.of(path)
            return cls(*version, path, _version_of_config(path))
        except OSError as error:
            raise FileFormatError(f"{path}: cannot be read ({error.strerror}).") from error
        except ValueError as error:
            raise FileFormatError(f"{path.name}: cannot be opened ({error}).") from error


def _version_of_config(path: Path) -> FileVersion | None:
    """Of the PEFT configuration beside a file. Raises `FileFormatError` for a link to nowhere."""
    config = companion(path)
    try:
        return FileVersion.of(config) if config else None
    except OSError as error:
        raise FileFormatError(
            f"{path}: its PEFT configuration ({CONFIG_NAME}) cannot be read ({error.strerror})."
        ) from error


@dataclass(frozen=True, eq=False)
class LoraFile:
    """A LoRA's modules by the names the file gives them; each maps roles to tensors.

    Equal only to itself, so that what is worked out from a file can be kept as long as it lives.

    After `read_lora_header` tensors are on the meta device (shapes only); after `read_lora` those
    that were asked for share one buffer of the file's bytes, in the file's dtypes. Numbers that
    stand in the file's metadata or beside it (PEFT) are among them as tensors (`scale`,
    `neumann_terms`, ...).
    """

    stamp: FileStamp
    header: Header
    keys: Keys
    modules: Mapping[str, Mapping[str, torch.Tensor]]
    embeddings: Mapping[str, Mapping[str, torch.Tensor]]
    """Bundled textual inversions by name: `clip_l` and `clip_g`, or what else the file has.

    One without a name of its own has the file's.
    """
    base: Base
    """The base model it is for and the evidence; empty where nothing tells."""
    remarks: tuple[str, ...] = ()
    """What is to be said of it, in sentences that go on from its name."""
    read: frozenset[TensorInfo] = frozenset()
    """The tensors of modules whose values are here."""
    bytes: int = 0
    """Of the values that are here."""

    @property
    def path(self) -> Path:
        """The file."""
        return self.stamp.path

    @cached_property
    def order(self) -> str:
        """A short digest of some of its values, by which files are put in order; of no other use.

        A few values of a few modules tell files apart, and take no time.
        """
        digest = blake2b(digest_size=16)
        for name in sorted(self.modules)[:_TELLING]:
            for role, tensor in sorted(self.modules[name].items()):
                digest.update(f"{name}\0{role}\0{tuple(tensor.shape)}\0{tensor.dtype}".encode())
                if not tensor.is_meta:
                    few = tensor.flatten()[:_TELLING].contiguous()
                    digest.update(few.view(torch.uint8).numpy().tobytes())
        return digest.hexdigest()

    @property
    def groups(self) -> Mapping[str, Module]:
        """The modules with the places of their tensors in the file."""
        return self.keys.modules

    @property
    def tensors(self) -> Iterator[TensorInfo]:
        """The tensors of all modules."""
        return (info for module in self.groups.values() for info in module.tensors.values())

    def used(self, tensors: Collection[TensorInfo]) -> set[TensorInfo]:
        """What is read for these tensors of modules: they, and the bundled embeddings.

        An embedding too large to be one stays unread: the prompt that names it is told.
        """
        embeddings = (info for roles in self.keys.embeddings.values() for info in roles.values())
        return {*tensors, *(info for info in embeddings if info.nbytes <= MAX_EMBEDDING_BYTES)}

    def used_bytes(self, tensors: Collection[TensorInfo]) -> int:
        """Bytes that are read for these tensors of modules."""
        return sum(info.nbytes for info in self.used(tensors))

    @property
    def values(self) -> Iterator[torch.Tensor]:
        """All tensors of modules and embeddings, read or not."""
        groups = (*self.modules.values(), *self.embeddings.values())
        return (tensor for tensors in groups for tensor in tensors.values())

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
    if foreign_kind(header.tensors) or not keys.modules:
        raise LoraRefusedError(f"{path.name}: {why_no_lora(header, identify(header))}")
    peft = read_peft_config(path, header)
    arguments = _network_arguments(header)
    modules = {
        name: {role: meta_tensor(path, info) for role, info in module.tensors.items()}
        | _outside_numbers(name, module, peft, arguments)
        for name, module in keys.modules.items()
    }
    embeddings = {
        name or path.stem: {role: meta_tensor(path, info) for role, info in roles.items()}
        for name, roles in keys.embeddings.items()
    }
    base = base_of_file(header, keys.modules)
    remarks = tuple(_on_alpha(header, keys.modules)) if peft is None else ()
    return LoraFile(stamp, header, keys, modules, embeddings, base, remarks)


_ALPHAS = ("ss_network_alpha", "network_alpha", "lora_alpha")


def _on_alpha(header: Header, modules: Mapping[str, Module]) -> Iterator[str]:
    """Say that an alpha in the metadata is not used, where tensors should say it and do not."""
    ranks = {
        module.rank
        for module in modules.values()
        if "down" in module.tensors and not module.tensors.keys() & {"alpha", "scale"}
    }
    for key in _ALPHAS if ranks else ():
        try:
            alpha = float(header.metadata[key])
        except (KeyError, ValueError):
            continue
        if math.isfinite(alpha) and ranks != {alpha}:
            yield (
                f"its metadata has an alpha of {alpha:g} ({key}), which no program applies where "
                "the modules have none of their own; nor is it here."
            )
            return


def _outside_numbers(
    name: str, module: Module, peft: PeftConfig | None, arguments: Mapping[str, str]
) -> dict[str, torch.Tensor]:
    """What a module's own tensors do not say, by role."""
    numbers = peft.numbers(name, module) if peft else {}
    if "a1" in module.tensors and arguments.get("rs_lora") in ("true", "1"):
        numbers["rs_lora"] = 1.0
    if "lambda_layer" in module.tensors:
        began = BEGINNINGS.get(arguments.get("sig_type", "principal"), RANDOM)
        numbers["began"] = RANDOM if arguments.get("use_data_init") in ("false", "0") else began
    if "oft_R" in module.tensors and (name.startswith("lora_") or "scaled_oft" in module.tensors):
        numbers["one_trainer"] = 1.0
    return {role: torch.tensor(value) for role, value in numbers.items()}


def _network_arguments(header: Header) -> Mapping[str, str]:
    """What sd-scripts' metadata says of the adapters, where their tensors alone do not show it."""
    try:
        arguments = parse_json(header.metadata.get("ss_network_args", "{}"))
    except ValueError:
        return {}
    if not isinstance(arguments, dict):
        return {}
    return {key: str(value).lower() for key, value in arguments.items()}


def read_lora(
    opened: LoraFile,
    memory: HostMemory | None = None,
    cancelled: Callable[[], bool] = lambda: False,
    tensors: Collection[TensorInfo] | None = None,
) -> LoraFile:
    """Read the values of a LoRA opened by its header, into `memory` if any is given.

    Of its modules `tensors` alone are read, if they are given; beside them bundled embeddings.
    Raises `FileFormatError` when the file changed or ended early, `LoraRefusedError` for values
    that are not finite, `CancelledError` when it is `cancelled` meanwhile.
    """
    file = read_values(opened, memory, cancelled, tensors)
    refuse_non_finite(file)
    return file


def read_values(
    opened: LoraFile,
    memory: HostMemory | None = None,
    cancelled: Callable[[], bool] = lambda: False,
    tensors: Collection[TensorInfo] | None = None,
) -> LoraFile:
    """Read the values of a LoRA whatever they are; raises `FileFormatError` as `read_lora` does."""
    path = opened.path
    chosen = frozenset(opened.tensors if tensors is None else tensors)
    found, size = read_tensors(path, opened.used(chosen), memory or HostMemory(), cancelled)
    if FileStamp.of(path) != opened.stamp:
        raise FileFormatError(f"{path.name}: the file changed while it was read; try again.")
    values = {
        name: {**opened.modules[name], **_values(module.tensors, found)}
        for name, module in opened.groups.items()
    }
    embeddings = {
        (stem := name or path.stem): {**opened.embeddings[stem], **_values(roles, found)}
        for name, roles in opened.keys.embeddings.items()
    }
    return replace(opened, modules=values, embeddings=embeddings, read=chosen, bytes=size)


def _values(
    roles: Mapping[str, TensorInfo], tensors: Mapping[TensorInfo, torch.Tensor]
) -> dict[str, torch.Tensor]:
    return {role: tensors[info] for role, info in roles.items() if info in tensors}


def non_finite_values(file: LoraFile) -> dict[str, int]:
    """Count the values that are NaN or infinite, by module (or bundled embedding) with any."""
    counts = {
        name: count_non_finite(_counted(tensors))
        for name, tensors in (*file.modules.items(), *file.embeddings.items())
    }
    return {name: count for name, count in counts.items() if count}


def _counted(tensors: Mapping[str, torch.Tensor]) -> Mapping[str, torch.Tensor]:
    """Without the alpha that two whole factors of a LoKr ignore.

    ai-toolkit writes ten thousand million there, which is infinite in float16.
    """
    if "lokr_w1" not in tensors or "lokr_w2" not in tensors:
        return tensors
    return {role: tensor for role, tensor in tensors.items() if role != "alpha"}


def refuse_non_finite(file: LoraFile) -> None:
    """Raise `LoraRefusedError` when there are values that are not finite, with their number."""
    counts = non_finite_values(file)
    if counts:
        others = f" (and {len(counts) - 1} more)" if len(counts) > 1 else ""
        raise LoraRefusedError(
            f"{file.path.name}: {next(iter(counts))[:90]}{others} holds {sum(counts.values()):,} "
            "values that are not finite (NaN or infinity); the file is damaged or its training "
            "failed."
        )
