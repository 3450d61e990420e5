"""The host process: its lock, its session and server, when it ends, and what it leaves behind."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.files.saving import replace_file
from engine.host.runtime import HostPlace
from engine.host.saved import changes_saved, encode_saved, read_saved, saved_of
from engine.host.server import Server
from engine.protocol.commands import Load
from engine.protocol.events import EventMessage
from engine.protocol.jobs import Job
from engine.protocol.refs import LoraRef
from engine.session import Session

log = logging.getLogger(__name__)

CLOSE_SECONDS = 10.0
"""How long the engine may take to end; a step of a large picture on a CPU takes some."""
CHECK_SECONDS = 1.0


@dataclass(frozen=True)
class HostOptions:
    """How a host is to run."""

    state: Path
    """The file in which it keeps stack, queue and draft."""
    idle_minutes: float = 60.0
    """It ends when nobody is attached and nothing is done for so long; 0: never."""
    by_hand: bool = False
    """It was started by `serve`: leaving an app does not end it."""
    index: Path | None = None
    """The library's index, which also keeps hashes."""
    store: Path | None = None
    """The SQLite file that keeps what was drawn."""
    load: Load | None = None
    """How to open a model, in place of the one that the last host had."""


class Host:
    """One session with a socket, for as long as somebody needs it."""

    def __init__(self, place: HostPlace, options: HostOptions) -> None:
        self._place = place
        self._options = options
        self._loop = asyncio.get_running_loop()
        self._stopping = asyncio.Event()
        saved = read_saved(options.state)
        self.session = Session(
            view=saved.view(), index=options.index, store=options.store, on_lost=self._give_up
        )
        self._written = encode_saved(saved)
        if (load := options.load or saved.load) is not None:
            self.session.send(load)
        self._last_busy = time.monotonic()
        self._started = time.time()

    def _give_up(self, reason: str) -> None:
        """End since the GPU is lost; a next host goes on with the queue."""
        log.critical("the host ends: %s", reason)
        self.stop()

    def stop(self) -> None:
        """End, on any thread."""
        self._loop.call_soon_threadsafe(self._stopping.set)

    async def run(
        self, on_ready: Callable[[], object] = lambda: None, takes_signals: bool = True
    ) -> bool:
        """Serve until somebody ends it; True when the engine's thread has ended in time."""
        if takes_signals:
            for number in (signal.SIGTERM, signal.SIGINT):
                self._loop.add_signal_handler(number, self._stopping.set)
            # A host has no terminal whose end would concern it.
            signal.signal(signal.SIGHUP, signal.SIG_IGN)
        server = Server(self.session, self._status, self._stopping.set, self._keep)
        await server.start(self._place.socket)
        log.info("serving on %s", self._place.socket)
        on_ready()
        while not self._stopping.is_set():
            if self._is_idle(server):
                log.info("nobody is attached and nothing is left to do: the host ends")
                break
            try:
                async with asyncio.timeout(CHECK_SECONDS):
                    await self._stopping.wait()
            except TimeoutError:
                continue
        ended = await asyncio.to_thread(self.session.close, CLOSE_SECONDS)
        await server.close()
        self._place.socket.unlink(missing_ok=True)
        return ended

    def _is_idle(self, server: Server) -> bool:
        now = time.monotonic()
        if server.clients or not self.session.view.is_idle:
            self._last_busy = now
        patience = self._options.idle_minutes * 60
        return bool(patience) and now - self._last_busy > patience

    def _keep(self, events: list[EventMessage]) -> None:
        """Write what the next host needs to know, before a client hears of it."""
        if not any(changes_saved(message.event) for message in events):
            return
        data = encode_saved(saved_of(self.session.view, self.session.last_load))
        if data == self._written:
            return
        try:
            replace_file(self._options.state, data)
        except OSError as error:
            log.warning("%s cannot be written: %s", self._options.state, error)
        else:
            self._written = data

    def _status(self) -> dict[str, Any]:
        """What is told to whoever asks, of whichever version: plain names and numbers."""
        view, load = self.session.view, self.session.last_load
        return {
            "name": self._place.name,
            "pid": os.getpid(),
            "started": self._started,
            "by_hand": self._options.by_hand,
            "device": view.device,
            "wanted_model": str(load.model) if load and load.model else None,
            "model": str(view.model.path) if view.model else None,
            "model_name": view.model.name if view.model else None,
            "state": view.state,
            "stack": [_member(ref) for ref in view.wanted],
            "working": view.working,
            "queue": [_job(job) for job in view.jobs],
            "paused": view.paused,
            "clients": view.clients,
            "memory": {
                "model": view.memory.model,
                "backup": view.memory.backup,
                "lora_cache": view.memory.lora_cache,
                "torch_allocated": view.memory.torch_allocated,
                "torch_reserved": view.memory.torch_reserved,
            },
        }


def _member(ref: LoraRef) -> dict[str, Any]:
    return {
        "name": ref.name,
        "path": str(ref.path),
        "unet": ref.unet,
        "text_encoder": ref.text_encoder,
        "text_encoder_2": ref.text_encoder_2_strength,
    }


def _job(job: Job) -> dict[str, Any]:
    return {
        "id": job.id,
        "state": job.state,
        "prompt": job.request.prompt,
        "seed": job.request.seed,
        "pictures": job.request.batch,
        "drawn": job.drawn,
        "stack": [_member(ref) for ref in job.stack],
        "reason": job.reason,
    }


def run_host(place: HostPlace, options: HostOptions) -> bool | None:
    """Be the host of a name until it ends; None where another one is it already.

    True when the engine's thread has ended in time; else the process must be ended hard.
    """
    with place.held() as ours:
        if not ours:
            return None

        async def run() -> bool:
            return await Host(place, options).run()

        return asyncio.run(run())
