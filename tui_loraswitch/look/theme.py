"""The colours of the app; every other theme of Textual works too, from the command palette."""

from __future__ import annotations

from textual.theme import Theme

MUTED = "$muted"
"""Labels. Content drawn line by line cannot use `$text-muted`: it is relative to a background."""
FAINT = "$faint"
"""What is there for those who look for it."""

INK = Theme(
    name="ink",
    primary="#7aa5ff",
    secondary="#8f7bd6",
    accent="#f2b155",
    success="#7bd88f",
    warning="#f2b155",
    error="#f47c7c",
    foreground="#d7dae5",
    background="#0e1016",
    surface="#14171f",
    panel="#1d212c",
    dark=True,
    variables={
        "border": "#7aa5ff",
        "border-blurred": "#343a4a",
        "footer-background": "#0e1016",
        "input-selection-background": "#7aa5ff 35%",
        "scrollbar": "#343a4a",
        "scrollbar-hover": "#4a5268",
        "scrollbar-active": "#7aa5ff",
        "scrollbar-background": "#0e1016",
        "scrollbar-background-hover": "#0e1016",
        "scrollbar-background-active": "#0e1016",
        "scrollbar-corner-color": "#0e1016",
    },
)
