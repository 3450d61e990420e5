"""What the terminal can do: pictures, colours, characters, and tmux in between."""

from __future__ import annotations

import locale
import os
from collections.abc import Iterator, Mapping

from tui_loraswitch.control.finding import Finding
from tui_loraswitch.images.terminal import TerminalImages
from tui_loraswitch.images.tmux import Tmux

PASSTHROUGH = "set -g allow-passthrough on"
"""The line of tmux.conf that lets pictures through."""
_PROTOCOLS = {
    "kitty": "by Kitty's protocol, in full resolution",
    "iterm2": "by iTerm2's protocol, in full resolution",
    "sixel": "by Sixel, in full resolution",
    "halfcell": "in half cells, two pixels a character",
    "off": "off",
}


def examine_terminal(
    images: TerminalImages, tmux: Tmux | None, environment: Mapping[str, str] = os.environ
) -> Iterator[Finding]:
    """Findings about the terminal, as it answered and by its environment."""
    yield _pictures(images, tmux, has_colours=environment.get("NO_COLOR") is None)
    if tmux is not None:
        yield _tmux(tmux, images)
    elif environment.get("TERM", "").startswith("screen"):
        advice = "tmux 3.3 or later carries them."
        yield Finding("screen", "hint", "GNU screen carries no pictures", advice)
    if environment.get("MOSH_IP") or environment.get("MOSH_KEY"):
        yield Finding("mosh", "hint", "mosh carries no pictures", "Plain ssh does.")
    yield _colours(environment)
    encoding = locale.getpreferredencoding(False)
    if encoding.lower().replace("-", "") != "utf8":
        advice = "Set LANG to one that ends in .UTF-8, such as C.UTF-8."
        yield Finding("characters", "bad", f"the encoding is {encoding}", advice)
    else:
        yield Finding("characters", "good", "UTF-8")


def _pictures(images: TerminalImages, tmux: Tmux | None, *, has_colours: bool) -> Finding:
    words = _PROTOCOLS[images.protocol]
    if images.symbols:
        words = f"in {images.symbols}"
    if images.protocol == "halfcell" and not images.symbols and not has_colours:
        advice = "In Kitty and Ghostty unset NO_COLOR: their pictures are found by a colour."
        return Finding("pictures", "hint", words, advice)
    if images.protocol != "halfcell" or images.symbols or tmux is not None:
        return Finding("pictures", "good", words + (", through tmux" if images.in_tmux else ""))
    advice = (
        "Kitty (0.28 and later), Ghostty, WezTerm, iTerm2, foot, Konsole and Windows Terminal show "
        "them in full; --images sextants has finer characters where the font knows them."
    )
    return Finding("pictures", "hint", words, advice)


def _tmux(tmux: Tmux, images: TerminalImages) -> Finding:
    words = f"tmux {tmux.version} in {tmux.terminal or 'an unknown terminal'}"
    if not tmux.has_utf8:
        advice = "Start it as tmux -u, or with LANG set to one that ends in .UTF-8."
        return Finding("tmux", "bad", f"{words} draws _ for all that is not ASCII", advice)
    if images.protocol in ("kitty", "sixel") or tmux.carries_kitty:
        return Finding("tmux", "good", f"{words}, which carries pictures")
    if not tmux.around_has_placeholders:
        advice = (
            "In tmux pictures come through where Kitty (0.28 and later) or Ghostty is around it, "
            "or where tmux was built with Sixel (3.4 and later)."
        )
        return Finding("tmux", "hint", f"{words}, which carries no pictures", advice)
    if not tmux.is_new_enough:
        return Finding("tmux", "hint", f"{words} is too old for pictures", "It takes tmux 3.3.")
    advice = f"Put “{PASSTHROUGH}” into ~/.tmux.conf, and run: tmux {PASSTHROUGH}"
    return Finding("tmux", "hint", f"{words} does not let pictures through", advice)


def _colours(environment: Mapping[str, str]) -> Finding:
    if environment.get("NO_COLOR"):
        advice = "Unset it for colours; signs and words say all that colours say."
        return Finding("colours", "hint", "none: NO_COLOR is set", advice)
    if environment.get("COLORTERM", "").lower() in ("truecolor", "24bit"):
        return Finding("colours", "good", "16 million")
    term = environment.get("TERM", "")
    count = "256" if "256" in term else "16"
    advice = (
        "Where the terminal has more, set COLORTERM=truecolor; ssh passes it on with "
        "“SendEnv COLORTERM” and the server's “AcceptEnv COLORTERM”."
    )
    return Finding("colours", "hint", f"{count} (TERM={term or 'not set'})", advice)
