"""Commands, events and views as bytes, and back: MessagePack, checked against the types.

A message is an array that begins with its kind. Paths travel as bytes, so that a file name that is
not UTF-8 survives. Nothing is ever made of a message but the types named here.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, TypeVar, get_args

import msgspec

from engine.errors import EngineError
from engine.protocol.commands import Command
from engine.protocol.events import Event, EventMessage
from engine.protocol.view import EngineView

VERSION = 1
"""Of the messages below; a host and a client of different ones do not talk."""


class ProtocolError(EngineError):
    """A message cannot be understood; the text says why."""


class _CommandFrame(msgspec.Struct, array_like=True, tag="command"):
    id: str
    name: str
    body: msgspec.Raw


class _EventFrame(msgspec.Struct, array_like=True, tag="event"):
    seq: int
    device: str
    answers: str | None
    time: float
    name: str
    body: msgspec.Raw


class _ViewFrame(msgspec.Struct, array_like=True, tag="view"):
    view: msgspec.Raw


class _RefusalFrame(msgspec.Struct, array_like=True, tag="refused"):
    words: str


class Refusal(msgspec.Struct, frozen=True):
    """The host did not understand what it was sent."""

    words: str


_T = TypeVar("_T")


def _to_wire(value: Any) -> Any:
    if isinstance(value, Path):
        return os.fsencode(value)
    raise TypeError(f"{type(value).__name__} is not part of the protocol")


def _from_wire(kind: type[Any], value: Any) -> Any:
    if kind is Path and isinstance(value, bytes) and value[:1] == b"/" and b"\0" not in value:
        return Path(os.fsdecode(value))
    raise ValueError(f"{kind.__name__} cannot be made of {type(value).__name__}")


def _encode(value: Any) -> bytes:
    try:
        return _ENCODER.encode(value)
    except UnicodeEncodeError:
        plain = msgspec.to_builtins(value, enc_hook=_to_wire, builtin_types=(bytes,))
        return _ENCODER.encode(whole_characters(plain))


def whole_characters(value: Any) -> Any:
    """Plain values with a question mark for each half character (surrogate) in their texts.

    Names of files that are not UTF-8 have them, and so may what a terminal hands over.
    """
    match value:
        case str():
            return value.encode("utf-8", "replace").decode("utf-8")
        case dict():
            return {whole_characters(key): whole_characters(each) for key, each in value.items()}
        case list() | tuple():
            return [whole_characters(each) for each in value]
    return value


def _decoders(kinds: Iterable[type[Any]]) -> dict[str, msgspec.msgpack.Decoder[Any]]:
    return {
        kind.__name__: msgspec.msgpack.Decoder(kind, dec_hook=_from_wire)
        for kind in sorted(kinds, key=lambda kind: kind.__name__)
    }


_ENCODER = msgspec.msgpack.Encoder(enc_hook=_to_wire)
_COMMANDS = _decoders(get_args(Command))
_EVENTS = _decoders(get_args(Event))
_VIEW = msgspec.msgpack.Decoder(EngineView, dec_hook=_from_wire)
_COMMAND_FRAME = msgspec.msgpack.Decoder(_CommandFrame)
_HOST_FRAME = msgspec.msgpack.Decoder(_EventFrame | _ViewFrame | _RefusalFrame)

MOST_ID = 64
"""Characters of a command's id."""


def encode_command(id: str, command: Command) -> bytes:
    """A command with its id, as a client sends it."""
    return _encode(_CommandFrame(id, type(command).__name__, msgspec.Raw(_encode(command))))


def decode_command(data: bytes) -> tuple[str, Command]:
    """Id and command; raises `ProtocolError` for anything else."""
    frame = _read(_COMMAND_FRAME, data, "command")
    if not 0 < len(frame.id) <= MOST_ID:
        raise ProtocolError(f"A command's id has 1 to {MOST_ID} characters.")
    command = _read(_named(_COMMANDS, frame.name, "command"), frame.body, frame.name)
    if not _is_finite(command):
        raise ProtocolError(f"This is no {frame.name} of the protocol: a number is not finite.")
    return frame.id, command


def encode_event(message: EventMessage) -> bytes:
    """An event with its envelope, as the host sends it."""
    body = msgspec.Raw(_encode(message.event))
    name = type(message.event).__name__
    return _encode(
        _EventFrame(message.seq, message.device, message.answers, message.time, name, body)
    )


def encode_view(view: EngineView) -> bytes:
    """The whole view, as the host sends it to whoever attaches."""
    return _encode(_ViewFrame(msgspec.Raw(_encode(view))))


def encode_refusal(words: str) -> bytes:
    """Say why a message was not understood."""
    return _encode(_RefusalFrame(words))


def decode_from_host(data: bytes) -> EventMessage | EngineView | Refusal:
    """What a host says; raises `ProtocolError` for anything else."""
    match _read(_HOST_FRAME, data, "message"):
        case _EventFrame() as frame:
            event = _read(_named(_EVENTS, frame.name, "event"), frame.body, frame.name)
            return EventMessage(frame.seq, frame.device, frame.answers, frame.time, event)
        case _ViewFrame(view=view):
            return _read(_VIEW, view, "EngineView")
        case frame:
            return Refusal(frame.words)


def _is_finite(value: Any) -> bool:
    """Whether all numbers in a command are finite: others could not be kept as JSON."""
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, tuple):
        return all(map(_is_finite, value))
    if isinstance(value, msgspec.Struct):
        return all(map(_is_finite, msgspec.structs.astuple(value)))
    if is_dataclass(value):
        return all(_is_finite(getattr(value, field.name)) for field in fields(value))
    return True


def _named(
    decoders: dict[str, msgspec.msgpack.Decoder[Any]], name: str, kind: str
) -> msgspec.msgpack.Decoder[Any]:
    if name not in decoders:
        raise ProtocolError(f"There is no {kind} of the name “{name[:80]}”.")
    return decoders[name]


def _read(decoder: msgspec.msgpack.Decoder[_T], data: bytes | msgspec.Raw, what: str) -> _T:
    try:
        return decoder.decode(data)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise ProtocolError(f"This is no {what} of the protocol: {error}.") from error
