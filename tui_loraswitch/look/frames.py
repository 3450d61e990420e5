"""Frames and words that can be seen in every theme: many have them near to what is behind."""

from __future__ import annotations

from collections.abc import Mapping

from textual.color import Color, ColorParseError

LEAST_OF_FRAME, LEAST_OF_FOCUS = 1.6, 3.0
"""How much a frame stands out, as a contrast ratio of WCAG; the focused pane's more."""
_LEAST = {
    "border": LEAST_OF_FOCUS,
    "border-blurred": LEAST_OF_FRAME,
    "accent": 3.0,
    "primary": 3.0,
    "secondary-lighten-2": 4.5,
}
"""The last three are of titles, keys, and the names of folders."""
_STEPS = 20
LEAST_OF_WORDS = {"muted": 3.5, "faint": 3.0}
_SHARES = {"muted": 62, "faint": 50}
"""In percent, of the foreground's colour; where that is near to the background, more."""
_IN_16_COLOURS = {
    "border": "ansi_bright_blue",
    "border-blurred": "ansi_bright_black",
    **dict.fromkeys(_SHARES, "ansi_default"),
}


def seen_colours(variables: Mapping[str, str]) -> dict[str, str]:
    """The theme's colours, as far towards its foreground as it takes to see them."""
    if variables["background"].startswith("ansi_"):
        return dict(_IN_16_COLOURS)
    try:
        background, foreground = (Color.parse(variables[n]) for n in ("background", "foreground"))
        colours = {name: Color.parse(variables[name]) for name in _LEAST}
    except (KeyError, ColorParseError):
        return dict.fromkeys(_SHARES, variables["foreground"])
    frames = {
        name: _seen(colours[name], background, foreground, least) for name, least in _LEAST.items()
    }
    words = {name: _words(name, background, foreground) for name in _SHARES}
    return {**frames, **words}


def contrast(one: Color, other: Color) -> float:
    """The contrast ratio of two colours, 1 to 21."""
    darker, lighter = sorted(map(_luminance, (one, other)))
    return (lighter + 0.05) / (darker + 0.05)


def _seen(colour: Color, background: Color, foreground: Color, least: float) -> str:
    for step in range(_STEPS + 1):
        blended = colour.blend(foreground, step / _STEPS, 1.0)
        if contrast(blended, background) >= least:
            break
    return blended.hex


def _words(name: str, background: Color, foreground: Color) -> str:
    """So much of the foreground as it takes to read them."""
    share = _SHARES[name]
    while share < 100:
        blended = background.blend(foreground, share / 100, 1.0)
        if contrast(blended, background) >= LEAST_OF_WORDS[name]:
            break
        share += 2
    return foreground.with_alpha(share / 100).hex


def _luminance(colour: Color) -> float:
    """Relative luminance, 0 to 1 (WCAG 2)."""
    weights = (0.2126, 0.7152, 0.0722)
    parts = (part / 255 for part in (colour.r, colour.g, colour.b))
    linear = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return sum(weight * part for weight, part in zip(weights, linear, strict=True))
