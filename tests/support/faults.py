"""Faults inside the program: once, at a random moment, in the thread that asks for it."""

from __future__ import annotations

import errno
import os
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from unittest.mock import patch

import torch

from engine.host_memory import HostMemory
from engine.lora import file as lora_file
from engine.lora import tensors as lora_tensors
from engine.protocol.refs import LoraRef
from engine.switch import merge as merge_module
from engine.switch.backup import Backups

FAULTS = (
    "merge",
    "backup",
    "restore",
    "read",
    "changed LoRA",
    "cancel",
    "touched model",
    "rewritten model",
    "hidden LoRA",
    "asynchronous interrupt",
)
"""The last is for the caller to send."""


class Faults:
    """Plans one fault at a time for each thread; `model` is the file of the model."""

    def __init__(self, chance: random.Random, model: Path) -> None:
        self._chance = chance
        self._model = model
        self._plan = threading.local()

    @contextmanager
    def injected(self) -> Iterator[None]:
        """Let the program's own functions fail where that is planned."""
        failing: tuple[tuple[object, str, str], ...] = (
            (HostMemory, "like", "backup"),
            (Backups, "get", "restore"),
            (lora_tensors, "_read", "read"),
        )
        with ExitStack() as stack:
            for owner, name, kind in failing:
                stack.enter_context(patch.object(owner, name, self._failing(owner, name, kind)))
            merge = self._failing(merge_module, "merge_weight", "merge", _spoil)
            stack.enter_context(patch.object(merge_module, "merge_weight", merge))
            stamp = self._other_stamps(lora_file.FileStamp.of)
            stack.enter_context(patch.object(lora_file.FileStamp, "of", stamp))
            yield

    @contextmanager
    def planned(self, kind: str, stack: tuple[LoraRef, ...]) -> Iterator[None]:
        """Plan a fault for what this thread does inside; none for an empty word."""
        hidden = None
        if kind == "hidden LoRA" and stack:
            hidden = _hide(self._chance.choice(stack).path)
        self._plan.kind, self._plan.left = kind, self._chance.randint(0, 12)
        try:
            yield
        finally:
            self._plan.kind = ""
            if hidden is not None:
                hidden.rename(hidden.with_suffix(".safetensors"))

    def cancelled(self) -> bool:
        """The question whether to cancel, on which other things may happen too."""
        if self._is_due("touched model"):
            os.utime(self._model)
        if self._is_due("rewritten model"):
            data = self._model.read_bytes()
            with self._model.open("r+b") as file:
                file.write(data)
        return self._is_due("cancel")

    def _is_due(self, kind: str) -> bool:
        """Whether it is planned, and its moment has come."""
        if getattr(self._plan, "kind", "") != kind:
            return False
        self._plan.left -= 1
        if self._plan.left >= 0:
            return False
        self._plan.kind = ""
        return True

    def _failing(
        self,
        owner: object,
        name: str,
        kind: str,
        spoil: Callable[..., object] = lambda *_: None,
    ) -> Callable[..., object]:
        real = getattr(owner, name)

        def failing(*arguments: object) -> object:
            if self._is_due(kind):
                spoil(*arguments)
                raise self._error(kind)
            return real(*arguments)

        return failing

    def _error(self, kind: str) -> BaseException:
        if kind == "read":
            return OSError(errno.EIO, "Input/output error")
        errors = (RuntimeError("no"), MemoryError(), torch.OutOfMemoryError("full"))
        return self._chance.choice((*errors, KeyboardInterrupt()))

    def _other_stamps(self, real: Callable[[Path], lora_file.FileStamp]) -> Callable[..., object]:
        """A stamp that differs, once: the file has changed while it was read."""

        def stamp(path: Path) -> lora_file.FileStamp:
            found = real(path)
            if self._is_due("changed LoRA"):
                return found._replace(mtime_ns=time.monotonic_ns())
            return found

        return stamp


def _spoil(live: torch.Tensor, *_: object) -> None:
    live.fill_(7.0)


def _hide(path: Path) -> Path | None:
    """Take a file out of sight; None where another thread has done so."""
    try:
        return path.rename(path.with_suffix(".hidden"))
    except FileNotFoundError:
        return None
