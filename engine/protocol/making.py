"""What made a picture, exactly: the JSON that travels inside the file, and in the store."""

from __future__ import annotations

from dataclasses import dataclass

from engine.protocol.certificate import Certificate
from engine.protocol.plain_json import JsonDecoder, encode_json
from engine.protocol.refs import LoraRef
from engine.protocol.request import GenerateRequest

FORM = 1
"""Raised when what is written here means something else than before."""


@dataclass(frozen=True)
class FileUsed:
    """A file behind a picture: its name, and the SHA-256 of its tensors' bytes in hex, if known.

    `key` tells which one is meant: a LoRA's path, or the part of the model.
    """

    key: str
    name: str
    tensors_sha256: str = ""


@dataclass(frozen=True)
class Making:
    """The request that a picture belongs to, the stack that was live, and the files behind both.

    The seeds of the request are those that were drawn. It holds no times: the same drawing, made
    again, says the same.
    """

    request: GenerateRequest
    stack: tuple[LoraRef, ...] = ()
    index: int = 0
    """The picture's place in the request's batch."""
    files: tuple[FileUsed, ...] = ()
    program: str = ""
    form: int = FORM
    certificate: Certificate | None = None
    """None where it was not known which versions of the files were drawn with."""

    @property
    def picture(self) -> GenerateRequest:
        """The request that draws this picture alone."""
        return self.request.picture(self.index)

    def hash_of(self, ref: LoraRef) -> str:
        """The hash of a LoRA's tensors; empty where it is not known."""
        return next((f.tensors_sha256 for f in self.files if f.key == str(ref.path)), "")


def encode_making(making: Making) -> str:
    """As one line of JSON."""
    return encode_json(making).decode()


def decode_making(text: str) -> Making:
    """The same again; fields that a newer program adds are passed over. Raises `ValueError`."""
    making = _DECODER.decode(text)
    if making.form != FORM:
        raise ValueError(f"it was written in the form {making.form} of another version")
    return making


_DECODER = JsonDecoder(Making)
