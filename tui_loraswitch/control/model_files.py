"""The models in folders: whole checkpoints and diffusers folders, told apart by their headers."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

from engine.client.model_checks import ModelChecks
from engine.demo import DEMO_MODEL
from engine.errors import CheckpointError, EngineError, FileFormatError
from engine.files.header import read_header
from engine.lora.identify import identify
from engine.words.clean import clean_line

log = logging.getLogger(__name__)

INDEX = "model_index.json"
"""What makes a folder a diffusers model."""


@dataclass(frozen=True)
class ModelFile:
    """A model as the list shows it; `path` None is the embedded demo."""

    path: Path | None
    name: str
    size: int
    """Bytes of weights on disk."""
    kind: str
    """`SDXL`, or what else it is."""
    problem: str = ""
    """Why it cannot be opened, as a sentence."""


def demo_model() -> ModelFile:
    """The model that is always there."""
    return ModelFile(None, "demo (tiny SDXL, embedded)", _size_of(DEMO_MODEL), "SDXL")


def find_models(
    folders: Sequence[Path],
    beside: Path | None,
    on_found: Callable[[ModelFile], None],
    is_cancelled: Callable[[], bool],
    parts_from: Path | None = None,
    checks: ModelChecks | None = None,
) -> list[str]:
    """Report every model in `folders` with all below them, and in the folder of `beside`.

    That folder was not named by the user, and might be a whole home folder: of what lies below it
    only diffusers models count. `parts_from` is the model that completes others;
    `checks` are those of the caller, without them a process is started.
    Returns what could not be looked into, in sentences.
    """
    problems: list[str] = []
    seen: set[str] = set()
    roots = [(folder, True) for folder in folders]
    if beside is not None:
        roots.append((beside.parent, False))
    with nullcontext(checks) if checks is not None else ModelChecks() as running:
        for root, is_deep in roots:
            for path in _candidates(root, is_deep, seen, problems):
                if is_cancelled():
                    return problems
                if (model := _model(path, parts_from, running)) is not None:
                    on_found(model)
    return problems


def _candidates(root: Path, is_deep: bool, seen: set[str], problems: list[str]) -> Iterator[Path]:
    """Diffusers folders and safetensors files, each real folder once; links are followed."""

    def note(error: OSError) -> None:
        problems.append(f"{clean_line(str(error.filename))}: cannot be read ({error.strerror}).")

    if "\0" in str(root):
        return
    for name, folders, files in os.walk(root, onerror=note, followlinks=True):
        folder, real = Path(name), os.path.realpath(name)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        is_model, is_root = INDEX in files, folder == root
        if is_model:
            yield folder
        if is_deep or is_root:
            endings = (".safetensors",)
            yield from (folder / file for file in sorted(files) if file.lower().endswith(endings))
        # What lies below a diffusers model are its parts.
        goes_on = not is_model and (is_deep or is_root)
        folders[:] = sorted(f for f in folders if not f.startswith(".")) if goes_on else []


def _model(path: Path, parts_from: Path | None, checks: ModelChecks) -> ModelFile | None:
    try:
        if path.is_dir():
            return _folder_model(path, checks)
        return _file_model(path, parts_from, checks)
    # A fault of this program that one odd file brings out: the others are shown all the same.
    except Exception:
        log.exception("%s: cannot be looked at", path)
        words = f"{path.name}: looking at it failed; the log file has the details."
        return ModelFile(path, path.stem, 0, "unreadable", words)


def _file_model(path: Path, parts_from: Path | None, checks: ModelChecks) -> ModelFile | None:
    """A model, or what is wrong with a file that may be one; None for LoRAs and the like."""
    size = _size_of(path)
    try:
        identity = identify(read_header(path))
    except FileFormatError as error:
        return ModelFile(path, path.stem, size, "unreadable", str(error))
    if identity.kind not in ("checkpoint", "unet"):
        return None
    if identity.base_model not in ("", "SDXL"):
        kind = identity.base_model
        return ModelFile(path, path.stem, size, kind, f"{path.name}: this is a model for {kind}.")
    model = _checked(path, path.stem, size, checks, parts_from)
    is_unet = identity.kind == "unet" and model.kind == "not SDXL"
    return replace(model, kind="UNet alone") if is_unet else model


def _folder_model(path: Path, checks: ModelChecks) -> ModelFile:
    sizes = (_size_of(file) for file in path.glob("*/*.safetensors"))
    return _checked(path, f"{path.name}/", sum(sizes), checks)


def _checked(
    path: Path, name: str, size: int, checks: ModelChecks, parts_from: Path | None = None
) -> ModelFile:
    try:
        checks.check(path, parts_from)
    except CheckpointError as error:
        return ModelFile(path, name, size, "not SDXL", str(error))
    except (EngineError, OSError) as error:
        return ModelFile(path, name, size, "unreadable", str(error))
    return ModelFile(path, name, size, "SDXL")


def _size_of(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
