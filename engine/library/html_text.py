"""Descriptions written as HTML (Civitai's are) as plain text."""

from __future__ import annotations

import re
from html.parser import HTMLParser

from engine.library.text import MAX_TEXT, clean_text

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
_MARKUP = re.compile(r"</?([a-zA-Z][a-zA-Z0-9]*)(?=[\s/>])[^<>]*>|&#?\w+;")


def plain_description(text: str, limit: int = MAX_TEXT) -> str:
    """A description as plain text, cleaned and bounded, whether it is written as HTML or not.

    Angle brackets that are no HTML tag stay, such as those of the prompt tag `<lora:name:1>`.
    """
    text = text[: 4 * limit]
    if any(_is_html(match[1]) for match in _MARKUP.finditer(text)):
        text = _html_to_text(text)
    lines = (" ".join(line.split()) for line in clean_text(text, limit).split("\n"))
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()


def _is_html(tag: str | None) -> bool:
    """True for a known tag and for a character reference, which has no tag."""
    return tag is None or tag.lower() in _BLOCK_TAGS or tag.lower() in _INLINE_TAGS


class _TextOfHtml(HTMLParser):
    """Collects the text of HTML: lines at block tags, dashes at list items."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.pieces: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _BLOCK_TAGS:
            self.pieces.append("\n- " if tag == "li" else "\n")
        elif tag not in _INLINE_TAGS:
            self.pieces.append(self.get_starttag_text() or "")

    def handle_endtag(self, tag: str) -> None:
        if tag in _BLOCK_TAGS and tag not in ("br", "li"):
            self.pieces.append("\n")

    def handle_data(self, data: str) -> None:
        if self.cdata_elem is None:
            # Inside <script> and <style> the data is code, not text.
            self.pieces.append(data)


def _html_to_text(text: str) -> str:
    parser = _TextOfHtml()
    try:
        parser.feed(text)
        parser.close()
    except AssertionError:
        # The parser's way to say that a `<![...` is malformed: drop the tags alone.
        return _MARKUP.sub(" ", text)
    return "".join(parser.pieces)
