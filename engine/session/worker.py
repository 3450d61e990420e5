"""What the engine thread does with tensors; it alone holds them."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import torch

from engine.errors import EngineError
from engine.generate.quiet import quiet_libraries
from engine.pinned_memory import give_back_pinned
from engine.protocol.commands import Load
from engine.protocol.events import (
    BackupMoved,
    Event,
    GenerationFinished,
    HashAwaited,
    MemoryChanged,
    ModelLoaded,
    ModelUnloaded,
    PictureSaved,
    StateChanged,
    Switched,
    Verified,
)
from engine.protocol.refs import LoraRef
from engine.protocol.reports import MemoryReport, Tier
from engine.protocol.request import GenerateRequest
from engine.protocol.stack_edits import Stack
from engine.words.sizes import shape_size

quiet_libraries()

# diffusers' pipelines log while they are imported, so whatever needs them comes after that.
from engine.generate.start import size_of  # noqa: E402
from engine.library.hash_store import HashStore  # noqa: E402
from engine.modes.decide import require_backup  # noqa: E402
from engine.session.auditioning import Auditions  # noqa: E402
from engine.session.drawing import Drawer  # noqa: E402
from engine.session.loading import model_path, open_model  # noqa: E402
from engine.session.opened import OpenedModel  # noqa: E402
from engine.session.orders import Tell  # noqa: E402
from engine.session.threads import Threads  # noqa: E402
from engine.store.drawn import DrawnPictures  # noqa: E402
from engine.switch.switcher import LoraSwitcher  # noqa: E402

Cancelled = Callable[[], bool]


class Worker:
    """Holds the loaded model, and does what changes it or draws with it.

    The event that ends the command `id` comes last. Each method raises `EngineError` when it
    cannot be done.
    """

    def __init__(self, tell: Tell, index: Path | None = None, store: Path | None = None) -> None:
        self._tell = tell
        self._model: OpenedModel | None = None
        self._hashes = HashStore(index)
        self._drawer = Drawer(self._hashes, DrawnPictures(store))
        self._auditions = Auditions(self._drawer, self._hashes, index)
        self._told = StateChanged("empty")
        self._passing: StateChanged | None = None
        """What is live of an audition that another follows; nobody is told."""
        self._threads = Threads()

    @property
    def live(self) -> Stack:
        """The stack in the weights."""
        return self._model.switcher.stack if self._model else ()

    def has_open(self, model: Path | None) -> bool:
        """Whether this model (None: the demo) is the loaded one."""
        return self._model is not None and self._model.checkpoint.path == model_path(model)

    def load(self, command: Load, cancelled: Cancelled, id: str | None) -> None:
        """Open a model in place of the loaded one."""
        start = time.monotonic()
        self._model = opened = open_model(
            command, self._tell, cancelled, self._drop_model, self._hashes
        )
        self._threads.fit(opened)
        seconds = time.monotonic() - start
        notes = (*opened.checkpoint.notes, *opened.notes)
        self._tell(ModelLoaded(opened.describe(), seconds, notes), id)
        self._tell_state()

    def unload(self, id: str) -> None:
        """Give the model's memory back."""
        self._drop_model()
        self._tell(ModelUnloaded(), id)

    def switch(self, stack: Stack, cancelled: Cancelled, id: str | None) -> None:
        """Make a stack live."""
        model = self._require_model("switch LoRAs on")
        switcher = model.switcher
        before = switcher.stack
        self._auditions.forget_stack()
        looked = self._hashes.look(ref.path for ref in stack)
        try:
            report = switcher.apply(stack, cancelled)
        except EngineError:
            # A fault after the first write has brought the base back, or will have to.
            if switcher.stack != before or switcher.state == "recovering":
                self._drawer.embeddings.clear()
            self._tell_state()
            raise
        self._hashes.use(looked)
        if report.text_encoders_changed:
            self._drawer.embeddings.clear()
        model.loras = report.loras
        self._tell_state()
        warnings = tuple(text for lora in report.loras for text in lora.warnings)
        self._tell(Switched(report, warnings), id)

    def draw(
        self,
        request: GenerateRequest,
        cancelled: Cancelled,
        id: str,
        on_saved: Callable[[PictureSaved], None],
    ) -> bool:
        """Draw the pictures of a request; False when that was cancelled."""
        model = self._require_known("draw with")
        self._auditions.forget_stack()
        request = _sized(request, model)

        def tell(event: Event) -> None:
            self._tell(event, id)

        try:
            with self._telling_state(model.switcher):
                return self._drawer.draw(model, request, cancelled, tell, on_saved)
        finally:
            self._tell_memory()

    def audition(
        self,
        request: GenerateRequest,
        stack: Stack,
        cancelled: Cancelled,
        id: str,
        goes_on: Callable[[], bool],
    ) -> None:
        """Draw a picture to look at; the stack of before is live again unless another follows."""
        model = self._require_known("draw with")
        with self._telling_state(model.switcher, goes_on):
            self._auditions.draw(
                model, _sized(request, model), stack, cancelled, goes_on,
                lambda picture: self._tell(picture, id),
            )  # fmt: skip

    def audition_ahead(
        self,
        request: GenerateRequest,
        stack: Stack,
        cancelled: Cancelled,
        goes_on: Callable[[], bool],
    ) -> None:
        """The same for a picture that may be looked at next; nobody is told."""
        model = self._require_known("draw with")
        with self._telling_state(model.switcher, goes_on):
            self._auditions.draw(
                model, _sized(request, model), stack, cancelled, goes_on, lambda picture: None
            )

    def keep_audition(self, request: GenerateRequest, stack: Stack, id: str) -> None:
        """Save a picture that was drawn to look at among the pictures."""
        model = self._require_known("keep pictures of")

        def on_wait(path: Path) -> None:
            self._tell(HashAwaited(path.name), id)

        request = _sized(request, model)
        saved, warnings = self._auditions.keep(model, request, stack, on_wait)
        self._tell(saved, id)
        self._tell(GenerationFinished((saved,), 0.0, warnings, stack), id)

    def set_backup(self, tier: Tier, id: str) -> None:
        """Move the backups to another memory."""
        model = self._require_model("move backups of")
        require_backup(model.mode, tier)
        start = time.monotonic()
        model.switcher.set_backup(tier)
        self._tell_memory()
        moved, on_gpu = model.switcher.backup_bytes, model.switcher.backup_bytes_on_gpu
        beside = moved - on_gpu if tier == "device" and model.device.type == "cuda" else 0
        self._tell(BackupMoved(tier, moved, time.monotonic() - start, beside), id)

    def verify(self, id: str) -> None:
        """Compare the base with its fingerprints."""
        switcher = self._require_model("verify").switcher
        start = time.monotonic()
        with self._telling_state(switcher):
            report = switcher.verify()
        self._tell(Verified(report, time.monotonic() - start), id)

    def prefetch(self, ref: LoraRef, cancelled: Cancelled) -> None:
        """Read a LoRA ahead; a switch to it will say what is wrong with it."""
        self._require_model("read LoRAs for").switcher.prefetch(ref, cancelled)
        self._tell_memory()

    def read_ahead(self, ref: LoraRef, cancelled: Cancelled) -> None:
        """The same while something is drawn, on another thread."""
        self._require_model("read LoRAs for").switcher.prefetch(ref, cancelled)

    def _drop_model(self) -> None:
        if self._model is None:
            return
        self._model = None
        self._drawer.embeddings.clear()
        self._auditions.forget_stack()
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
            give_back_pinned()
        self._tell(StateChanged("empty"))
        self._tell_memory()

    def _require_model(self, purpose: str) -> OpenedModel:
        if self._model is None:
            raise EngineError(f"No model is loaded, so there is nothing to {purpose}.")
        return self._model

    def _require_known(self, purpose: str) -> OpenedModel:
        """The model with its weights known: brought back to the base first if they are not."""
        model = self._require_model(purpose)
        with self._telling_state(model.switcher):
            model.switcher.require_known()
        return model

    @contextmanager
    def _telling_state(
        self, switcher: LoraSwitcher, passes: Callable[[], bool] = lambda: False
    ) -> Iterator[None]:
        """Tell of the state when what is done inside, or what it found, is not what was told.

        A stack that `passes` is nobody's wish: the one of before will be live again.
        """
        try:
            yield
        finally:
            now = StateChanged(switcher.state, switcher.stack)
            if now == self._told:
                self._passing = None
            elif now != self._passing:
                self._drawer.embeddings.clear()
                if switcher.state != "recovering" and passes():
                    self._passing = now
                else:
                    self._tell_state()

    def _tell_state(self) -> None:
        if self._model is not None:
            switcher = self._model.switcher
            self._told = StateChanged(switcher.state, switcher.stack)
            self._passing = None
            self._tell(self._told)
        self._tell_memory()

    def _tell_memory(self) -> None:
        memory = self._model.memory() if self._model else MemoryReport()
        self._tell(MemoryChanged(memory))


def _sized(request: GenerateRequest, model: OpenedModel) -> GenerateRequest:
    """With a size where none was asked for: the model's, or that of the picture to begin with."""
    trained = model.checkpoint.default_size
    own = (trained, trained)
    if request.shape:
        own = shape_size(request.shape, trained)
    elif request.start is not None and not (request.width or request.height):
        own = size_of(request.start.path, trained)
    width, height = request.width or own[0], request.height or own[1]
    return replace(request, width=width, height=height, shape="")
