"""What a file's own metadata says of its base model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from engine.lora.base_model.families import SAYS_NOTHING, family_called, folded, variant_called

_KEYS = ("modelspec.architecture", "ss_base_model_version", "ss_base_model")
"""Where sd-scripts, musubi-tuner, OneTrainer, ai-toolkit, SimpleTuner and others say it."""

_MAX_NAME = 60
"""Characters of a name that is quoted."""


class Claim(NamedTuple):
    """A base model that the metadata names."""

    family: str
    """A family of the table, or the word of the metadata where the table has none."""
    is_known: bool
    source: str
    """The key with its value: `ss_base_model_version: sd_1.5`."""


def claimed(metadata: Mapping[str, str]) -> Claim | None:
    """What the metadata says the file is for; a model that is not SDXL is believed first."""
    claims = list(_claims(metadata))
    return next((claim for claim in claims if claim.family != "SDXL"), next(iter(claims), None))


def claimed_variant(metadata: Mapping[str, str]) -> str:
    """The variant of SDXL that the metadata names, perhaps by the file that it was trained on."""
    said = (metadata[key] for key in (*_KEYS, "ss_sd_model_name") if key in metadata)
    return next((name for words in said if (name := variant_called(words))), "")


def _claims(metadata: Mapping[str, str]) -> Iterator[Claim]:
    for key in _KEYS:
        if not (said := metadata.get(key)):
            continue
        value = "".join(char for char in said[:300] if char.isprintable())
        # `stable-diffusion-xl-v1-base/lora`: the kind of adapter follows.
        words = value.partition("/")[0].strip()
        if folded(words) in SAYS_NOTHING or folded(value) in SAYS_NOTHING:
            continue
        family = family_called(words)
        yield Claim(family or words[:_MAX_NAME], bool(family), f"{key}: {value[:_MAX_NAME]}")
    if metadata.get("ss_v2") == "True":
        yield Claim("SD 2", True, "ss_v2: True")
