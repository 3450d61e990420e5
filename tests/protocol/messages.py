"""Any command, event and view, for property tests."""

from __future__ import annotations

import dataclasses
import types
import typing
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from hypothesis import strategies as st
from msgspec import Struct, structs

from engine.protocol.commands import Command
from engine.protocol.events import Event, EventMessage
from engine.protocol.refs import LoraRef
from engine.protocol.view import EngineView
from engine.words.course import Course, Point

TEXT = st.text(st.characters(exclude_categories=("Cs",)), max_size=20)
NAMES = st.binary(min_size=1, max_size=12).filter(lambda name: not set(name) & {0, 0x2F})


def paths() -> st.SearchStrategy[Path]:
    """Absolute paths, of names that need not be UTF-8."""
    import os

    return st.lists(NAMES, min_size=1, max_size=3).map(
        lambda parts: Path("/", *map(os.fsdecode, parts))
    )


def instances(kind: Any) -> st.SearchStrategy[Any]:
    """Values of a type as the protocol's data use them."""
    origin, args = get_origin(kind), get_args(kind)
    simple = {
        str: TEXT,
        int: st.integers(-(2**63), 2**64 - 1),
        float: st.floats(allow_nan=False, allow_infinity=False),
        bool: st.booleans(),
        bytes: st.binary(max_size=30),
        type(None): st.none(),
    }
    if kind in simple:
        return simple[kind]
    if kind is Path:
        return paths()
    if origin is Literal:
        return st.sampled_from(args)
    if origin in (typing.Union, types.UnionType):
        return st.one_of(*map(instances, args))
    if origin is tuple and args[-1] is Ellipsis:
        return st.lists(instances(args[0]), max_size=2).map(tuple)
    if origin is tuple:
        return st.tuples(*map(instances, args))
    if kind is Course:
        points = st.lists(st.builds(Point, simple[float], simple[float]), max_size=2).map(tuple)
        turns = st.integers(1, 5)
        return st.builds(Course, points, points, simple[float], simple[float], st.just(1), turns)
    hints = typing.get_type_hints(kind)
    fields_of = structs.fields if issubclass(kind, Struct) else dataclasses.fields
    names = [field.name for field in fields_of(kind)]
    fields = {name: instances(hints[name]) for name in names}
    return st.builds(LoraRef if kind is LoraRef else kind, **fields)


COMMANDS = st.one_of(*map(instances, get_args(Command)))
EVENTS = st.one_of(*map(instances, get_args(Event)))
MESSAGES = st.builds(
    EventMessage,
    st.integers(1, 2**53),
    TEXT,
    st.none() | TEXT,
    st.floats(0, 1e10),
    EVENTS,
)
VIEWS = instances(EngineView)
