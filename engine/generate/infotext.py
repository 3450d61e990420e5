"""Write and read A1111's infotext, the settings that travel inside a picture; needs no torch."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass

from engine.block_weights import block_numbers
from engine.generate.lora_tags import LoraTag, split_tags
from engine.generate.request import GenerateRequest
from engine.refs import LoraRef


@dataclass(frozen=True)
class Infotext:
    """The settings of a picture as far as they are known; None is left out.

    `extra` holds fields without a place of their own, as written, such as `Denoising strength`.
    """

    prompt: str = ""
    negative_prompt: str = ""
    steps: int | None = None
    sampler: str | None = None
    schedule: str | None = None
    cfg_scale: float | None = None
    seed: int | None = None
    width: int | None = None
    height: int | None = None
    model_hash: str | None = None
    model: str | None = None
    clip_skip: int | None = None
    lora_hashes: tuple[tuple[str, str], ...] = ()
    embedding_hashes: tuple[tuple[str, str], ...] = ()
    """Of textual inversions: A1111's `TI hashes`."""
    extra: tuple[tuple[str, str], ...] = ()
    version: str | None = None


def describe_picture(
    request: GenerateRequest,
    seed: int,
    *,
    model: str,
    model_hash: str | None = None,
    stack: Iterable[LoraRef] = (),
    lora_hashes: Iterable[tuple[str, str]] = (),
    embedding_hashes: Iterable[tuple[str, str]] = (),
    version: str | None = None,
) -> Infotext:
    """Gather what belongs into a picture: the request, its own seed, the model and the live stack.

    The stack is written into the prompt as tags, in place of tags typed there. Hashes are AutoV2
    for the model (10 digits) and AutoV3 for LoRAs (12 digits), each with the LoRA's name; for the
    textual inversions used, the first 12 digits of the file's SHA-256.
    """
    prompt, _ = split_tags(request.prompt)
    return Infotext(
        prompt=" ".join(filter(None, (_tidy(prompt), *map(_tag, stack)))),
        negative_prompt=_tidy(request.negative_prompt),
        steps=request.steps,
        sampler=request.sampler,
        schedule=request.schedule,
        cfg_scale=request.cfg_scale,
        seed=seed,
        width=request.width,
        height=request.height,
        model_hash=model_hash,
        model=model,
        clip_skip=request.clip_skip if request.clip_skip > 2 else None,
        lora_hashes=_named_hashes(lora_hashes),
        embedding_hashes=_named_hashes(embedding_hashes),
        version=version,
    )


def write_infotext(info: Infotext) -> str:
    """Write the text that A1111, Civitai and others read from the key `parameters`."""
    size = f"{info.width}x{info.height}" if info.width and info.height else None
    fields: list[tuple[str, object]] = [
        ("Steps", info.steps),
        ("Sampler", info.sampler),
        ("Schedule type", info.schedule),
        ("CFG scale", None if info.cfg_scale is None else f"{info.cfg_scale:.10g}"),
        ("Seed", info.seed),
        ("Size", size),
        ("Model hash", info.model_hash),
        ("Model", info.model),
        ("Clip skip", info.clip_skip),
        ("Lora hashes", _hash_list(info.lora_hashes)),
        ("TI hashes", _hash_list(info.embedding_hashes)),
        *info.extra,
        ("Version", info.version),
    ]
    negative = _tidy(info.negative_prompt)
    lines = (
        _tidy(info.prompt),
        f"Negative prompt: {negative}" if negative else "",
        ", ".join(f"{name}: {_quote(str(value))}" for name, value in fields if value is not None),
    )
    return "\n".join(filter(None, lines))


_FIELD = re.compile(r'\s*(\w[\w \-/]{1,60}):\s*("(?:\\.|[^\\"])*"|[^,]*)(?:,|$)')
_EMBEDDED_JSON = re.compile(r"(?:^|,)\s*(Hashes|Civitai resources):\s*(?=[{\[])")
_SIZE = re.compile(r"(\d{1,6})x(\d{1,6})")
_NEGATIVE = "Negative prompt:"
_FEWEST_FIELDS = 3


def parse_infotext(text: str) -> Infotext:
    """Read an infotext, or SwarmUI's JSON; what cannot be read is left out, never an error."""
    swarm = _read_json(text)
    if isinstance(swarm, dict):
        return _from_swarm(swarm)
    *lines, last = _tidy(text).split("\n")
    rest, embedded = _cut_json(last)
    fields = dict(embedded)
    found = [(name.strip(), _unquote(value.strip())) for name, value in _FIELD.findall(rest)]
    if len(found) + len(embedded) < _FEWEST_FIELDS:
        lines.append(last)
        fields = {}
    else:
        fields.update(found)
    prompt: list[str] = []
    negative: list[str] = []
    current = prompt
    for line in lines:
        if line.startswith(_NEGATIVE):
            current = negative
            line = line.removeprefix(_NEGATIVE)
        current.append(line.strip())
    return _from_fields("\n".join(prompt).strip(), "\n".join(negative).strip(), fields)


def _from_fields(prompt: str, negative: str, fields: dict[str, str]) -> Infotext:
    take = fields.pop
    size = _SIZE.fullmatch(take("Size", ""))
    sampler, schedule = take("Sampler", None), take("Schedule type", None)
    if sampler and schedule is None:
        # Older pictures name both in one: "DPM++ 2M Karras".
        for name in ("Karras", "Exponential"):
            if sampler.endswith(f" {name}"):
                sampler, schedule = sampler.removesuffix(f" {name}"), name
    return Infotext(
        prompt=prompt,
        negative_prompt=negative,
        steps=_whole(take("Steps", None)),
        sampler=sampler,
        schedule=schedule,
        cfg_scale=_real(take("CFG scale", None)),
        seed=_whole(take("Seed", None)),
        width=int(size[1]) if size else None,
        height=int(size[2]) if size else None,
        model_hash=take("Model hash", None),
        model=take("Model", None),
        clip_skip=_whole(take("Clip skip", None)),
        lora_hashes=_read_hashes(take("Lora hashes", "")),
        embedding_hashes=_read_hashes(take("TI hashes", "")),
        version=take("Version", None),
        extra=tuple(fields.items()),
    )


def _from_swarm(data: dict[str, object]) -> Infotext:
    """Read SwarmUI's parameters: https://github.com/mcmonkeyprojects/SwarmUI, image metadata."""
    parameters = data.get("sui_image_params")
    values = parameters if isinstance(parameters, dict) else {}
    words = {name: str(value) for name, value in values.items() if not isinstance(value, dict)}
    return Infotext(
        prompt=words.get("prompt", ""),
        negative_prompt=words.get("negativeprompt", ""),
        steps=_whole(words.get("steps")),
        sampler=words.get("sampler"),
        schedule=words.get("scheduler"),
        cfg_scale=_real(words.get("cfgscale")),
        seed=_whole(words.get("seed")),
        width=_whole(words.get("width")),
        height=_whole(words.get("height")),
        model=words.get("model"),
    )


def _cut_json(line: str) -> tuple[str, list[tuple[str, str]]]:
    """Take JSON values that were written without quotes out of a line: the rest, and them."""
    embedded = []
    while match := _EMBEDDED_JSON.search(line):
        try:
            _, end = json.JSONDecoder().raw_decode(line, match.end())
        except ValueError:
            break
        embedded.append((match[1], line[match.end() : end]))
        line = line[: match.start()] + line[end:]
    return line.removeprefix(","), embedded


def _tidy(text: str) -> str:
    """Lines without blanks at their ends: all that an infotext can carry of a prompt's layout."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return "\n".join(line.strip() for line in lines).strip()


def _tag(ref: LoraRef) -> str:
    """The tag of a stack's member; what A1111 has no place for is in named fields."""
    options: list[tuple[str, str]] = []
    if ref.text_encoder_2 is not None:
        options.append(("te2", f"{ref.text_encoder_2:.6g}"))
    if ref.blocks:
        options.append(("lbw", block_numbers(ref.blocks)))
    return str(LoraTag(_without("<:>", ref.name), ref.unet, ref.text_encoder, tuple(options)))


def _without(characters: str, name: str) -> str:
    """A name without what would end it in a tag or a list of hashes."""
    return name.translate(dict.fromkeys(map(ord, characters + "\r\n")))


def _named_hashes(hashes: Iterable[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    return tuple((_without(",:", name), _without(",:", value)) for name, value in hashes)


def _hash_list(hashes: Iterable[tuple[str, str]]) -> str | None:
    return ", ".join(f"{name}: {value}" for name, value in _named_hashes(hashes)) or None


def _read_hashes(text: str) -> tuple[tuple[str, str], ...]:
    items = (item.partition(": ") for item in text.split(", "))
    return tuple((name, value) for name, colon, value in items if colon)


def _quote(value: str) -> str:
    ambiguous = any(c in value for c in ',:"\r\n') or value != value.strip()
    return json.dumps(value, ensure_ascii=False) if ambiguous else value


def _unquote(value: str) -> str:
    read = _read_json(value, start='"')
    return read if isinstance(read, str) else value


def _read_json(text: str, start: str = "{") -> object:
    if not text.startswith(start):
        return None
    try:
        value: object = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value


def _whole(text: str | None) -> int | None:
    return int(text) if text is not None and re.fullmatch(r"-?[0-9]{1,20}", text) else None


def _real(text: str | None) -> float | None:
    return float(text) if text and re.fullmatch(r"-?[0-9]{1,20}(\.[0-9]{1,20})?", text) else None
