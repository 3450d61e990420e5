"""A host's engine, over its socket. No torch is imported."""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
import time
import uuid
from collections.abc import Callable
from typing import Any

from engine.host.runtime import HostError, HostPlace, NoAnswerError, OlderHostError
from engine.protocol.advance import advance
from engine.protocol.codec import (
    VERSION,
    ProtocolError,
    Refusal,
    decode_from_host,
    encode_command,
)
from engine.protocol.commands import Command
from engine.protocol.events import EventMessage
from engine.protocol.frames import LENGTH, LONGEST_FROM_HOST, framed
from engine.protocol.hello import Want, client_hello, read_hello
from engine.protocol.view import EngineView
from engine.words.clean import clean_line

log = logging.getLogger(__name__)

GREETING_SECONDS = 10.0
END_SECONDS = 30.0
"""How long the process of a host that has ended may take to end, too."""
_POLL_SECONDS = 0.02


class RemoteEngine:
    """Attached to a host: the view as it is there, commands on their way to it.

    Events are told on a thread of its own; `on_lost` is called there once with the reason when
    the connection ends other than by `close`.
    Raises `HostError` where no host answers, or where it does not let this client attach.
    """

    def __init__(
        self,
        place: HostPlace,
        on_lost: Callable[[str], None],
    ) -> None:
        self._on_event: Callable[[EventMessage], None] = lambda message: None
        self._on_lost = on_lost
        self._closing = False
        self._sending = threading.Lock()
        self._socket, self.status = _greeted(place, "attach")
        try:
            first = decode_from_host(_read(self._socket, LONGEST_FROM_HOST))
        except (OSError, EOFError, ProtocolError) as error:
            self._socket.close()
            raise HostError(f"The host {place.name} did not say how it is: {error}.") from error
        if not isinstance(first, EngineView):
            self._socket.close()
            raise HostError(f"The host {place.name} did not say how it is.")
        self._socket.settimeout(None)
        self._view = first
        self._thread = threading.Thread(target=self._follow, name="host reader", daemon=True)

    def attach(self, on_event: Callable[[EventMessage], None]) -> EngineView:
        """Begin to follow; returns the view before the first event that `on_event` gets."""
        view, self._on_event = self._view, on_event
        self._thread.start()
        return view

    @property
    def view(self) -> EngineView:
        """The engine as it is after the last event that has arrived."""
        return self._view

    def send(self, command: Command, id: str | None = None) -> str:
        """Ask for something; returns the id that the event which ends it will name.

        What is asked of a host that has just gone is lost; `on_lost` tells of that.
        """
        id = id or uuid.uuid4().hex
        data = framed(encode_command(id, command))
        with self._sending, contextlib.suppress(OSError):
            self._socket.sendall(data)
        return id

    def close(self, timeout: float) -> bool:
        """Detach; the host goes on. True when the reader has ended within `timeout` seconds."""
        self._closing = True
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        if self._thread.is_alive():
            self._thread.join(timeout)
        self._socket.close()
        return not self._thread.is_alive()

    def _follow(self) -> None:
        reason = "the host has ended"
        try:
            while True:
                message = decode_from_host(_read(self._socket, LONGEST_FROM_HOST))
                match message:
                    case EventMessage() if message.seq > self._view.seq:
                        self._view = advance(self._view, message)
                        self._on_event(message)
                    case Refusal(words=words):
                        reason = words
        except (OSError, EOFError):
            pass  # The end of the connection is what `on_lost` tells.
        except (ProtocolError, ValueError) as error:
            reason = f"the host cannot be understood: {error}"
        if not self._closing:
            log.warning("the connection to the host is lost: %s", reason)
            self._on_lost(reason)


def host_status(place: HostPlace) -> dict[str, Any]:
    """What a host of any version says of itself; raises `HostError` where none answers."""
    connection, status = _greeted(place, "status")
    connection.close()
    return status


def stop_host(place: HostPlace) -> dict[str, Any]:
    """Have a host of any version end, and return what it said of itself before.

    Raises `HostError` where none answers, and where its process lives on.
    """
    connection, status = _greeted(place, "stop")
    with connection, contextlib.suppress(OSError):
        # The connection ends when the host does.
        while connection.recv(1 << 16):
            pass
    # Only then is its lock free for the next one.
    end = time.monotonic() + END_SECONDS
    while place.is_alive():
        if time.monotonic() > end:
            raise HostError(f"The host {place.name} does not end (process {status.get('pid')}).")
        time.sleep(_POLL_SECONDS)
    return status


def _greeted(place: HostPlace, want: Want) -> tuple[socket.socket, dict[str, Any]]:
    """A connection on which a greeting was exchanged, and the host's status."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(GREETING_SECONDS)
    try:
        connection.connect(str(place.socket))
        connection.sendall(framed(client_hello(want)))
        # The status in it names every job of the queue.
        hello = read_hello(_read(connection, LONGEST_FROM_HOST))
    except (OSError, EOFError, ProtocolError) as error:
        connection.close()
        words = f"No host answers on {place.socket} ({error or 'it hung up'})."
        raise NoAnswerError(words) from error
    status = hello.get("status")
    if not isinstance(status, dict):
        connection.close()
        words = clean_line(str(hello.get("refused", "The host says nothing of itself.")))
        raise (OlderHostError if hello["protocol"] < VERSION else HostError)(words)
    connection.settimeout(None if want == "stop" else GREETING_SECONDS)
    return connection, status | {"version": hello.get("loraswitch"), "protocol": hello["protocol"]}


def _read(connection: socket.socket, longest: int) -> bytes:
    (length,) = LENGTH.unpack(_exactly(connection, LENGTH.size))
    if length > longest:
        raise ProtocolError(f"a message of {length:,} bytes is longer than {longest:,}")
    return _exactly(connection, length)


def _exactly(connection: socket.socket, count: int) -> bytes:
    data = bytearray()
    while len(data) < count:
        part = connection.recv(min(1 << 20, count - len(data)))
        if not part:
            raise EOFError
        data += part
    return bytes(data)
