"""Where other programs keep their models and LoRAs."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Place:
    """A program's folders, those of them that are there."""

    program: str
    models: tuple[Path, ...]
    loras: tuple[Path, ...]
    embeddings: tuple[Path, ...]


_PROGRAMS = (
    # Name, its folder's names, then models, LoRAs and embeddings below that.
    ("A1111", ("stable-diffusion-webui", "automatic1111"),
     ("models/Stable-diffusion",), ("models/Lora", "models/LyCORIS"), ("embeddings",)),
    ("Forge", ("stable-diffusion-webui-forge", "stable-diffusion-webui-reForge", "forge"),
     ("models/Stable-diffusion",), ("models/Lora",), ("embeddings",)),
    ("ComfyUI", ("ComfyUI", "comfyui", "comfy"),
     ("models/checkpoints",), ("models/loras",), ("models/embeddings",)),
    ("SwarmUI", ("SwarmUI",),
     ("Models/Stable-Diffusion",), ("Models/Lora",), ("Models/Embeddings",)),
    ("InvokeAI", ("invokeai", "InvokeAI"),
     ("models/sdxl/main", "models"), ("models/sdxl/lora", "autoimport/lora"),
     ("models/sdxl/embedding",)),
    ("Fooocus", ("Fooocus",),
     ("models/checkpoints",), ("models/loras",), ("models/embeddings",)),
    ("SD.Next", ("automatic", "sdnext"),
     ("models/Stable-diffusion",), ("models/Lora",), ("models/embeddings",)),
)  # fmt: skip
_AROUND = ("", "src", "git", "code", "projects", "apps", "ai", "AI", "Documents", "sd", "data")
"""Folders of a home in which programs are put."""
_MACHINE_WIDE = ("/workspace", "/opt", "/srv", "/data", "/mnt", "/root", "/home/ubuntu")
"""Where rented machines have them."""


def usual_places(home: Path, here: Path) -> Iterator[Place]:
    """The places that are there, each once."""
    seen: set[str] = set()
    for parent in _parents(home, here):
        for program, names, *folders in _PROGRAMS:
            for name in names:
                root = parent / name
                real = os.path.realpath(root)
                if real in seen or not root.is_dir():
                    continue
                seen.add(real)
                models, loras, embeddings = (_there(root, some) for some in folders)
                if models:
                    yield Place(program, models[:1], loras, embeddings)
    hub = _hub(home)
    if hub.is_dir():
        yield Place("Hugging Face", (hub,), (), ())


def _parents(home: Path, here: Path) -> list[Path]:
    folders = [here, *(home / name for name in _AROUND), *map(Path, _MACHINE_WIDE)]
    return [folder for folder in dict.fromkeys(folders) if folder.is_dir()]


def _there(root: Path, names: tuple[str, ...]) -> tuple[Path, ...]:
    return tuple(root / name for name in names if (root / name).is_dir())


def _hub(home: Path) -> Path:
    if cache := os.environ.get("HF_HUB_CACHE"):
        return Path(cache)
    if folder := os.environ.get("HF_HOME"):
        return Path(folder, "hub")
    return home / ".cache" / "huggingface" / "hub"
