"""Draw the pictures of a request with what is live, and save each as it is done."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import torch
from PIL import Image

from engine.embeddings.inject import token_widths
from engine.embeddings.store import EmbeddingStore
from engine.embeddings.vocabulary import Vocabulary
from engine.errors import CancelledError, EngineError
from engine.files.hashes import FileHashes
from engine.files.picture_file import picture_hash
from engine.generate.encode import EmbeddingsCache
from engine.generate.preview import LatentRgb
from engine.generate.run import GeneratedPicture, generate
from engine.generate.save import require_folder
from engine.host_memory import is_out_of_memory
from engine.library.hash_store import HashStore
from engine.protocol.events import (
    Event,
    GenerationCancelled,
    GenerationFinished,
    GenerationStarted,
    GenerationStep,
    HashAwaited,
    PictureSaved,
    Preview,
)
from engine.protocol.modes import Mode
from engine.protocol.request import GenerateRequest, draw_seed
from engine.protocol.stack_edits import Stack
from engine.session.certifying import HashesOf
from engine.session.changing import changing_stack
from engine.session.opened import OpenedModel
from engine.session.saving import PictureSaver
from engine.session.writing import PictureWriter
from engine.store.drawn import DrawnPictures

log = logging.getLogger(__name__)


class Drawer:
    """Draws, and keeps between pictures what the next one can use."""

    def __init__(self, hashes: HashStore, drawn: DrawnPictures) -> None:
        self.embeddings = EmbeddingsCache()
        """Encoded prompts; to be cleared when a text encoder has changed."""
        self._inversions = EmbeddingStore()
        self._hashes = hashes
        self._drawn = drawn

    def draw(
        self,
        model: OpenedModel,
        request: GenerateRequest,
        cancelled: Callable[[], bool],
        tell: Callable[[Event], None],
        on_saved: Callable[[PictureSaved], None],
    ) -> bool:
        """Draw all pictures of a request with the live stack; False when it was cancelled.

        Raises `EngineError` where it cannot be drawn.
        """
        checkpoint, switcher = model.checkpoint, model.switcher
        start = time.monotonic()
        saved = list[PictureSaved]()
        done, total, number = 0, 0, 1
        stack = switcher.stack
        require_folder(request.output)
        request = request.with_seeds(draw_seed)
        own = [ref.path for ref in request.own_loras]
        looked = self._hashes.look(own)
        self._hashes.begin(ref.path for ref in stack)

        def on_start(seed: int, steps: int) -> None:
            nonlocal total
            total = steps
            tell(GenerationStarted(request, seed, steps))

        def on_pass(begun: int) -> None:
            nonlocal number
            number = begun

        def on_step(step: int, steps: int, preview: Preview | None) -> None:
            nonlocal done
            done = step
            changing = stacks[number - 1]
            now = changing.at_step if changing is not None else ()
            passes = 2 if request.hires else 1
            took = time.monotonic() - start
            tell(GenerationStep(step, steps, took, preview, now, number, passes))

        def hashes_of(path: Path | None) -> FileHashes | None:
            return self._hashes.of_used(path, cancelled, lambda p: tell(HashAwaited(p.name)))

        def write(picture: GeneratedPicture, at: float, took: float) -> None:
            saved.append(saver.save(picture, vocabulary, pictures, at, took))
            on_saved(saved[-1])

        def on_picture(picture: GeneratedPicture) -> None:
            at, took = time.time(), time.monotonic() - start
            writer.put(lambda: write(picture, at, took))

        # It is drawn without waiting; what is written says which files it was drawn with.
        saver = PictureSaver(self._drawn, model, request, stack, hashes_of)
        try:
            with (
                self._room(model),
                PictureWriter() as writer,
                changing_stack(switcher, request) as stacks,
            ):
                vocabulary = self._vocabulary(model, request)
                pictures = {path: picture_hash(path) for path in request.picture_files}
                # Its LoRAs are read by now.
                self._hashes.use(looked)
                self._hashes.begin(own)
                report = generate(
                    checkpoint.pipeline,
                    request,
                    cancelled=cancelled,
                    on_start=on_start,
                    on_pass=on_pass,
                    on_step=on_step,
                    on_picture=on_picture,
                    latent_rgb=LatentRgb(**checkpoint.latent_rgb),
                    embeddings_cache=self.embeddings,
                    vocabulary=vocabulary,
                    stacks=stacks,
                )
        except CancelledError:
            tell(GenerationCancelled(done, total))
            return False
        # Of weights that were lost meanwhile the pictures are not what their infotext says.
        switcher.require_known()
        seconds = time.monotonic() - start
        said = (*report.warnings, *saver.warnings)
        tell(GenerationFinished(tuple(saved), seconds, said, stack, model.loras))
        return True

    def draw_one(
        self, model: OpenedModel, request: GenerateRequest, cancelled: Callable[[], bool]
    ) -> Image.Image:
        """One picture with the live stack, written nowhere and told to nobody.

        Raises `CancelledError` within a step, and `EngineError` where it cannot be drawn.
        """
        switcher = model.switcher
        pictures: list[GeneratedPicture] = []
        with self._room(model), changing_stack(switcher, request) as stacks:
            generate(
                model.checkpoint.pipeline,
                replace(request, batch=1, preview_every=0),
                cancelled=cancelled,
                on_step=lambda *_: None,
                on_picture=pictures.append,
                embeddings_cache=self.embeddings,
                vocabulary=self._vocabulary(model, request),
                stacks=stacks,
            )
        switcher.require_known()
        return pictures[0].image

    def save_one(
        self,
        model: OpenedModel,
        request: GenerateRequest,
        stack: Stack,
        image: Image.Image,
        hashes_of: HashesOf,
    ) -> tuple[PictureSaved, tuple[str, ...]]:
        """Save a picture that was drawn before with this stack, and what is to be said of it.

        Raises `EngineError` where no place takes it.
        """
        require_folder(request.output)
        saver = PictureSaver(self._drawn, model, request, stack, hashes_of)
        vocabulary = self._vocabulary(model, request, stack)
        hashes = {path: picture_hash(path) for path in request.picture_files}
        varied = request.variation_seed if request.variation_strength > 0 else None
        picture = GeneratedPicture(image, request.seed, 0, varied)
        return saver.save(picture, vocabulary, hashes, time.time(), 0.0), tuple(saver.warnings)

    def _vocabulary(
        self, model: OpenedModel, request: GenerateRequest, stack: Stack | None = None
    ) -> Vocabulary:
        """The textual inversions that the prompts name: of folders, and of all LoRAs that count.

        `stack` is another than the live one.
        """
        switcher = model.switcher
        live = switcher.embeddings if stack is None else switcher.embeddings_of(stack)
        return self._inversions.find(
            request.texts,
            token_widths(model.checkpoint.pipeline),
            request.embeddings,
            (*live, *switcher.embeddings_of(request.own_loras)),
        )

    @contextmanager
    def _room(self, model: OpenedModel) -> Iterator[None]:
        """Say in words that a picture needs more memory than there is."""
        try:
            yield
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            # A little more room for the next try.
            model.switcher.free_device_cache()
            raise EngineError(_no_room_for_picture(model.device, model.mode)) from error


def _no_room_for_picture(device: torch.device, mode: Mode) -> str:
    """What happened, and what helps."""
    if device.type == "cpu":
        return (
            "There is not enough memory for this picture. Choose a smaller size, or leave the "
            "backups in the model's file."
        )
    return (
        "The GPU has not enough memory for this picture. Choose a smaller size, move the backups "
        f"to the CPU, or open the model in another mode (it is in the mode {mode})."
    )
