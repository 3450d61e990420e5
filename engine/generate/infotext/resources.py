"""LoRAs named beside the prompt, and the hashes of all that made a picture."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from engine.generate.infotext.fields import FOOOCUS_SLOTS, Fields, file_name
from engine.generate.infotext.json_values import json_list, json_object
from engine.generate.infotext.numbers import real
from engine.generate.infotext.picture_info import NamedHashes
from engine.words.lora_tags import LoraTag, tag_names, writable_name

_LORA_KINDS = ("lora", "lycoris", "locon", "dora")
"""As Civitai calls them."""
_HASH_DIGITS = 12
"""Of those that SwarmUI writes in full."""


@dataclass(frozen=True)
class Resources:
    """What a picture was made with besides its settings."""

    loras: tuple[LoraTag, ...]
    lora_hashes: NamedHashes
    embedding_hashes: NamedHashes
    model: str | None
    model_hash: str | None
    vae_hash: str | None


@dataclass(frozen=True)
class _Named:
    """A LoRA as it is listed; None where nothing is said."""

    name: str
    unet: float | None = None
    text_encoder: float | None = None
    hash: str = ""

    @property
    def tag(self) -> LoraTag:
        unet = 1.0 if self.unet is None else self.unet
        return LoraTag(
            writable_name(self.name), unet, unet if self.text_encoder is None else self.text_encoder
        )


def read_resources(prompt: str, fields: Fields) -> Resources:
    """Take the names, strengths and hashes out of an infotext's fields.

    A LoRA that is a tag in the prompt already is not named again.
    """
    tagged = {_stem(name) for name in tag_names(prompt)}
    hashed = list(_hash_list(fields.take_text("lora hashes")))
    on_civitai = [item for item in json_list(fields.peek("civitai resources")) if _is_table(item)]
    listed = list(_listed(fields)) or [lora for lora in hashed if lora.unet is not None]
    if not listed and not tagged:
        # The names of Civitai's pages, not of files: nothing tells which LoRA of others one is.
        listed = list(map(_of_civitai, _of_kind(on_civitai, *_LORA_KINDS)))
    table = json_object(fields.peek("hashes")) or {}
    models = [item for item in json_list(fields.take("sui_models")) if _is_table(item)]
    loras = [
        *hashed,
        *listed,
        *(_Named(name, hash=value) for name, value in _below(table, "lora", "lyco")),
        *(
            _Named(_name(item), hash=_short(item))
            for item in models
            if item.get("param") == "loras"
        ),
    ]
    embeddings = [
        *_hash_list(fields.take_text("ti hashes")),
        *(_Named(name, hash=value) for name, value in _below(table, "embed")),
    ]
    checkpoint: dict[str, Any] = next((item for item in models if item.get("param") == "model"), {})
    on_page: dict[str, Any] = next(iter(_of_kind(on_civitai, "checkpoint")), {})
    return Resources(
        tuple(lora.tag for lora in listed if lora.name and _stem(lora.name) not in tagged),
        _first_of_each(loras),
        _first_of_each(embeddings),
        _text(on_page.get("modelName")),
        fields.take_text("model hash", "base model hash")
        or _text(table.get("model"))
        or (_short(checkpoint) or None),
        fields.take_text("vae hash") or _text(table.get("vae")),
    )


def _listed(fields: Fields) -> Iterator[_Named]:
    """LoRAs in a list of their own: SwarmUI's, Fooocus' or InvokeAI's."""
    items = _list(fields.take("loras"))
    weights = fields.take("lora weights")
    if not items and isinstance(weights, str):
        # Fooocus, as it writes for A1111.
        for lora in _hash_list(weights):
            yield _Named(lora.name, real(lora.hash))
        return
    unets, text_encoders = map(_list, (weights, fields.take("lora tenc weights")))
    for place, item in enumerate(items):
        match item:
            case str(name):
                yield _Named(file_name(name), _at(unets, place), _at(text_encoders, place))
            case [str(name), weight, *rest]:
                yield _Named(file_name(name), real(weight), hash=_text(next(iter(rest), "")) or "")
            case {"weight": weight, **rest}:
                model = rest.get("model", rest.get("lora", rest.get("file")))
                table = json_object(model)
                name = _name(table) if table is not None else file_name(_text(model) or "")
                yield _Named(name, real(weight))
    if not items:
        for slot in FOOOCUS_SLOTS:
            match (fields.take_text(*slot) or "").split(" : "):
                case ["None", _] | ["False", _, _] | [_, "None", _]:
                    pass
                case [name, weight] | [_, name, weight]:
                    yield _Named(file_name(name), real(weight))


def _of_civitai(item: Mapping[str, Any]) -> _Named:
    version = item.get("modelVersionId") or str(item.get("air", "")).rpartition("@")[2]
    name = _text(item.get("modelName")) or (f"civitai-{version}" if version else "")
    return _Named(name, real(item.get("weight")))


def _of_kind(items: list[Any], *kinds: str) -> list[Any]:
    """Of Civitai's resources those of a type, which newer ones have in their address."""

    def kind(item: Mapping[str, Any]) -> str:
        address = str(item.get("air", "")).split(":")
        return str(item.get("type") or (address[3] if len(address) > 3 else "")).lower()

    return [item for item in items if kind(item) in kinds]


def read_named_hashes(text: str | None) -> NamedHashes:
    """What stands in a list of names with their hashes."""
    return tuple((item.name, item.hash or "") for item in _hash_list(text))


def _hash_list(text: str | None) -> Iterator[_Named]:
    """`name: hash, name: hash`; an older Fooocus writes the strength behind the hash."""
    for item in (text or "").split(", "):
        name, colon, value = item.partition(": ")
        if not colon:
            name, colon, value = item.rpartition(":")
        if colon:
            value, _, weight = value.partition(": ")
            yield _Named(name, real(weight), hash=value)


def _below(table: Mapping[str, Any], *kinds: str) -> Iterator[tuple[str, str]]:
    """Of Civitai's `Hashes` those under `lora:name` and the like."""
    for key, value in table.items():
        kind, colon, name = key.partition(":")
        if colon and kind.lower() in kinds and isinstance(value, str):
            yield name, value


def _first_of_each(loras: list[_Named]) -> NamedHashes:
    hashes: dict[str, str] = {}
    for lora in loras:
        if lora.hash:
            hashes.setdefault(lora.name, lora.hash)
    return tuple(hashes.items())


def _list(value: object) -> list[Any]:
    """A list, or a text of one: JSON, or with commas, as Python writes it too."""
    found = json_list(value)
    if found or not isinstance(value, str):
        return found
    items = (item.strip(" '") for item in value.strip(" []").split(","))
    return [item for item in items if item]


def _at(weights: list[Any], place: int) -> float | None:
    return real(weights[place]) if place < len(weights) else None


def _name(item: Mapping[str, Any]) -> str:
    return file_name(str(item.get("name", item.get("model_name", ""))))


def _short(item: Mapping[str, Any]) -> str:
    return str(item.get("hash", "")).removeprefix("0x")[:_HASH_DIGITS]


def _stem(name: str) -> str:
    return file_name(name.replace("\\", "/").rpartition("/")[2]).casefold()


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _is_table(value: object) -> bool:
    return isinstance(value, dict)
