"""The keys that the user has chosen, in place of the app's own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from textual.binding import Binding
from textual.dom import DOMNode

from engine.words.clean import clean_line
from tui_loraswitch.config.key_presets import PRESETS, Preset
from tui_loraswitch.look.key_names import as_bound

PRESET = "preset"


def chosen_preset(keys: Mapping[str, str]) -> Preset:
    """The preset that the `keys` of the config name."""
    return PRESETS[keys.get(PRESET, "default")]


def chosen_keys(keys: Mapping[str, str]) -> dict[str, str]:
    """Keys by the ids of their bindings: the preset's, and over them the user's own."""
    chosen = {**chosen_preset(keys).keys, **keys}
    return {name: as_bound(some) for name, some in chosen.items() if name != PRESET}


def unknown_names(keys: Mapping[str, str], nodes: Iterable[DOMNode]) -> list[str]:
    """What of `keys` names nothing that the keys of `nodes` do; dialogs are not looked into."""
    known = {
        binding.id
        for node in nodes
        for binding in node.BINDINGS
        if isinstance(binding, Binding) and binding.id
    }
    groups = {name.partition(".")[0] for name in known}
    return [
        clean_line(name, 60)
        for name in keys
        if name not in known and name.partition(".")[0] in groups and name != PRESET
    ]
