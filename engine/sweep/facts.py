"""What of the model the keys of cells depend on, kept so that nothing is loaded to know them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from engine.errors import EngineError, FileFormatError
from engine.files.file_version import FileVersion
from engine.files.regular_file import read_regular
from engine.files.saving import in_words, replace_file
from engine.proof.contents import FileContents
from engine.proof.digest import content_key
from engine.protocol.commands import Load
from engine.protocol.events import ModelInfo
from engine.sweep.cells import Cell

_LARGEST = 1 << 20
_NAME = "model.json"
_BESIDE = (".vae.safetensors", ".yaml", ".yml")
"""Endings of what counts beside a model's file of the same name."""
_TOKENIZER = ("tokenizer.json", "vocab.json", "merges.txt")


@dataclass(frozen=True)
class ModelFacts:
    """Of a loaded model: the digest of its weights, and the size of the pictures it draws."""

    fingerprint: str
    default_size: int

    @classmethod
    def of(cls, model: ModelInfo) -> ModelFacts:
        """Those of the model that is loaded."""
        return cls(model.fingerprint, model.default_size)

    def sized(self, cell: Cell) -> Cell:
        """The cell with the model's own size where none is given."""
        request = cell.request
        width, height = request.width or self.default_size, request.height or self.default_size
        return replace(cell, request=replace(request, width=width, height=height))

    def keys(self, cells: Sequence[Cell], contents: FileContents) -> list[str]:
        """The digests of all that the pixels of cells depend on; raises `EngineError`."""
        return [content_key(self.fingerprint, cell.stack, cell.request, contents) for cell in cells]


def kept_facts(folder: Path, load: Load, model: Path) -> ModelFacts | None:
    """What was kept of the model at `model`, if its files are still the same; else None."""
    try:
        kept = json.loads(read_regular(folder / _NAME, _LARGEST))
        if kept["opened"] == _opened(load, model):
            return ModelFacts(str(kept["fingerprint"]), int(kept["default_size"]))
    except (OSError, ValueError, KeyError, TypeError, FileFormatError):
        pass  # It is asked of the model then.
    return None


def keep_facts(folder: Path, load: Load, model: Path, facts: ModelFacts) -> None:
    """Keep them for the next time; a model of many files is asked again. Raises `EngineError`."""
    with suppress(ValueError):
        data = json.dumps({"opened": _opened(load, model), **asdict(facts)}, indent=1)
        try:
            replace_file(folder / _NAME, data.encode())
        except OSError as error:
            raise EngineError(
                f"{folder}: nothing can be written there ({in_words(error)})."
            ) from error


def _opened(load: Load, model: Path) -> dict[str, object]:
    """How a model is opened, and the versions of its files. Raises ValueError for a folder."""
    files = [path for path in (model, load.vae, load.parts_from) if path is not None]
    if any(path.is_dir() for path in files):
        raise ValueError("a folder's version is not that of its files")
    try:
        versions = {
            str(path): list(FileVersion.of(path)[1:])
            for file in files
            for path in (file, *_beside(file))
        }
    except OSError as error:
        raise ValueError(str(error)) from error
    return {
        "files": versions,
        "device": load.device,
        "dtype": load.dtype,
        "vae_dtype": load.vae_dtype,
        "prediction": load.prediction,
    }


def _beside(model: Path) -> Iterator[Path]:
    """What is read beside a model's file: settings, a VAE, the tokenizer."""
    paths = [model.with_suffix(ending) for ending in _BESIDE]
    paths += [model.parent / "tokenizer" / name for name in _TOKENIZER]
    return filter(Path.exists, paths)
