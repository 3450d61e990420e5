"""The settings of an infotext by name, however a program spells them."""

from __future__ import annotations

from collections.abc import Iterable

from engine.generate.infotext.json_values import write_json

_ENDINGS = (".safetensors", ".ckpt")
FOOOCUS_SLOTS = tuple((f"lora combined {n}", f"lora {n}") for n in range(1, 10))
"""The names under which Fooocus numbers LoRAs, now and earlier."""
_KNOWN = (
    "prompt", "positive prompt", "negative prompt", "steps", "sampler", "sampler name", "scheduler",
    "schedule", "schedule type", "sampler sigma", "cfg scale", "guidance scale", "cfg", "seed",
    "size", "resolution", "width", "height", "model", "base model", "model hash", "base model hash",
    "vae", "vae hash", "clip skip", "clip stop at layer", "base clip skip", "empty negative",
    "zero negative", "prediction type", "rng", "loras", "lora weights", "lora tenc weights",
    "lora hashes", "ti hashes", "hashes", "civitai resources", "sui models", "version",
    "swarm version", "app version", "parts from", "variation seed", "variation seed strength",
    "variation strength", "denoising strength", "init image", "init image hash", "resize mode",
    "exact steps", "mask image", "mask image hash", "mask blur", "hires upscale", "hires resize",
    "hires upscaler", "hires steps", "hires prompt", "hires negative prompt", "rp ratios",
    "region masks",
    *(name for slot in FOOOCUS_SLOTS for name in slot),
)  # fmt: skip
"""All names that are read here, as A1111 writes them or would."""

_TELLING = ("steps", "sampler", "schedule type", "cfg scale", "seed", "model hash")


def is_telling(name: str) -> bool:
    """Whether only settings have this name; `model:` and `size:` may stand in a prompt."""
    return _squeeze(name) in map(_squeeze, _TELLING)


def is_known(name: str) -> bool:
    """Whether this name is read here."""
    return _squeeze(name) in _SQUEEZED


class Fields:
    """Values by name; known names in any case, with blanks and underscores or without.

    Of values of one name the first counts. A null is no value.
    """

    def __init__(self, items: Iterable[tuple[str, object]]) -> None:
        self._left: dict[str, tuple[str, object]] = {}
        for name, value in items:
            if value is not None:
                self._left.setdefault(_key(name), (name, value))

    def peek(self, name: str) -> object:
        """The value of a name, which stays; None for none."""
        return self._left.get(_key(name), ("", None))[1]

    def peek_text(self, name: str) -> str | None:
        """The value of a name if it is a text."""
        value = self.peek(name)
        return value if isinstance(value, str) else None

    def take(self, *names: str) -> object:
        """Take out the value of the first of these names that has one."""
        for name in names:
            if _key(name) in self._left:
                return self._left.pop(_key(name))[1]
        return None

    def take_text(self, *names: str) -> str | None:
        """Take out a value as text."""
        value = self.take(*names)
        return None if value is None else write_json(value)

    def take_name(self, *names: str) -> str | None:
        """Take out the name of a file, which InvokeAI has in an object: without its ending."""
        value = self.take(*names)
        text = value.get("name", value.get("model_name")) if isinstance(value, dict) else value
        return None if text is None else file_name(write_json(text))

    def rest(self) -> tuple[tuple[str, str], ...]:
        """All that was not taken, as text, under the names that were written."""
        return tuple((name, write_json(value)) for name, value in self._left.values())


def file_name(text: str) -> str:
    """The name of a weight file without its ending."""
    for ending in _ENDINGS:
        if text.lower().endswith(ending):
            return text[: -len(ending)]
    return text


def _key(name: str) -> str:
    squeezed = _squeeze(name)
    return squeezed if squeezed in _SQUEEZED else name


def _squeeze(name: str) -> str:
    return "".join(filter(str.isalnum, name.casefold()))


_SQUEEZED = frozenset(map(_squeeze, _KNOWN))
