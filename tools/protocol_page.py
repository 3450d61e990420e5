"""Write docs/protocol.md from the code: every command and event between host and clients."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from msgspec import NODEFAULT, Struct, structs

from engine.protocol.codec import VERSION
from engine.protocol.commands import Command
from engine.protocol.events import FINAL, Event, EventMessage
from engine.protocol.view import EngineView
from tools.field_notes import field_notes

PAGE = Path(__file__).parents[1] / "docs" / "protocol.md"

INTRODUCTION = f"""\
# Between host and clients

*This page is written by `python -m tools.protocol_page`; a test compares it with the code.*

Protocol {VERSION}. A client connects to the host's Unix socket. Each message is four bytes of
length (the most significant first) and as many bytes.

1. **Greeting**, in JSON, the same in every version. The client says `loraswitch` (its version),
   `protocol` (a number) and `want`: `status`, `stop` or `attach`. The host answers with its own
   `loraswitch` and `protocol`, and with `status` or `refused` (words).
2. After `attach` with the same protocol number, messages are MessagePack. The host sends
   `["view", VIEW]`, and from then on `["event", SEQ, DEVICE, ANSWERS, TIME, NAME, BODY]`. The
   client sends `["command", ID, NAME, BODY]`. What the host does not understand it answers with
   `["refused", WORDS]`, and closes the connection.

A body is a map of the fields below. Paths are absolute, and travel as bytes. A field with a
default may be left out. Every command is ended by one of the events marked with ⏹ whose `ANSWERS`
is its id.
"""


def page() -> str:
    """The whole page."""
    parts = [INTRODUCTION, "## Commands\n"]
    parts += [_section(kind) for kind in get_args(Command)]
    parts.append("## Events\n")
    parts.append(_section(EventMessage, "The envelope of every event."))
    parts += [_section(kind) for kind in get_args(Event)]
    parts.append("## The view\n")
    parts.append(_section(EngineView))
    parts.append("## What they are made of\n")
    parts += [_section(kind) for kind in _parts()]
    return "\n".join(parts)


def _section(kind: type[Any], words: str | None = None) -> str:
    end = " ⏹" if kind in FINAL else ""
    lines = [f"### {kind.__name__}{end}\n", words or inspect.cleandoc(kind.__doc__ or ""), ""]
    hints, notes = get_type_hints(kind), field_notes(kind)
    rows = [
        f"| `{name}` | {_cell(_words_of(hints[name]))} | {default} | {_cell(notes.get(name, ''))} |"
        for name, default in _defaults(kind)
    ]
    if rows:
        lines += ["| field | type | default | |", "|---|---|---|---|", *rows, ""]
    return "\n".join(lines)


def _defaults(kind: type[Any]) -> Iterator[tuple[str, str]]:
    """The fields, with what stands for one that is left out."""
    for field in structs.fields(kind) if issubclass(kind, Struct) else fields(kind):
        if field.default not in (MISSING, NODEFAULT):
            yield field.name, f"`{field.default!r}`"
        elif field.default_factory not in (MISSING, NODEFAULT):
            factory: Any = field.default_factory
            yield field.name, f"`{factory.__name__}()`"
        else:
            yield field.name, ""


def _is_message(kind: Any) -> bool:
    return isinstance(kind, type) and (is_dataclass(kind) or issubclass(kind, Struct))


def _words_of(hint: Any) -> str:
    origin, arguments = get_origin(hint), get_args(hint)
    if hint is type(None):
        return "nothing"
    if origin in (Union, UnionType):
        return " or ".join(map(_words_of, arguments))
    if origin is tuple:
        if arguments[1:] == (...,):
            return f"list of {_words_of(arguments[0])}"
        return f"({', '.join(map(_words_of, arguments))})"
    if origin is not None and not isinstance(hint, type) and not inspect.isclass(origin):
        return " or ".join(f"`{value!r}`" for value in arguments)
    if _is_message(hint):
        return f"[{hint.__name__}](#{hint.__name__.lower()})"
    return f"`{hint.__name__}`"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _parts() -> list[type[Any]]:
    """What is inside of commands, events and view, by name."""
    roots = {*get_args(Command), *get_args(Event), EventMessage, EngineView}
    found: set[type[Any]] = set()
    waiting = list(roots)
    while waiting:
        for kind in _inside(waiting.pop()):
            if kind not in found and kind not in roots:
                found.add(kind)
                waiting.append(kind)
    return sorted(found, key=lambda kind: kind.__name__)


def _inside(kind: type[Any]) -> Iterator[type[Any]]:
    hints = list(get_type_hints(kind).values())
    while hints:
        hint = hints.pop()
        if _is_message(hint):
            yield hint
        hints.extend(argument for argument in get_args(hint) if not isinstance(argument, str))


def main() -> None:
    """Write the page."""
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
