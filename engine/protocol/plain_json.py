"""Data of the protocol as JSON, for files; paths as `file:` addresses, so that any name fits."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Generic, TypeVar
from urllib.parse import unquote_to_bytes

import msgspec

from engine.protocol.codec import whole_characters

_T = TypeVar("_T")


def encode_json(value: Any) -> bytes:
    """A value of the protocol as JSON, on one line; half characters become question marks."""
    try:
        return _ENCODER.encode(value)
    except UnicodeEncodeError:
        return _ENCODER.encode(whole_characters(msgspec.to_builtins(value, enc_hook=_to_json)))


class JsonDecoder(Generic[_T]):
    """Reads what `encode_json` made of one type; fields that are missing have their defaults."""

    def __init__(self, kind: type[_T]) -> None:
        self._decoder = msgspec.json.Decoder(kind, dec_hook=_from_json)

    def decode(self, text: bytes | str) -> _T:
        """The value again. Raises `ValueError` with the reason for anything else."""
        try:
            return self._decoder.decode(text)
        except msgspec.DecodeError as error:
            raise ValueError(str(error)) from error
        except RecursionError as error:
            raise ValueError("it is nested too deeply") from error


def _to_json(value: Any) -> str:
    if isinstance(value, Path):
        return value.as_uri()
    raise TypeError(f"{type(value).__name__} cannot be kept")


def _from_json(kind: type[Any], value: Any) -> Any:
    if kind is Path and isinstance(value, str) and value.startswith("file:///"):
        raw = unquote_to_bytes(value.removeprefix("file://"))
        if b"\0" not in raw:
            return Path(os.fsdecode(raw))
    raise ValueError(f"{kind.__name__} cannot be made of {value!r}")


_ENCODER = msgspec.json.Encoder(enc_hook=_to_json)
