"""The cells of a plan: what is to be drawn for each combination of values, and its name."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Protocol

from engine.block_weights import BlockWeights
from engine.errors import EngineError
from engine.generate.check import check_request
from engine.protocol.refs import LoraRef
from engine.protocol.request import GenerateRequest
from engine.sweep.cell_names import cell_name, value_names
from engine.sweep.plan import Axis, SweepPlan
from engine.sweep.values import Value, label
from engine.words.sampler_names import USUAL_SCHEDULE
from engine.words.sampler_spellings import read_sampler

Stack = tuple[LoraRef, ...]
Wanted = tuple[GenerateRequest, Stack]

_REQUEST_FIELDS = (
    "negative_prompt", "seed", "steps", "cfg_scale", "width", "height", "clip_skip", "noise",
    "variation_seed", "variation_strength",
)  # fmt: skip


class Resolver(Protocol):
    """Gives what the words of a plan mean in a user's library. Each may raise `EngineError`."""

    def lora(self, name: str) -> LoraRef:
        """The file of a name, with the strengths that stand behind it."""
        ...

    def blocks(self, text: str) -> BlockWeights:
        """Block weights, or the preset of that name."""
        ...

    def picture(self, request: GenerateRequest, stack: Stack) -> Wanted:
        """The request as it is drawn, and its stack with what the tags of the prompt add."""
        ...


@dataclass(frozen=True)
class Cell:
    """One picture of a sweep."""

    name: str
    """Its file's, without the ending; no two cells of a plan have the same."""
    place: tuple[int, ...]
    """Which value it has on each axis."""
    values: Mapping[str, object]
    """The values on the axes, as plain data."""
    request: GenerateRequest
    stack: Stack


def cells_of(plan: SweepPlan, base: GenerateRequest, resolver: Resolver) -> list[Cell]:
    """The cells of a plan, in its order; `base` has what the plan does not say.

    Raises `EngineError` for the first that cannot be drawn whatever the model.
    """
    make = _Maker(plan, base, resolver)
    names = [value_names(axis.labels) for axis in plan.axes]
    titles = [axis.title for axis in plan.axes]
    places = {axis: {v: n for n, v in enumerate(axis.values)} for axis in plan.axes}
    cells = []
    for values in plan.combinations():
        place = tuple(places[axis][value] for axis, value in values.items())
        parts = [of_axis[number] for of_axis, number in zip(names, place, strict=True)]
        plain = {axis.title: axis.labels[n] if isinstance(v, tuple) else v
                 for (axis, v), n in zip(values.items(), place, strict=True)}  # fmt: skip
        cells.append(Cell(cell_name(titles, parts), place, plain, *make.cell(values)))
    return cells


class _Maker:
    def __init__(self, plan: SweepPlan, base: GenerateRequest, resolver: Resolver) -> None:
        self._plan = plan
        self._base = base
        self._resolver = resolver
        self._lora = cache(resolver.lora)
        self._blocks = cache(resolver.blocks)

    def cell(self, values: Mapping[Axis, Value]) -> Wanted:
        given = dict(self._plan.fixed)
        given |= {axis.name: value for axis, value in values.items() if not axis.of}
        replaced = {axis.of: str(value) for axis, value in values.items() if axis.of}
        try:
            request = self._request(given, replaced)
            request, stack = self._resolver.picture(request, self._stack(given))
            check_request(request)
        except EngineError as error:
            where = ", ".join(
                f"{axis.title} {label(axis.name, value)}" for axis, value in values.items()
            )
            raise EngineError(f"{error} (the cell with {where[:200]})") from error
        return request, stack

    def _request(self, given: Mapping[str, Value], replaced: Mapping[str, str]) -> GenerateRequest:
        fields = {name: given[name] for name in _REQUEST_FIELDS if name in given}
        if isinstance(sides := given.get("size"), tuple):
            fields["width"], fields["height"] = sides
        for name in ("prompt", "negative_prompt"):
            if name in given:
                fields[name] = in_place(str(given[name]), replaced)
        request: GenerateRequest = replace(self._base, **fields)  # type: ignore[arg-type]
        if "sampler" in given:
            sampler, named = read_sampler(str(given["sampler"]))
            request = replace(request, sampler=sampler, schedule=named or "Automatic")
        if "schedule" in given:
            request = replace(request, schedule=str(given["schedule"]))
        if request.schedule == "Automatic":
            request = replace(request, schedule=USUAL_SCHEDULE.get(request.sampler, "Automatic"))
        return request

    def _stack(self, given: Mapping[str, Value]) -> Stack:
        beneath = [self._lora(str(name)) for name in _names(given.get("loras"))]
        swept = [self._lora(str(name)) for name in _names(given.get("lora"))]
        return (*beneath, *(self._at(ref, given) for ref in swept))

    def _at(self, ref: LoraRef, given: Mapping[str, Value]) -> LoraRef:
        if (strength := given.get("strength")) is not None:
            ref = ref.at(_number(strength))
        if (unet := given.get("unet")) is not None:
            ref = replace(ref, unet=_number(unet))
        if (text_encoder := given.get("text_encoder")) is not None:
            ref = replace(ref, text_encoder=_number(text_encoder), text_encoder_2=None)
        if (blocks := given.get("blocks")) is not None:
            ref = replace(ref, blocks=self._blocks(str(blocks)))
        return ref


def in_place(text: str, replaced: Mapping[str, str]) -> str:
    """A text with words in the place of others, all at once: what was put in stays."""
    if not replaced:
        return text
    longest_first = sorted(replaced, key=len, reverse=True)
    pattern = re.compile("|".join(map(re.escape, longest_first)))
    return pattern.sub(lambda found: replaced[found[0]], text)


def _names(value: Value | None) -> tuple[object, ...]:
    return value if isinstance(value, tuple) else ()


def _number(value: Value) -> float:
    assert isinstance(value, int | float), "read as a number"
    return float(value)
