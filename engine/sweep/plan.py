"""A plan: what is the same in every cell, and the axes along which the cells differ."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from itertools import product
from pathlib import Path
from typing import Any

from engine.errors import EngineError
from engine.files.regular_file import printable, read_regular
from engine.files.toml_text import parse_toml
from engine.sweep.toml_lines import line_of
from engine.sweep.values import AXES, READERS, SPELLINGS, Value, label, read

LARGEST_FILE = 4 << 20
MOST_CELLS = 10_000
"""As many as the queue of an engine takes."""
MOST_NAMED = 5
FILTER = "filter"
"""Search words of the library; the LoRAs they find are the axis `lora`."""
_AXES = "axes"
_EXCLUDING = (("lora", FILTER), ("size", "width"), ("size", "height"))
_NEED_A_LORA = ("strength", "unet", "text_encoder", "blocks")


@dataclass(frozen=True)
class Axis:
    """One thing that differs between cells, with its values in the order they are shown in."""

    name: str
    values: tuple[Value, ...]
    of: str = ""
    """For `prompt`: the words that the values take the place of, which are the first of them."""

    @property
    def title(self) -> str:
        """What it is called beside others, of which none has the same name."""
        return self.of if self.of else self.name

    def said(self, label: str) -> str:
        """A value with the name of the axis, where it does not speak for itself."""
        return label if self.name in ("lora", "prompt") else f"{self.name} {label}"

    @property
    def labels(self) -> tuple[str, ...]:
        """The values as people read them."""
        return tuple(label(self.name, value) for value in self.values)


@dataclass(frozen=True)
class SweepPlan:
    """Cells for every combination of the axes' values; the rest is the same in all of them."""

    fixed: Mapping[str, Value] = field(default_factory=dict)
    axes: tuple[Axis, ...] = ()
    filter: str | None = None
    """Search words whose LoRAs are to become the axis `lora`; None: there are none to look for."""

    @property
    def count(self) -> int:
        """How many cells there are."""
        return math.prod(len(axis.values) for axis in self.axes)

    def with_loras(self, names: Iterable[str]) -> SweepPlan:
        """The same with the LoRAs that the search words have found in their place.

        Raises `EngineError` where there is none, or where there are too many cells then.
        """
        found = Axis("lora", tuple((name,) for name in names))
        if not found.values:
            raise EngineError(f"No LoRA of the library is found by “{self.filter}”.")
        axes = tuple(found if axis.name == FILTER else axis for axis in self.axes)
        return _bounded(replace(self, axes=axes, filter=None))

    def combinations(self) -> list[dict[Axis, Value]]:
        """The values of each cell, the last axis fastest."""
        values = product(*(axis.values for axis in self.axes))
        return [dict(zip(self.axes, each, strict=True)) for each in values]


def read_plan(path: Path) -> SweepPlan:
    """Read a plan from a TOML file.

    Raises `EngineError` with a sentence that names the file, and the line where that is known.
    """
    data = read_regular(path, LARGEST_FILE)
    try:
        return parse_plan(data.decode("utf-8-sig"), printable(path))
    except UnicodeDecodeError as error:
        raise EngineError(f"{printable(path)}: this is no UTF-8 text ({error.reason}).") from error


def parse_plan(source: str, name: str = "the plan") -> SweepPlan:
    """Read a plan from its text; raises `EngineError` as `read_plan` does."""
    try:
        tables = parse_toml(source)
    except ValueError as error:
        raise EngineError(f"{name}: this is no TOML: {error}.") from error
    return _Reading(source, name).plan(tables)


class _Reading:
    """Reads the tables of one text, and says where it cannot."""

    def __init__(self, source: str, name: str) -> None:
        self._source = source
        self._name = name

    def plan(self, tables: Mapping[str, Any]) -> SweepPlan:
        axes = tables.get(_AXES)
        if not isinstance(axes, dict) or not axes:
            raise self._wrong("there are no axes: write what is to differ below [axes]", _AXES)
        fixed: dict[str, Value] = {}
        for key, value in tables.items():
            if key != _AXES:
                name = self._known(key, (*READERS, _AXES), key)
                self._require_new(name, fixed, key)
                fixed[name] = self._value(name, value, key)
        read_axes = self._axes(axes)
        filters = [str(axis.values[0]) for axis in read_axes if axis.name == FILTER]
        self._check(fixed, read_axes)
        plan = SweepPlan(fixed, tuple(read_axes), filters[0] if filters else None)
        try:
            return _bounded(plan)
        except EngineError as error:
            raise self._wrong(str(error).rstrip("."), _AXES) from error

    def _axes(self, axes: Mapping[str, Any]) -> list[Axis]:
        found: dict[str, list[Axis]] = {}
        for key, value in axes.items():
            name = self._known(key, AXES, _AXES, key)
            self._require_new(name, found, _AXES, key)
            if name == FILTER:
                if not isinstance(value, str):
                    raise self._wrong("filter is to be search words in quotes", _AXES, key)
                found[name] = [Axis(FILTER, (value,))]
            elif name == "prompt":
                found[name] = self._replacements(value, key)
            else:
                found[name] = [Axis(name, self._values(name, value, key))]
        return [axis for group in found.values() for axis in group]

    def _replacements(self, value: object, key: str) -> list[Axis]:
        """Lists of words, of which the first is replaced by each."""
        lists = value if isinstance(value, list) else [value]
        if not lists or not all(isinstance(each, list) for each in lists):
            lists = [value]
        axes = [Axis("prompt", self._values("prompt", each, key)) for each in lists]
        axes = [replace(axis, of=str(axis.values[0])) for axis in axes]
        for axis in axes:
            if not axis.of.strip():
                raise self._wrong("prompt begins with the words to be replaced", _AXES, key)
        if len({axis.of for axis in axes}) < len(axes):
            raise self._wrong("prompt replaces the same words twice", _AXES, key)
        return axes

    def _values(self, name: str, value: object, key: str) -> tuple[Value, ...]:
        values = value if isinstance(value, list) else [value]
        if not values:
            raise self._wrong(f"{key} has no values", _AXES, key)
        if len(values) > MOST_CELLS:
            raise self._wrong(f"{key} has {len(values):,} values, which are too many", _AXES, key)
        read_values = tuple(self._value(name, each, _AXES, key) for each in values)
        labels = [label(name, each) for each in read_values]
        if twice := sorted({each for each in labels if labels.count(each) > 1}):
            raise self._wrong(f"{key} has “{twice[0][:60]}” twice", _AXES, key)
        return read_values

    def _value(self, name: str, value: object, *path: str) -> Value:
        try:
            return read(name, value)
        except EngineError as error:
            raise self._wrong(str(error), *path) from error

    def _known(self, key: str, known: Iterable[str], *path: str) -> str:
        name = SPELLINGS.get(key, key)
        if name in known:
            return name
        close = difflib.get_close_matches(key, (*known, *SPELLINGS), n=1)
        place = "axis" if path[0] == _AXES and len(path) > 1 else "setting"
        hint = f"Did you mean {close[0]}?" if close else f"Known are {', '.join(known)}."
        if place == "setting" and key in AXES:
            hint = f"It belongs below [{_AXES}]."
        if place == "axis" and key in READERS:
            hint = f"It is the same in every cell: write it above [{_AXES}]."
        raise self._wrong(f"there is no {place} “{printable(key[:60])}”. {hint}".rstrip("."), *path)

    def _require_new(self, name: str, there: Iterable[str], *path: str) -> None:
        if name in there:
            raise self._wrong(f"{name} is given twice, in two spellings", *path)

    def _check(self, fixed: Mapping[str, Value], axes: list[Axis]) -> None:
        """What goes together, and what does not."""
        swept = {axis.name for axis in axes}
        given = {*fixed, *swept}
        for name in sorted(swept & fixed.keys() - {"prompt"}):
            raise self._wrong(f"{name} stands above [{_AXES}] and is an axis too", _AXES, name)
        for one, other in _EXCLUDING:
            if one in given and other in given:
                path = (_AXES, other) if other in swept else (other,)
                raise self._wrong(f"{one} and {other} cannot both be given", *path)
        if not {"lora", FILTER} & given:
            for name in _NEED_A_LORA:
                if name in given:
                    path = (_AXES, name) if name in swept else (name,)
                    words = f"{name} needs a LoRA: name it with lora, here or below [{_AXES}]"
                    raise self._wrong(words, *path)
        if "prompt" not in fixed:
            raise self._wrong("there is no prompt", "prompt")
        searched = f"{fixed['prompt']}\n{fixed.get('negative_prompt', '')}"
        for axis in axes:
            if axis.of and axis.of not in searched:
                words = f"“{axis.of[:60]}” is not in the prompt, so nothing can take its place"
                raise self._wrong(words, _AXES, "prompt")

    def _wrong(self, words: str, *path: str) -> EngineError:
        line = line_of(self._source, *path)
        place = self._name if line is None else f"{self._name}, line {line}"
        return EngineError(f"{place}: {words}{'' if words.endswith(('?', '.')) else '.'}")


def require_few(count: int) -> None:
    """Raise `EngineError` for more cells than are drawn."""
    if count > MOST_CELLS:
        raise EngineError(f"These are {count:,} cells; at most {MOST_CELLS:,} are drawn.")


def _bounded(plan: SweepPlan) -> SweepPlan:
    require_few(plan.count)
    return plan
