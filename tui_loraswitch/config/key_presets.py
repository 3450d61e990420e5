"""Sets of keys to choose from: what differs from the app's own, by the name of each action.

Keys are separated by commas; keys with a space between them are pressed one after the other.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct, field


class Preset(Struct, frozen=True):
    """The keys that differ; `has_counts`: digits before a key say how often."""

    keys: Mapping[str, str] = field(default_factory=dict)
    has_counts: bool = False


PRESETS: Mapping[str, Preset] = {
    "default": Preset(),
    # Hands press `gg`, `r` and digits without looking: none of them draws or leaves.
    "vim": Preset(
        {
            "library.first": "home, g g",
            "library.next-lora": "n, J",
            "library.previous-lora": "N, K",
            "app.generate": "ctrl+g, g d",
            "app.generate-new": "g r",
            "app.generate-forever": "g A",
            "app.negative": "g n",
            "app.note": "g N",
            "app.detach": "Z D",
            "app.quit": "q, Z Z",
            "app.next-pane": "], g t",
            "app.previous-pane": "[, g T",
            "app.pane-picture": "g 1",
            "app.pane-prompt": "g 2",
            "app.pane-details": "g 3",
            "app.pane-stack": "g 4",
            "app.pane-log": "g 5",
            "app.pane-gauges": "g 6",
        },
        has_counts=True,
    ),
    "emacs": Preset(
        {
            "library.down": "down, j, ctrl+n",
            "library.up": "up, k, ctrl+p",
            "library.pagedown": "pagedown, ctrl+v",
            "library.pageup": "pageup, alt+v",
            "library.first": "home, alt+<",
            "library.last": "end, G, alt+>",
            "app.find": "/, ctrl+s",
            "app.generate": "g",
            "app.cancel": "x, ctrl+g",
            "app.quit": "q, ctrl+x ctrl+c",
            "app.next-pane": "], ctrl+x o",
            "app.zoom": "z, ctrl+x 1",
            "app.palette": ":, alt+x",
        }
    ),
}
