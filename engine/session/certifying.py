"""Certificates of pictures, by the files as they were when they were drawn with."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from functools import cache
from importlib.metadata import version
from pathlib import Path

import torch

from engine.device import device_name
from engine.errors import EngineError
from engine.files.hashes import FileHashes
from engine.generate.version import LOOP_VERSION
from engine.proof.contents import FileContents
from engine.proof.digest import files_of, request_digest, weights_digest
from engine.protocol.certificate import Certificate, Machine
from engine.protocol.request import GenerateRequest
from engine.protocol.stack_edits import Stack
from engine.session.opened import OpenedModel
from engine.switch.version import MERGE_VERSION

log = logging.getLogger(__name__)

HashesOf = Callable[[Path | None], FileHashes | None]
"""Of the version of a file that is in the weights; None where that is not known."""

LIBRARIES = ("torch", "diffusers", "transformers")
"""Those whose code is between a request and its pixels."""


class Certifier:
    """Certifies the pictures of one request; to be made before they are drawn.

    Where the files behind a picture are not known, it has no certificate, and the log says why.
    """

    def __init__(
        self, model: OpenedModel, request: GenerateRequest, stack: Stack, hashes_of: HashesOf
    ) -> None:
        self._model = model
        self._request = request
        self._stack = stack
        self._contents: _DrawnContents | None = None
        try:
            self._contents = _DrawnContents(request, hashes_of)
        except EngineError as error:
            log.warning("pictures without a certificate: %s", error)

    def certificate(self, index: int) -> Certificate | None:
        """That of a picture of the batch, when it is drawn."""
        if self._contents is None:
            return None
        model, picture = self._model, self._request.picture(index)
        # Sorted: the order of a stack does not count.
        paths = sorted({ref.path for ref in (*self._stack, *picture.own_loras)})
        try:
            return Certificate(
                weights=weights_digest(model.fingerprint, self._stack, self._contents),
                request=request_digest(picture, self._contents),
                base=model.fingerprint,
                model=str(model.checkpoint.path),
                contents=tuple((str(path), self._contents.lora(path)) for path in paths),
                merge=MERGE_VERSION,
                loop=LOOP_VERSION,
                machine=machine_of(model),
                dtype=str(model.dtype).removeprefix("torch."),
                prediction=model.checkpoint.prediction,
                vae=str(model.vae or ""),
                vae_dtype=model.vae_dtype,
                parts_from=str(model.lender or ""),
            )
        except EngineError as error:
            log.warning("a picture without a certificate: %s", error)
            return None


class _DrawnContents(FileContents):
    """Contents as they were: of LoRAs by the versions in the weights, of others before the drawing.

    Raises `EngineError` for a file that cannot be read.
    """

    def __init__(self, request: GenerateRequest, hashes_of: HashesOf) -> None:
        super().__init__()
        self._hashes_of = hashes_of
        before = FileContents()
        self._files = {path: before.file(path) for path in files_of(request)}
        self._named = before.embeddings(request)

    def hashes(self, path: Path) -> FileHashes:
        """Raises `EngineError` where it is not known which version is in the weights."""
        hashes = self._hashes_of(path)
        if hashes is None:
            raise EngineError(f"{path.name}: which version of it was drawn with is not known.")
        return hashes

    def file(self, path: Path) -> str:
        """The SHA-256 of a file."""
        return self._files[path]

    def embeddings(self, request: GenerateRequest) -> Mapping[str, str]:
        """Of the textual inversions that are named, by name."""
        return self._named


def machine_of(model: OpenedModel) -> Machine:
    """What a model is computed with."""
    device = f"{model.device.type} {device_name(str(model.device))}"
    if model.device.type == "cpu":
        # Which instructions there are decides how sums are ordered.
        device = f"cpu {torch.backends.cpu.get_cpu_capability()}"
    return Machine(device, model.mode, torch.get_num_threads(), _versions())


@cache
def _versions() -> tuple[tuple[str, str], ...]:
    return tuple((name, version(name)) for name in LIBRARIES)
