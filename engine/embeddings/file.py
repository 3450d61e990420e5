"""Read a textual inversion from its file: safetensors alone, never a pickle."""

from __future__ import annotations

from pathlib import Path

import torch

from engine.embeddings.folders import PICKLES, second_file
from engine.embeddings.inversion import TextualInversion, make_inversion
from engine.errors import FileFormatError
from engine.files.hashes import hash_file
from engine.files.header import read_header
from engine.host_memory import HostMemory
from engine.lora.identify import identify
from engine.lora.tensors import meta_tensor, read_tensors

MAX_BYTES = 16 << 20
"""Many times what 75 vectors take; a bound, so that no stray model is read."""


def read_inversion(path: Path) -> TextualInversion:
    """Read the textual inversion in a file, named after it.

    diffusers' training writes a file for each text encoder (`name.safetensors` and
    `name_2.safetensors`, each with one tensor); they are read together.
    Raises `FileFormatError` for a pickle, and for a file that holds none for SDXL.
    """
    if path.suffix.lower() in PICKLES:
        raise FileFormatError(
            f"{path.name}: this is a pickle (PyTorch) file, which can run code when opened; only "
            "safetensors files are read. Convert one that you trust in Python: torch.load(file, "
            "weights_only=True), then safetensors.torch.save_file with keys clip_l and clip_g."
        )
    tensors = _read(path)
    digest = hash_file(path).sha256
    second = second_file(path)
    if len(tensors) == 1 and not tensors.keys() & {"clip_l", "clip_g"} and second is not None:
        others = _read(second)
        if len(others) == 1:
            (clip_l,), (clip_g,) = tensors.values(), others.values()
            tensors = {"clip_l": clip_l, "clip_g": clip_g}
            digest += hash_file(second).sha256
    return make_inversion(path.stem, path.name, tensors, digest)


def _read(path: Path) -> dict[str, torch.Tensor]:
    header = read_header(path)
    identity = identify(header)
    if identity.kind not in ("embedding", "unknown"):
        raise FileFormatError(f"{path.name}: this is {identity.words}, not a textual inversion.")
    if header.file_size > MAX_BYTES:
        raise FileFormatError(f"{path.name}: too large for a textual inversion.")
    for info in header.tensors.values():
        meta_tensor(path, info)
    values, _ = read_tensors(path, header.tensors.values(), HostMemory())
    return {key: values[info] for key, info in header.tensors.items()}
