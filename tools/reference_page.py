"""Write docs/reference.md from the code: keys, the config file, commands."""

from __future__ import annotations

import argparse
import importlib
import inspect
import pkgutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args, get_type_hints

from msgspec import NODEFAULT, Struct, structs
from textual.binding import Binding
from textual.dom import DOMNode

import tui_loraswitch.panes
import tui_loraswitch.screens
from tools.field_notes import field_notes
from tui_loraswitch.cli import COMMANDS
from tui_loraswitch.commands.parser import Parser
from tui_loraswitch.config.config import Config
from tui_loraswitch.config.key_presets import PRESETS
from tui_loraswitch.look.key_names import as_bound, in_short
from tui_loraswitch.look.keys import APP_BINDINGS

PAGE = Path(__file__).parents[1] / "docs" / "reference.md"

_INTRODUCTION = """\
# Reference

*This page is written by `python -m tools.reference_page`; a test compares it with the code.*

[Keys](#keys) · [The config file](#the-config-file) · [Commands](#commands)

## Keys

`?` in the app shows those of the focused pane. The name on the right is what the config file calls
an action:

```toml
[keys]
preset = "vim"               # or "emacs", "default"
"app.generate" = "ctrl+g, g d"   # several keys; `g d` is g and then d
```

Keys are called as [Textual](https://textual.textualize.io/guide/input/#key) does it: letters and
signs are themselves (a comma is `comma`), and `ctrl+`, `alt+` and `shift+` stand before them. In
the preset `vim` digits before a key that moves say how often.
"""

_GROUPS = {
    "app": "Everywhere", "library": "The list", "filter": "The filter", "picture": "The picture",
    "prompt": "The prompt", "editor": "The prompt editor", "details": "The details",
    "stack": "The stack",
}  # fmt: skip
"""Groups of keys in this order; others follow, under the name that their ids begin with."""


def page() -> str:
    """The whole page."""
    return "\n".join([_INTRODUCTION, *_key_tables(), *_config_table(), *_commands()]) + "\n"


def bindings() -> dict[str, Binding]:
    """Everything that keys do, by id; several keys of one action stand in its `key`."""
    found: dict[str, Binding] = {}
    for binding in [*APP_BINDINGS, *(b for node in _nodes() for b in node.__dict__["BINDINGS"])]:
        if isinstance(binding, Binding) and binding.id:
            found.setdefault(binding.id, binding)
    return found


def _nodes() -> Iterator[type[DOMNode]]:
    """Panes, lists, fields and dialogs with keys of their own, in the order of their files."""
    for package in (tui_loraswitch.panes, tui_loraswitch.screens):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            for _, kind in inspect.getmembers(importlib.import_module(module.name)):
                is_own = inspect.isclass(kind) and kind.__module__ == module.name
                if is_own and issubclass(kind, DOMNode) and "BINDINGS" in kind.__dict__:
                    yield kind


def _key_tables() -> Iterator[str]:
    groups: dict[str, list[Binding]] = {name: [] for name in _GROUPS}
    for name, binding in bindings().items():
        groups.setdefault(name.partition(".")[0], []).append(binding)
    others = sorted(set(groups) - set(_GROUPS))
    for group in (*_GROUPS, *others):
        title = _GROUPS.get(group, f"The dialog “{group.replace('-', ' ')}”")
        yield f"### {title}\n\n| key | vim | emacs | does | name |\n|---|---|---|---|---|"
        for binding in groups[group]:
            id = binding.id or ""
            own = _shown(binding.key)
            others_of = [PRESETS[preset].keys.get(id) for preset in ("vim", "emacs")]
            cells = [own, *(_shown(as_bound(keys)) if keys else "" for keys in others_of)]
            yield f"| {' | '.join(cells)} | {_cell(binding.tooltip)} | `{id}` |"
        yield ""


def _shown(keys: str) -> str:
    return " ".join(f"`{in_short(key).replace('|', chr(92) + '|')}`" for key in keys.split(","))


def _config_table() -> Iterator[str]:
    yield "## The config file\n"
    yield "`loraswitch --help` says where it lies. What the app or the command line was given last"
    yield "is remembered in it; all of it may be written by hand.\n"
    yield "| name | value | default | |\n|---|---|---|---|"
    hints, notes = get_type_hints(Config), field_notes(Config)
    for field in structs.fields(Config):
        default = "" if field.default in (NODEFAULT, None) else f"`{_toml(field.default)}`"
        cells = (f"`{field.name}`", _kind(hints[field.name]), default, notes.get(field.name, ""))
        yield f"| {' | '.join(map(_cell, cells))} |"
    yield ""


def _toml(value: object) -> str:
    if isinstance(value, str):
        return f'"{value}"'
    return "[]" if value == () else f"{value:g}" if isinstance(value, float) else str(value)


def _kind(hint: Any) -> str:
    words = [value for value in get_args(hint) if isinstance(value, str)]
    text = str(hint)
    if words and "Path" not in text:
        return ", ".join(f"`{word}`" for word in words)
    if "Mapping" in text or (isinstance(hint, type) and issubclass(hint, Struct)):
        return "a table"
    if "tuple" in text:
        return "a list of folders"
    if "Path" in text:
        return "a path" + (" or `auto`" if words else "")
    return "a number" if hint is float else "a text"


def _commands() -> Iterator[str]:
    yield "## Commands\n\n`loraswitch` alone opens the app.\n"
    for name, (module, summary) in COMMANDS.items():
        command = importlib.import_module(f"tui_loraswitch.commands.{module}")
        parser = Parser(add_help=False)
        command.add_options(parser)
        yield f"### `loraswitch {name}`\n\n{_sentence(summary)}\n\n{command.DESCRIPTION.strip()}\n"
        rows = [f"| `{_cell(names)}` | {_cell(help)} |" for names, help in option_rows(parser)]
        if rows:
            yield "\n".join(["| option | |", "|---|---|", *rows, ""])
        examples = inspect.cleandoc(command.EXAMPLES).partition("\n")[2]
        yield f"```sh\n{inspect.cleandoc(examples)}\n```\n"


def option_rows(parser: argparse.ArgumentParser) -> Iterator[tuple[str, str]]:
    """The options of a parser as they are typed, and what each does."""
    for action in parser._actions:
        if action.help == argparse.SUPPRESS:
            continue
        metavar = action.metavar or (
            "|".join(map(str, action.choices)) if action.choices else action.dest.upper()
        )
        value = "" if action.nargs == 0 else f" {metavar}"
        names = ", ".join(f"{name}{value}" for name in action.option_strings) or str(metavar)
        help = " ".join((action.help or "").replace("%%", "%").split())
        yield names, help


def _sentence(words: str) -> str:
    return f"{words[:1].upper()}{words[1:]}."


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def main() -> None:
    """Write the page."""
    PAGE.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
