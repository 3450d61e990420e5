"""The words that the demo model was trained on."""

from __future__ import annotations

import textwrap

COLOURS = (
    "red", "orange", "yellow", "green", "teal", "blue", "purple", "pink", "white", "black",
)  # fmt: skip
SIZES = ("small", "large")
THINGS = (
    "cat", "dog", "rabbit", "bird", "fish", "house", "tree", "flower", "boat", "face", "sun",
    "moon", "star", "cloud", "heart", "circle", "ring", "square", "triangle", "cross",
)  # fmt: skip
PLACES = ("on the left", "on the right", "at the top", "at the bottom")
GROUNDS = ("hills", "waves", "city", "mountains", "forest")
EXAMPLES = (
    "a large white cat on a green background, hills",
    "a yellow moon on a black background, city",
)

_KINDS = {
    "things": THINGS,
    "colours": COLOURS,
    "sizes": SIZES,
    "places": PLACES,
    "grounds": GROUNDS,
}


def described(width: int, indent: str = "") -> str:
    """All words by kind, one kind after another, in lines of at most `width` columns."""
    lines = []
    for kind, words in _KINDS.items():
        label = f"{indent}{kind:<9}"
        lines += textwrap.wrap(
            ", ".join(words), width, initial_indent=label, subsequent_indent=" " * len(label)
        )
    return "\n".join(lines)


def in_short() -> str:
    """The first things, and where all words are told, for where there is little room."""
    return f"the demo draws {', '.join(THINGS[:7])} … (all its words: loraswitch --help)"
