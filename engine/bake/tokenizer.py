"""The tokenizer of a model that has one of its own: it lies beside the model's file."""

from __future__ import annotations

import shutil
from pathlib import Path

from engine.checkpoint import Checkpoint
from engine.checkpoint.tokenizers import CLIP_VOCABULARY
from engine.errors import EngineError
from engine.files.saving import in_words

_FOLDER = "tokenizer"


def copy_tokenizer(model: Checkpoint, path: Path) -> None:
    """Copy it beside the file to be written, where the model does not have SDXL's usual one.

    Raises `EngineError` where another tokenizer is there already, or it cannot be copied.
    """
    words = model.pipeline.text_encoder.get_input_embeddings().weight.shape[0]
    source = (model.path if model.path.is_dir() else model.path.parent) / _FOLDER
    target = path.parent / _FOLDER
    if words == CLIP_VOCABULARY or not source.is_dir() or source.resolve() == target.resolve():
        return
    if target.exists():
        if all(_same(file, target / file.name) for file in source.iterdir()):
            return
        raise EngineError(
            f"{target}: another tokenizer is there already, and this model needs its own beside "
            "it; write the file into another folder."
        )
    try:
        shutil.copytree(source, target)
    except OSError as error:
        raise EngineError(f"{target} cannot be written: {in_words(error)}.") from error


def _same(file: Path, other: Path) -> bool:
    return other.is_file() and file.read_bytes() == other.read_bytes()
