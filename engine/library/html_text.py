"""Descriptions written as HTML (Civitai's are) as plain text."""

from __future__ import annotations

import html
import re

from engine.words.clean import MAX_TEXT, clean_text

_BLOCK_TAGS = frozenset(
    ("p", "br", "div", "li", "ul", "ol", "tr", "table", "hr", "pre", "blockquote", "section",
     "h1", "h2", "h3", "h4", "h5", "h6")
)  # fmt: skip
_INLINE_TAGS = frozenset(
    ("a", "abbr", "b", "big", "body", "center", "cite", "code", "del", "em", "figure", "font",
     "head", "html", "i", "iframe", "img", "ins", "kbd", "link", "mark", "meta", "s", "script",
     "small", "source", "span", "strike", "strong", "style", "sub", "sup", "tbody", "td", "th",
     "thead", "title", "u", "video")
)  # fmt: skip
_KNOWN_TAGS = _BLOCK_TAGS | _INLINE_TAGS
_HIDDEN = {"<!--": "-->", "<script": "</script", "<style": "</style"}
"""What no reader sees, by its first and its last piece."""

_MARKUP = re.compile(
    r"""
      (?P<start></?)(?P<tag>[a-zA-Z][a-zA-Z0-9]*+)(?=[\s/>])
        (?:(?:[^<>"']++|"[^<"]*+"|'[^<']*+')*+|[^<>]*+)>
    | <!-- | -->
    | <(?:\?|!(?i:doctype)\b)[^<>]*+>
    | (?P<reference>&(?:[a-zA-Z][a-zA-Z0-9]{1,31}|\#[0-9]{1,7}|\#[xX][0-9a-fA-F]{1,6});)
    """,
    re.VERBOSE,
)
"""A piece of HTML. Each alternative ends before the next `<`, and gives nothing back that it took:
so the time is that of one way through the text, whatever stands in it."""


def plain_description(text: str, limit: int = MAX_TEXT) -> str:
    """A description as plain text, cleaned and bounded, whether it is written as HTML or not.

    Angle brackets that are no HTML tag stay, such as those of the prompt tag `<lora:name:1>`.
    """
    if not text:
        return ""
    text = text[: 4 * limit]
    if ("<" in text or "&" in text) and any(map(_is_html, _MARKUP.finditer(text))):
        text = _text_of_html(text)
    lines = (" ".join(line.split()) for line in clean_text(text, limit).split("\n"))
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()


def _is_html(match: re.Match[str]) -> bool:
    """True for a known tag and for a character reference."""
    return match["reference"] is not None or (match["tag"] or "").lower() in _KNOWN_TAGS


def _text_of_html(text: str) -> str:
    """The text of HTML: lines at block tags, dashes at list items."""
    pieces: list[str] = []
    lowered = text.lower()
    # What is never closed hides nothing.
    last = {end: lowered.rfind(end) for end in _HIDDEN.values()}
    hidden_until, position = "", 0
    for match in _MARKUP.finditer(text):
        tag = (match["tag"] or "").lower()
        name = f"{match['start']}{tag}" if tag else match[0]
        if not hidden_until:
            pieces += text[position : match.start()], _shown(match, tag)
            end = _HIDDEN.get(name, "")
            hidden_until = end if end and match.start() < last[end] else ""
        elif name == hidden_until:
            hidden_until = ""
        position = match.end()
    if not hidden_until:
        pieces.append(text[position:])
    return "".join(pieces)


def _shown(match: re.Match[str], tag: str) -> str:
    """What stands in the text for a piece of HTML."""
    if match["reference"]:
        return html.unescape(match[0])
    if tag not in _BLOCK_TAGS:
        return match[0] if tag and tag not in _INLINE_TAGS else ""
    if match["start"] == "<":
        return "\n- " if tag == "li" else "\n"
    return "" if tag in ("br", "li") else "\n"
