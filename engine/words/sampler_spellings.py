"""Samplers and schedules as people and other programs spell them; needs no torch.

Read are the names of A1111 and Forge (`DPM++ 2M Karras`), ComfyUI, SwarmUI and Fooocus
(`dpmpp_2m_sde_gpu`), InvokeAI (`dpmpp_2m_k`), SD.Next (`DPM SDE`), k-diffusion (`sample_euler`) and
diffusers' classes (`EulerAncestralDiscreteScheduler`), in any case, with any blanks and dashes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from engine.words.sampler_names import SAMPLERS, SCHEDULES

_LONGEST = 100
"""Characters: more are no spelling of anything."""

_SAMPLER_SPELLINGS: Mapping[str, str] = {
    "eulerancestral": "Euler a",
    "eulerdiscrete": "Euler",
    "eulerancestraldiscrete": "Euler a",
    "heundiscrete": "Heun",
    "lmsdiscrete": "LMS",
    "dpm2ancestral": "DPM2 a",
    "kdpm2": "DPM2",
    "kdpm2a": "DPM2 a",
    "kdpm2ancestral": "DPM2 a",
    "kdpm2discrete": "DPM2",
    "kdpm2ancestraldiscrete": "DPM2 a",
    "dpm2m": "DPM++ 2M",
    "dpm2msde": "DPM++ 2M SDE",
    "dpmsde": "DPM++ SDE",
    "dpmsolverpp2m": "DPM++ 2M",
    "dpmsolversde": "DPM++ SDE",
    "dpmsolvermultistep": "DPM++ 2M",
    "dpmppsdegpu": "DPM++ SDE",
    "dpmpp2msdegpu": "DPM++ 2M SDE",
    "dpm2s": "DPM++ 2S a",
    "dpmpp2s": "DPM++ 2S a",
    "dpmpp2sancestral": "DPM++ 2S a",
    "dpmpp3msdegpu": "DPM++ 3M SDE",
    "dpmad": "DPM adaptive",
    "restartsampler": "Restart",
    "dpmpp2msdeheungpu": "DPM++ 2M SDE Heun",
    "dpmpp2sancestralcfgpp": "DPM++ 2S a CFG++",
    "eulerancestralcfgpp": "Euler a CFG++",
    "resmultistepancestral": "Res Multistep a",
    "deismultistep": "DEIS",
    "pndm": "PLMS",
    "unipcmultistep": "UniPC",
}
_SCHEDULE_SPELLINGS: Mapping[str, str] = {
    "auto": "Automatic",
    "default": "Automatic",
    # A1111's Uniform and ComfyUI's normal put the steps at the same places.
    "normal": "Uniform",
    # So does stable-diffusion.cpp's.
    "discrete": "Uniform",
    "ddimuniform": "DDIM",
    "exp": "Exponential",
    "polyexp": "Polyexponential",
    "ays": "Align Your Steps",
}
_SHORT_KARRAS = ("ka", "k")
"""How k-diffusion's and InvokeAI's spellings end: `dpmpp_2m_k`."""


def _squeeze(text: str) -> str:
    """A spelling without what people write differently."""
    lowered = text.casefold().replace("++", "pp")
    return re.sub(r"[\W_]", "", lowered)


_SAMPLERS = {_squeeze(name): name for name in SAMPLERS}
_SAMPLERS.update(_SAMPLER_SPELLINGS)
_SCHEDULES = {_squeeze(name): name for name in SCHEDULES}
_SCHEDULES.update(_SCHEDULE_SPELLINGS)
_LONGEST_FIRST = sorted(_SCHEDULES, key=len, reverse=True)


def read_sampler(text: str) -> tuple[str, str | None]:
    """The sampler that a spelling means, and the schedule that it names as well, if any.

    What is not known comes back as written, but for a schedule at its end.
    """
    if len(text) > _LONGEST:
        return text.strip(), None
    squeezed = _squeeze(text)
    for candidate in (squeezed, squeezed.removesuffix("scheduler")):
        sampler = _known_sampler(candidate)
        if sampler is not None:
            return sampler, None
        for ending in _LONGEST_FIRST:
            if candidate.endswith(ending):
                sampler = _known_sampler(candidate.removesuffix(ending))
                if sampler is not None:
                    return sampler, _SCHEDULES[ending]
        for ending in _SHORT_KARRAS:
            sampler = _known_sampler(candidate.removesuffix(ending))
            if sampler is not None:
                return sampler, "Karras"
    words = text.split()
    for count in range(1, len(words)):
        if schedule := _SCHEDULES.get(_squeeze(" ".join(words[count:]))):
            return " ".join(words[:count]), schedule
    return text.strip(), None


def read_schedule(text: str) -> str:
    """The schedule that a spelling means; what is not known comes back as written."""
    return text.strip() if len(text) > _LONGEST else _SCHEDULES.get(_squeeze(text), text.strip())


def read_sampler_and_schedule(sampler: str, schedule: str) -> tuple[str, str]:
    """Both by the names they have here; a schedule in the sampler's name counts, as in A1111."""
    name, named = read_sampler(sampler)
    return name, named or read_schedule(schedule)


def _known_sampler(squeezed: str) -> str | None:
    for spelling in (squeezed, squeezed.removeprefix("sample"), squeezed.removeprefix("k")):
        if (name := _SAMPLERS.get(spelling)) is not None:
            return name
    return None
