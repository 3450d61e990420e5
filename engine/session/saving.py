"""What is written of a finished picture: its file with what made it, and the store's row."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from engine.embeddings.vocabulary import Vocabulary
from engine.generate.infotext import describe_picture, write_infotext
from engine.generate.run import GeneratedPicture
from engine.generate.save import FinishedPicture, save_or_rescue
from engine.protocol.events import PictureSaved
from engine.protocol.making import FileUsed, Making
from engine.protocol.request import GenerateRequest
from engine.protocol.stack_edits import Stack
from engine.session.certifying import Certifier, HashesOf
from engine.session.opened import OpenedModel
from engine.store.drawn import DrawnPictures
from engine.version import VERSION


class PictureSaver:
    """Saves the pictures of one request; to be made before they are drawn.

    `stack` is what they are drawn with, and `hashes_of` may wait for a hash.
    """

    def __init__(
        self,
        drawn: DrawnPictures,
        model: OpenedModel,
        request: GenerateRequest,
        stack: Stack,
        hashes_of: HashesOf,
    ) -> None:
        self._drawn = drawn
        self._model, self._request, self._stack = model, request, stack
        self._hashes_of = hashes_of
        self._certifier = Certifier(model, request, stack, hashes_of)
        self.warnings: list[str] = []
        """What is to be said of the places that did not take them, each once."""

    def save(
        self,
        picture: GeneratedPicture,
        vocabulary: Vocabulary,
        picture_hashes: Mapping[Path, str],
        at: float,
        took: float,
    ) -> PictureSaved:
        """Save one that was finished `at` this time. Raises `EngineError` where no place takes it.

        `picture_hashes` are of the pictures that it begins with.
        """
        text = self._infotext(picture, vocabulary, picture_hashes)
        making = replace(
            self._making(picture), certificate=self._certifier.certificate(picture.index)
        )
        name, size = self._model.checkpoint.path.stem, picture.image.size
        path, trouble = save_or_rescue(FinishedPicture(picture.image, text, making, name, at))
        not_kept = self._drawn.record(path, at, size, making, name)
        self.warnings += [w for w in (trouble, not_kept) if w and w not in self.warnings]
        steps = self._request.steps
        return PictureSaved(path, picture.seed, *size, steps, text, took, trouble or "")

    def _infotext(
        self,
        picture: GeneratedPicture,
        vocabulary: Vocabulary,
        picture_hashes: Mapping[Path, str],
    ) -> str:
        """What a picture says of itself."""
        request, model, hashes_of = self._request, self._model, self._hashes_of
        members = dict.fromkeys((*self._stack, *request.own_loras))
        loras = ((request.name_of(ref), hashes_of(ref.path)) for ref in members)
        info = describe_picture(
            request,
            picture.seed,
            variation_seed=picture.variation_seed,
            model=model.used(hashes_of(model.checkpoint.path), hashes_of(model.vae)),
            stack=self._stack,
            lora_hashes=dict.fromkeys((name, hashes.autov3) for name, hashes in loras if hashes),
            embedding_hashes=vocabulary.hashes,
            picture_hashes=picture_hashes,
            version=_PROGRAM,
            index=picture.index,
        )
        return write_infotext(info)

    def _making(self, picture: GeneratedPicture) -> Making:
        """What made a picture, exactly, with the hashes of its files as far as they are known."""
        model = self._model
        members = (*self._stack, *self._request.own_loras)
        named = [(str(path), path) for path in dict.fromkeys(ref.path for ref in members)]
        named += [("model", model.checkpoint.path)]
        named += [("vae", model.vae)] if model.vae is not None else []
        files = []
        for key, path in named:
            hashes = self._hashes_of(path)
            files.append(FileUsed(key, path.stem, hashes.tensors_sha256 if hashes else ""))
        return Making(self._request, tuple(self._stack), picture.index, tuple(files), _PROGRAM)


_PROGRAM = f"loraswitch {VERSION}"
