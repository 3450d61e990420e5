"""The host's socket: who attaches gets the view and then every event; commands go to the session.

One thread runs an event loop for all clients. A client that sends nonsense, or takes up nothing of
what it is sent, loses its connection; the others notice nothing.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import struct
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, assert_never

from engine.protocol.codec import (
    VERSION,
    ProtocolError,
    decode_command,
    encode_event,
    encode_refusal,
    encode_view,
)
from engine.protocol.events import ClientsChanged, EventMessage
from engine.protocol.frames import LENGTH, LONGEST_COMMAND, LONGEST_GREETING, framed
from engine.protocol.hello import WANTS, Want, host_hello, read_hello
from engine.session import Session
from engine.words.clean import clean_line

log = logging.getLogger(__name__)

MOST_CLIENTS = 64
MOST_UNSENT = 96 << 20
"""Bytes that a client may leave unread: a whole view of a long queue, and some previews."""
CLOSE_SECONDS = 1.0
GREETING_SECONDS = 10.0


class Server:
    """Serves one session on one socket, inside an event loop."""

    def __init__(
        self,
        session: Session,
        status: Callable[[], dict[str, Any]],
        stop: Callable[[], None],
        on_events: Callable[[list[EventMessage]], None],
    ) -> None:
        self._session = session
        self._status = status
        self._stop = stop
        self._on_events = on_events
        self._loop = asyncio.get_running_loop()
        self._pending: list[EventMessage] = []
        self._clients: set[asyncio.StreamWriter] = set()
        self._connections: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    @property
    def clients(self) -> int:
        """How many screens and scripts are attached."""
        return len(self._clients)

    async def start(self, path: Path) -> None:
        """Listen. The caller holds the host's lock, so that a socket left there is nobody's."""
        path.unlink(missing_ok=True)
        # The folder is the user's alone; the socket need not depend on that.
        before = os.umask(0o177)
        try:
            self._server = await asyncio.start_unix_server(self._serve, path, backlog=MOST_CLIENTS)
        finally:
            os.umask(before)
        self._session.attach(self._take)

    async def close(self) -> None:
        """Send what is left to be sent, and close every connection."""
        if self._server is not None:
            self._server.close()
        self._send_pending()
        for writer in tuple(self._clients):
            writer.close()
        if self._connections:
            await asyncio.wait(self._connections, timeout=CLOSE_SECONDS)

    def _take(self, message: EventMessage) -> None:
        """Take an event, on whichever thread it happens."""
        # An engine that did not end in time goes on telling when the loop has ended.
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._collect, message)

    def _collect(self, message: EventMessage) -> None:
        self._pending.append(message)
        if len(self._pending) == 1:
            # What has happened meanwhile goes into the same write.
            self._loop.call_soon(self._send_pending)

    def _send_pending(self) -> None:
        pending, self._pending = self._pending, []
        if not pending:
            return
        try:
            self._on_events(pending)
        except Exception:
            # Whatever went wrong, the clients must hear of every event.
            log.exception("what has changed was not kept")
        if self._clients:
            data = b"".join(framed(encode_event(message)) for message in pending)
            for writer in tuple(self._clients):
                self._write(writer, data)

    def _write(self, writer: asyncio.StreamWriter, data: bytes) -> None:
        writer.write(data)
        if writer.transport.get_write_buffer_size() > MOST_UNSENT:
            log.warning("a client that reads nothing is disconnected")
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = asyncio.current_task()
        assert connection is not None, "streams are served by tasks"
        self._connections.add(connection)
        try:
            async with asyncio.timeout(GREETING_SECONDS):
                want = await self._greet(reader, writer)
            if want is not None:
                await self._answer(want, reader, writer)
        except ProtocolError as error:
            log.warning("a client is disconnected: %s", clean_line(str(error)))
            writer.write(framed(encode_refusal(clean_line(str(error)))))
        except (OSError, EOFError, TimeoutError):
            pass  # The client went away, or said nothing: that is its right.
        finally:
            if writer in self._clients:
                self._clients.discard(writer)
                self._session.tell(ClientsChanged(self.clients))
            writer.close()
            self._connections.discard(connection)

    async def _greet(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> Want | None:
        """What the client wants; None where it may not have it, which it was told."""
        hello = read_hello(await _read(reader, LONGEST_GREETING))
        refused = None
        want = hello.get("want")
        if _user_of(writer.get_extra_info("socket")) != os.getuid():
            refused = "This host belongs to another user."
        elif want not in WANTS:
            refused = "This host does not know what is wanted."
        elif want == "attach" and hello["protocol"] != VERSION:
            theirs, ours = hello["protocol"], VERSION
            refused = f"This host speaks protocol {ours}, not {theirs}: its version is another one."
        elif want == "attach" and self.clients >= MOST_CLIENTS:
            refused = f"{MOST_CLIENTS} screens and scripts are attached to this host already."
        if refused:
            writer.write(framed(host_hello(refused=refused)))
            return None
        writer.write(framed(host_hello(status=self._status())))
        return next(known for known in WANTS if known == want)

    async def _answer(
        self, want: Want, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        match want:
            case "status":
                return
            case "stop":
                await writer.drain()
                self._stop()
            case "attach":
                # Events of before are waiting to be sent yet; the view has them, and knows it.
                self._write(writer, framed(encode_view(self._session.view)))
                self._clients.add(writer)
                self._session.tell(ClientsChanged(self.clients))
                while True:
                    id, command = decode_command(await _read(reader, LONGEST_COMMAND))
                    self._session.send(command, id)
            case _:
                assert_never(want)


async def _read(reader: asyncio.StreamReader, longest: int) -> bytes:
    (length,) = LENGTH.unpack(await reader.readexactly(LENGTH.size))
    if length > longest:
        raise ProtocolError(f"A message of {length:,} bytes is longer than {longest:,}.")
    return await reader.readexactly(length)


def _user_of(peer: socket.socket) -> int:
    """The user at the other end of a connection."""
    if sys.platform == "darwin":
        # struct xucred: a version, then the user.
        credentials = peer.getsockopt(0, socket.LOCAL_PEERCRED, 76)
        return int(struct.unpack_from("II", credentials)[1])
    credentials = peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    return int(struct.unpack("3i", credentials)[1])
