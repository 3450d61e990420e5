"""What is to be said of the tensors of a model's files that no network takes."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence

import torch

from engine.checkpoint.locate import Located
from engine.checkpoint.model_files import ModelFiles
from engine.checkpoint.source import Place
from engine.sdxl.layout import Part

log = logging.getLogger(__name__)


def notes_on_tensors(name: str, located: Mapping[Part, Located]) -> Iterator[str]:
    """Sentences on tensors of the networks that are not used, and on those that are there twice.

    Of the latter the values are read. Raises `CheckpointError` when a file has changed.
    """
    unused = [key for part in located.values() for key in part.unused]
    if unused:
        yield (
            f"{name}: tensors among its networks' that are not SDXL's are not used: "
            f"{len(unused):,}, such as {unused[0][:90]}."
        )
    different = list(_different(located))
    if different:
        used, other = different[0]
        yield (
            f"{name}: tensors that are there under two names with different values: "
            f"{len(different):,}; {used[:90]} is used, {other[:90]} is not."
        )


def notes_on_zeros(zeros: Sequence[Place]) -> Iterator[str]:
    """A sentence on weights that are nothing but zeros: of such a model pictures are of no use."""
    if zeros:
        first = zeros[0]
        yield (
            f"{first.file.path.name}: weights that are nothing but zeros: {len(zeros):,}, such as "
            f"{first.key[:90]}; perhaps its download was not finished."
        )


def log_left_out(name: str, files: ModelFiles) -> None:
    """Log how many tensors of the files belong to none of the networks."""
    everything = {
        (file.path, key)
        for part in files.parts.values()
        for file in part.files
        for key in file.header.tensors
    }
    of_networks = {
        (file.path, key)
        for part in files.parts.values()
        for keys in part.names.values()
        for file, key in keys
    }
    if left_out := everything - of_networks:
        ema = sum(key.startswith("model_ema.") for _, key in left_out)
        log.info("%s: %d tensors left out, %d of them EMA weights", name, len(left_out), ema)


def _different(located: Mapping[Part, Located]) -> Iterator[tuple[str, str]]:
    """Names in the file of tensors that should be equal, and are not."""
    for part in located.values():
        for name, others in part.twice.items():
            place = part.places[name]
            for other in others:
                if not torch.equal(place.read(), other.read()):
                    yield place.key, other.key
