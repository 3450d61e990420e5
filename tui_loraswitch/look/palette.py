"""The keys as commands of the palette."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from textual.app import App, SystemCommand
from textual.binding import Binding
from textual.dom import DOMNode

_ONLY_KEYS = ("pane(", "turn_pane(", "move(")
"""Actions that make sense as keys alone."""


def key_commands(app: App[None], node: DOMNode) -> Iterable[SystemCommand]:
    """What the keys of `node` do, with the key; those that only move are left out."""
    for binding in node.BINDINGS:
        if isinstance(binding, Binding) and not binding.action.startswith(_ONLY_KEYS):
            yield SystemCommand(
                binding.description.capitalize(),
                f"{binding.tooltip} ({app.get_key_display(binding)})",
                partial(app.run_action, binding.action, node),
            )
