"""What draws on a device of the cluster: an engine's session with the model loaded once."""

from __future__ import annotations

import os
import socket
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from engine.client.blocking import BlockingClient
from engine.cluster.loras import Bundle, NodeLoras, Wanted
from engine.cluster.model_digest import model_digest
from engine.demo import DEMO_MODEL
from engine.errors import EngineError
from engine.files.regular_file import printable, read_regular
from engine.proof.contents import FileContents
from engine.proof.digest import content_key
from engine.protocol.commands import Draw, Load, SetStack
from engine.protocol.events import GenerationFinished, ModelLoaded, Switched
from engine.protocol.refs import LoraRef
from engine.protocol.request import GenerateRequest
from engine.session import Session
from engine.sweep.order import stack_identity

LARGEST_PICTURE = 1 << 30


@dataclass(frozen=True)
class Opened:
    """A worker that is ready, and what it draws with."""

    node: str
    device: str
    fingerprint: str
    default_size: int
    pid: int
    seconds: float


@dataclass(frozen=True)
class Order:
    """One cell to draw. `key` is the digest that it must have with the files of this node."""

    key: str
    request: GenerateRequest
    stack: tuple[Wanted, ...]
    ahead: tuple[Wanted, ...] = ()
    """LoRAs that are likely to be needed next: fetched while this is drawn."""


@dataclass(frozen=True)
class Drawn:
    """A picture's file, or why there is none."""

    key: str
    data: bytes = b""
    switches: int = 0
    seconds: float = 0.0
    fault: str = ""
    bytes_fetched: int = 0


class CellWorker:
    """Draws one cell at a time; `fetch` gives a LoRA's files by their digest."""

    def __init__(
        self, threads: int, cache: Path, index: Path | None, fetch: Callable[[str], Bundle]
    ) -> None:
        # Before PyTorch is imported: pictures of other numbers of threads have other pixels.
        os.environ["OMP_NUM_THREADS"] = str(threads)
        self._threads = threads
        self._contents = FileContents(index)
        self._loras = NodeLoras(cache, self._contents, fetch)
        self._switches = 0
        self._client = BlockingClient(lambda message: None)
        self._session = Session(index=index)
        self._session.attach(self._client.take)
        self._fingerprint = ""
        self._ahead: threading.Thread | None = None

    def open(self, load: Load, digest: str) -> Opened:
        """Open the model, if its files are what `digest` says. Raises `EngineError`."""
        start = time.monotonic()
        path = load.model or DEMO_MODEL
        node = socket.gethostname()
        if model_digest(path, self._contents) != digest:
            raise EngineError(
                f"{printable(path)} is another model on the node {node} than here: copy it there, "
                "or share the folder."
            )
        import torch

        torch.set_num_threads(self._threads)
        loaded = self._client.wait(self._client.send(self._session, load), ModelLoaded)
        model = loaded.model
        self._fingerprint = model.fingerprint
        device = f"{model.device} {model.device_name}"
        seconds = time.monotonic() - start
        return Opened(node, device, model.fingerprint, model.default_size, os.getpid(), seconds)

    def draw(self, order: Order) -> Drawn:
        """Draw a cell; what the engine refuses is in the answer."""
        start = time.monotonic()
        before, fetched = self._switches, self._loras.bytes_fetched
        try:
            data = self._draw(order)
        except EngineError as error:
            return Drawn(order.key, fault=str(error))
        return Drawn(
            order.key,
            data,
            self._switches - before,
            time.monotonic() - start,
            bytes_fetched=self._loras.bytes_fetched - fetched,
        )

    def _draw(self, order: Order) -> bytes:
        stack = tuple(self._loras.here(wanted) for wanted in order.stack)
        key = content_key(self._fingerprint, stack, order.request, self._contents)
        if key != order.key:
            raise EngineError(
                f"The node {socket.gethostname()} would draw something else: a mask, an embedding "
                "or the version of loraswitch differs there."
            )
        self._fetch_ahead(order.ahead)
        with tempfile.TemporaryDirectory(prefix="loraswitch-cell-") as folder:
            request = replace(order.request, output=Path(folder))
            self._make_live(stack)
            command = Draw(request, stack)
            done = self._client.wait(self._client.send(self._session, command), GenerationFinished)
            return read_regular(done.pictures[0].path, LARGEST_PICTURE)

    def _make_live(self, stack: tuple[LoraRef, ...]) -> None:
        """Have the stack wanted, so that it stays until another is: a job alone gives it back."""
        if stack_identity(stack) != stack_identity(self._session.view.wanted):
            self._client.wait(self._client.send(self._session, SetStack(stack)), Switched)
            self._switches += 1

    def _fetch_ahead(self, wanted: tuple[Wanted, ...]) -> None:
        if self._ahead is not None and self._ahead.is_alive():
            return

        def fetch() -> None:
            for each in wanted:
                try:
                    self._loras.here(each)
                except EngineError:
                    return  # Whoever draws with it says what is wrong.

        self._ahead = threading.Thread(target=fetch, name="fetch ahead", daemon=True)
        self._ahead.start()
