"""Pictures with certificates, as an engine writes them, without an engine."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from engine.generate.picture_bytes import encode_picture
from engine.generate.version import LOOP_VERSION
from engine.proof.digest import joined_key
from engine.protocol.certificate import Certificate, Machine
from engine.protocol.making import Making, encode_making
from engine.protocol.request import GenerateRequest

_REQUEST = "request"
_KEYS: dict[str, str] = {}
"""What digests were made from."""


def key_of(weights: str) -> str:
    """The key of what a picture is drawn from; the digest of its weights is any text."""
    key = joined_key(weights, _REQUEST, LOOP_VERSION)
    _KEYS[key] = weights
    return key


def certified_png(weights: str, request: str = _REQUEST, colour: str = "red") -> bytes:
    """A picture of 8x8 pixels whose certificate has these digests."""
    machine = Machine("cpu", "resident", 1, ())
    proof = Certificate(weights, request, "base", "model", (), 1, LOOP_VERSION, machine)
    making = Making(GenerateRequest("ä fox", Path("/moment")), certificate=proof)
    image = Image.new("RGB", (8, 8), colour)
    return encode_picture(image, "png", "a fox", encode_making(making))[0]


def png_of_key(key: str, colour: str = "red") -> bytes:
    """The picture of a key that `key_of` gave."""
    return certified_png(_KEYS[key], colour=colour)
