"""The engine thread: commands go in through methods, events come back through one callback."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from engine.commands import (
    CANCELLABLE,
    Command,
    Generate,
    Load,
    Prefetch,
    SetBackup,
    Switch,
    Verify,
)
from engine.errors import CancelledError, EngineError, FileFormatError, LoraRefusedError
from engine.events import CommandFailed, Event, GenerationCancelled, LoadProgress
from engine.generate.request import GenerateRequest
from engine.heavy_imports import heavy_imports
from engine.modes.names import ModeChoice
from engine.prediction import Prediction
from engine.refs import LoraRef
from engine.reports import BackupChoice, Tier

if TYPE_CHECKING:
    from engine.worker import Worker

log = logging.getLogger(__name__)


class Session:
    """Owns the one thread that touches tensors.

    Every method puts a command on a queue and returns at once; commands are done in order. Each is
    answered by one event that ends it, in the same order, also when `cancel` dropped it; only a
    prefetch may end without a word, and what `close` leaves undone. `on_event` is called on the
    engine thread and must not block. Torch is imported on that thread, at the first command. Hashes
    of models and LoRAs, for infotexts, are kept between runs in `index`, the library's index.
    """

    def __init__(self, on_event: Callable[[Event], None], index: Path | None = None) -> None:
        self._on_event = on_event
        self._index = index
        self._queue: queue.Queue[tuple[int, Command] | None] = queue.Queue()
        self._lock = threading.Lock()
        self._next_number = 0
        self._cancelled_below = 0
        self._closing = threading.Event()
        # A daemon: an import of torch cannot be interrupted, and must not hold up quitting.
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)
        self._thread.start()

    def load(
        self,
        model: Path | None,
        device: str | None = None,
        dtype: str | None = None,
        backup: BackupChoice = "auto",
        vae: Path | None = None,
        mode: ModeChoice = "auto",
        compiled: bool = False,
        parts_from: Path | None = None,
        prediction: Prediction | None = None,
    ) -> None:
        """Open a checkpoint file or folder; None opens the embedded demo.

        Device and dtype are chosen when None: CUDA with float16 where there is one, else the CPU
        with float32. `vae` is a file or diffusers folder with a VAE in place of the model's own.
        `mode` says how the model shares the device's memory; `auto` decides by what is free.
        `compiled` has PyTorch compile the UNet, in a mode that keeps it on the device.
        `parts_from` is a model whose text encoders and VAE are used where this one has none, such
        as for a UNet alone; `prediction` is what it predicts, whatever its files say.
        """
        self._put(Load(model, device, dtype, backup, vae, mode, compiled, parts_from, prediction))

    def switch(self, stack: Sequence[LoraRef]) -> None:
        """Make `stack` live; an empty one is the base."""
        self._put(Switch(tuple(stack)))

    def generate(self, request: GenerateRequest, stack: Sequence[LoraRef] | None = None) -> None:
        """Draw the pictures of a request with the live stack.

        They are refused when `stack` is given and has other members, in whatever order: a switch
        before them has failed.
        """
        self._put(Generate(request, None if stack is None else tuple(stack)))

    def set_backup(self, tier: Tier) -> None:
        """Move the backups to another memory; the live weights do not change."""
        self._put(SetBackup(tier))

    def verify(self) -> None:
        """Compare the base with its fingerprints."""
        self._put(Verify())

    def prefetch(self, ref: LoraRef) -> None:
        """Read a LoRA, and send it to the GPU if there is one: a switch to it is likely."""
        self._put(Prefetch(ref))

    def cancel(self) -> None:
        """Stop the running generation or load within one step, and drop the waiting ones.

        Each answers as if it had been stopped: `GenerationCancelled`, or `CommandFailed` with
        `cancelled`.
        """
        with self._lock:
            self._cancelled_below = self._next_number

    def close(self, timeout: float) -> bool:
        """Cancel, end the thread and wait for it; True when it ended within `timeout` seconds."""
        self._closing.set()
        self._queue.put(None)
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _put(self, command: Command) -> None:
        with self._lock:
            self._queue.put((self._next_number, command))
            self._next_number += 1

    def _run(self) -> None:
        worker = None
        while (item := self._queue.get()) is not None and not self._closing.is_set():
            number, command = item

            def cancelled(number: int = number, command: Command = command) -> bool:
                dropped = isinstance(command, CANCELLABLE) and number < self._cancelled_below
                late = isinstance(command, Prefetch) and self._is_late(command)
                return dropped or late or self._closing.is_set()

            if cancelled():
                self._answer_dropped(command)
                continue
            try:
                if worker is None:
                    self._on_event(LoadProgress("Starting PyTorch"))
                    worker = _import_worker()(self._on_event, self._index)
                worker.do(command, cancelled)
            except EngineError as error:
                refused = isinstance(error, LoraRefusedError | FileFormatError)
                stopped = isinstance(error, CancelledError)
                self._on_event(
                    CommandFailed(
                        command.name,
                        str(error),
                        refused=refused,
                        cancelled=stopped,
                        path=error.path,
                    )
                )
            except Exception as error:
                # The thread must outlive any fault; the log file has the traceback.
                log.exception("%s failed", command.name)
                message = f"{type(error).__name__}: {error}"
                self._on_event(CommandFailed(command.name, message, unexpected=True))

    def _is_late(self, prefetch: Prefetch) -> bool:
        """Reading ahead gives way to what somebody waits for, unless that needs the same file."""
        with self._queue.mutex:
            waiting = tuple(self._queue.queue)
        if not waiting:
            return False
        command = waiting[0][1] if waiting[0] else None
        wanted = command.stack if isinstance(command, Switch) else ()
        return all(ref.path != prefetch.ref.path for ref in wanted)

    def _answer_dropped(self, command: Command) -> None:
        """Say of a cancelled command that it will not be done, so that nobody waits for it."""
        match command:
            case Generate():
                self._on_event(GenerationCancelled(0, 0))
            case Load():
                words = "The loading was cancelled before it began."
                self._on_event(CommandFailed("load", words, cancelled=True))


def _import_worker() -> type[Worker]:
    """Import what needs torch; raises `EngineError` where that is not installed, or broken."""
    try:
        with heavy_imports():
            from engine.worker import Worker
    except ImportError as error:
        raise EngineError(
            f"The engine cannot be started: {error}. Install loraswitch anew, with what it needs."
        ) from error
    return Worker
