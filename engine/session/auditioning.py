"""Pictures to look at, with stacks of their own, after which the stack of before is live again."""

from __future__ import annotations

import hashlib
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from PIL import Image

from engine.errors import CancelledError, EngineError, SwitchError
from engine.files.file_version import FileVersion
from engine.files.hashes import FileHashes
from engine.library.hash_store import HashStore
from engine.proof.contents import FileContents
from engine.proof.digest import content_key
from engine.protocol.events import Auditioned, PictureSaved
from engine.protocol.request import GenerateRequest
from engine.protocol.stack_edits import Stack
from engine.session.audition_cache import AuditionCache
from engine.session.certifying import machine_of
from engine.session.drawing import Drawer
from engine.session.opened import OpenedModel


class Auditions:
    """Draws them, or finds them where they were drawn before.

    `index` is the library's index, beside which they are kept; without it they are kept where
    temporary files go, and are not found again.
    """

    def __init__(self, drawer: Drawer, hashes: HashStore, index: Path | None) -> None:
        self._drawer = drawer
        self._hashes = hashes
        self._index = index
        self._contents = _KnownContents(index)
        folder = index.parent if index is not None else Path(tempfile.gettempdir()) / "loraswitch"
        self._cache = AuditionCache(folder / "audition")
        self._before: Stack | None = None
        """What was live before the first of several."""
        self._unnamed: tuple[Path, GenerateRequest, Stack] | None = None
        """The last one, as long as it cannot be found again."""

    def forget_stack(self) -> None:
        """Whoever makes another stack live has no use for the one of before."""
        self._before = None

    def draw(
        self,
        model: OpenedModel,
        request: GenerateRequest,
        stack: Stack,
        cancelled: Callable[[], bool],
        goes_on: Callable[[], bool],
        tell: Callable[[Auditioned], None],
    ) -> None:
        """Draw a picture, and make the stack of before live again unless another follows.

        Raises `CancelledError` within a step, and `EngineError` where it cannot be drawn.
        """
        start = time.monotonic()
        try:
            key = self._known_key(model, stack, request)
            path = self._cache.find(key) if key is not None else None
            is_new = path is None
            if path is None:
                self._switch(model, stack, cancelled)
                image = self._drawer.draw_one(model, request, cancelled)
                if key != self._known_key(model, stack, request):
                    key = None  # a file was written to meanwhile
                path = self._cache.keep(image, key)
            self._unnamed = (path, request, stack) if key is None else None
            tell(Auditioned(path, time.monotonic() - start, is_new))
            if key is None:
                self._name(model, cancelled)
        finally:
            if self._before is not None and not goes_on():
                before, self._before = self._before, None
                self._apply(model, before, lambda: False)

    def keep(
        self,
        model: OpenedModel,
        request: GenerateRequest,
        stack: Stack,
        on_wait: Callable[[Path], object],
    ) -> tuple[PictureSaved, tuple[str, ...]]:
        """Save a picture that was drawn, with its certificate; and what is to be said of that.

        `on_wait` is told of a file whose hash takes a while. Raises `EngineError` where the picture
        is no longer there, or no place takes it.
        """
        if self._unnamed is not None and self._unnamed[1:] == (request, stack):
            self._name(model, lambda: False)
        contents = FileContents(self._index)
        path = self._cache.find(_key(model, stack, request, contents))
        if path is None:
            raise EngineError(
                "This picture is no longer kept, or one of its files is another by now: g draws it."
            )
        with Image.open(path) as image:
            image.load()

        def hashes_of(path: Path | None) -> FileHashes | None:
            if path in (model.checkpoint.path, model.vae):
                return self._hashes.of_used(path, lambda: False, on_wait)
            return contents.hashes(path) if path is not None else None

        return self._drawer.save_one(model, request, stack, image, hashes_of)

    def _switch(self, model: OpenedModel, stack: Stack, cancelled: Callable[[], bool]) -> None:
        if model.switcher.stack != stack and self._before is None:
            self._before = model.switcher.stack
        try:
            # Also where this stack is live: its files may be others by now.
            self._apply(model, stack, cancelled)
        except SwitchError as error:
            if cancelled():
                raise CancelledError("The audition was cancelled.") from error
            raise

    def _apply(self, model: OpenedModel, stack: Stack, cancelled: Callable[[], bool]) -> None:
        paths = [ref.path for ref in stack]
        looked = self._hashes.look(paths)
        try:
            report = model.switcher.apply(stack, cancelled)
        except EngineError:
            # A fault after the first write has brought the base back.
            self._drawer.embeddings.clear()
            raise
        if report.text_encoders_changed:
            self._drawer.embeddings.clear()
        self._hashes.use(looked)
        self._hashes.begin(paths)
        model.loras = report.loras

    def _name(self, model: OpenedModel, cancelled: Callable[[], bool]) -> None:
        """Let a picture that is shown by now be found again, unless something else waits."""
        assert self._unnamed is not None, "there is one"
        path, request, stack = self._unnamed
        for ref in (*stack, *request.own_loras):
            if self._hashes.of_used(ref.path, cancelled, lambda path: None) is None:
                return
        if (key := self._known_key(model, stack, request)) is not None:
            self._cache.name(path, key)
            self._unnamed = None

    def _known_key(self, model: OpenedModel, stack: Stack, request: GenerateRequest) -> str | None:
        """The picture's key; None while not all of its files are hashed, which takes a while."""
        try:
            return _key(model, stack, request, self._contents)
        except EngineError:
            return None


def _key(model: OpenedModel, stack: Stack, request: GenerateRequest, contents: FileContents) -> str:
    """Of all that the pixels depend on, and of what computes them: so it can be certified later.

    Raises `EngineError` for files that cannot be read.
    """
    key = content_key(model.fingerprint, stack, request, contents)
    return hashlib.sha256(f"{key} {machine_of(model)}".encode()).hexdigest()


class _KnownContents(FileContents):
    """Contents of LoRAs as far as they are known; reading one would keep the user waiting."""

    def _hashes(self, path: Path, version: FileVersion) -> FileHashes:
        known = self._table.find(path, version)
        if known is None:
            raise EngineError(f"{path.name}: it is not hashed yet.")
        return known
