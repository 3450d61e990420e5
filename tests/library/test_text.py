"""Strangers' text cannot act on a terminal, and HTML becomes plain text."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.library.html_text import plain_description
from engine.words.clean import clean_line, clean_text
from tests.support.bounds import bounded

_WILD = st.text(
    st.sampled_from("\x1b\x9b\x9d[]0;31mhab\x07\\\r\n\t\u202e\u2066\u200d\u2028\ud800<>/p&;!-é漢🦊")
    | st.characters(),
    max_size=60,
)


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]0;new title\x07after", "after"),
        ("\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x1bPsixel\x1b\\after", "after"),
        ("\x9b2Jgone", "gone"),
        ("\x1bcreset", "reset"),
        ("abc\u202etxt.exe", "abctxt.exe"),
        ("bell\x07 null\x00 del\x7f", "bell null del"),
        ("lone \ud800 surrogate", "lone \ufffd surrogate"),
        ("one\r\ntwo\u2028three\rfour", "one\ntwo\nthree\nfour"),
        ("tab\tand\u00a0space", "tab and space"),
        ("family 👨\u200d👩\u200d👧 漢字 é", "family 👨\u200d👩\u200d👧 漢字 é"),
        ("[bold]markup stays text[/bold]", "[bold]markup stays text[/bold]"),
    ],
)
def test_clean_text(text: str, clean: str) -> None:
    assert clean_text(text) == clean


@given(_WILD)
def test_nothing_that_acts_on_a_terminal_is_left(text: str) -> None:
    for clean in (clean_text(text), plain_description(text)):
        for char in clean:
            category = unicodedata.category(char)
            assert category not in ("Cc", "Cs") or char == "\n"
            assert category != "Cf" or char in "\u200c\u200d"
    assert "\n" not in clean_line(text)


def test_length_is_bounded() -> None:
    assert len(clean_text("x" * 100_000)) == 20_000
    assert len(clean_line("x" * 100_000)) == 500
    assert len(plain_description("<b>" + "x" * 100_000)) == 20_000


@pytest.mark.parametrize(
    ("html", "plain"),
    [
        ("<p>Use <b>0.8</b>.</p><p>Or&nbsp;more &amp; more<br>here</p>",
         "Use 0.8.\n\nOr more & more\nhere"),
        ("<ul><li>one</li><li>two</li></ul>", "- one\n- two"),
        ("<script>alert(1)</script><style>p{}</style>kept", "kept"),
        ("<p>try <lora:neon:0.8> now</p>", "try <lora:neon:0.8> now"),
        ("a <lora:neon:0.8> with no HTML, 1 < 2 > 0 & so", "a <lora:neon:0.8> with no HTML, "
         "1 < 2 > 0 & so"),
        ('<a href="javascript:x">link</a> <img src=x onerror=y>', "link"),
        ("&#27;[31mred &#x202e;", "[31mred"),
        ("<p>malformed <![a b]> section</p>", "malformed <![a b]> section"),
        ("one\n\n\n\n\ntwo", "one\n\ntwo"),
        ("<p>a<!-- hidden <b>x</b> -->b</p>", "ab"),
        ("<p>shown <!-- never closed</p><br>all", "shown never closed\n\nall"),
        ("<SCRIPT>x</Script >kept <script>shown", "kept shown"),
        ("<p title='x>y' class=\">\">z</p>", "z"),
        ("<p class=don't>z</p>", "z"),
        ("<p>1 &lt; 2 &eacute; &#233; &#xe9; &nosuch; &amp;lt; AT&T</p>",
         "1 < 2 é é é &nosuch; &lt; AT&T"),
        ("<!DOCTYPE html><?xml version='1'?><p>z", "z"),
    ],
)  # fmt: skip
def test_descriptions_become_plain(html: str, plain: str) -> None:
    assert plain_description(html) == plain


@pytest.mark.parametrize(
    "piece",
    ["<a a='", '<a "', "<a ", "<!--", "-->", "<script>", "&#1", "&a", "<", "</", "<?", "<!doctype ",
     "<a='\"", "\n", " ", "\x1b[1", "\x1b]", "<p>", "'", "<p/", "<li>"],
)  # fmt: skip
def test_broken_html_takes_no_longer_than_sound_html(piece: str) -> None:
    for text in ("<p>" + piece * 80_000, piece * 80_000 + "<p>", piece * 13_000 + "</p>"):
        with bounded(2.0, 100):
            plain_description(text)
