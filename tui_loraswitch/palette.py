"""The keys as commands of the palette."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from textual.app import App, SystemCommand
from textual.binding import Binding, BindingType
from textual.dom import DOMNode


def key_commands(
    app: App[None], node: DOMNode, bindings: Iterable[BindingType]
) -> Iterable[SystemCommand]:
    """What the keys of `node` do, with the key; those that only choose a pane are left out."""
    for binding in bindings:
        if isinstance(binding, Binding) and "pane" not in binding.action:
            yield SystemCommand(
                binding.description.capitalize(),
                f"{binding.tooltip} ({app.get_key_display(binding)})",
                partial(app.run_action, binding.action, node),
            )
