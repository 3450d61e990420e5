"""Pasted text that came without brackets is text; keys stay keys."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from textual import events
from textual._xterm_parser import XTermParser

from engine.protocol.commands import Prefetch
from tui_loraswitch.app.pastes import END, GOES_ON_SECONDS, START, PasteBrackets


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def typed(*pieces: str) -> list[str]:
    """What a terminal sends in pieces: keys by name, a paste as its text with `+` before it."""
    parser, clock = XTermParser(), Clock()
    brackets = PasteBrackets(clock)
    found: list[str] = []
    for piece in pieces:
        clock.now += 1.0
        if whole := brackets.feed(piece):
            for event in parser.feed(whole):
                if isinstance(event, events.Key):
                    found.append(event.key)
                elif isinstance(event, events.Paste):
                    found.append("+" + event.text)
    return found


@pytest.mark.parametrize(
    ("piece", "text"),
    [
        ("a fox\rq in snow", "a fox\nq in snow"),
        ("a fox\nq in snow\n", "a fox\nq in snow\n"),
        ("a fox\r\n0xq\r\n", "a fox\n0xq\n"),
        ("\ra fox\r\rq\r", "\na fox\n\nq\n"),
        ("abc\rde", "abc\nde"),
        ("a large red star, q0x", "a large red star, q0x"),
        ("ein großer Fuchs im Schnee", "ein großer Fuchs im Schnee"),
        ("雪の中の狐\r夜の街", "雪の中の狐\n夜の街"),
        ("a\tb c\rd\x01e\x9b31mf", "a\tb c\nde31mf"),
    ],
)
def test_lines_that_come_at_once_are_pasted(piece: str, text: str) -> None:
    assert typed(piece) == [f"+{text}"]


@pytest.mark.parametrize(
    "piece",
    ["g", "\r", "jjjjjjjjjjjjjjjjjjjjjjjj", "++++++++", "x\rg", "jj\rg", "fox\r", "fox\r\r",
     "/neon", "p", "a b a b a b a b a b a b"],
)  # fmt: skip
def test_what_is_typed_ahead_or_held_is_keys(piece: str) -> None:
    assert not any(key.startswith("+") for key in typed(piece))
    assert len(typed(piece)) == len(piece)


def test_sequences_between_are_keys_and_the_text_beside_them_is_judged_by_itself() -> None:
    assert typed("\x1b[A\x1b[Ba fox\rin snow\x1b[A") == ["up", "down", "+a fox\nin snow", "up"]
    assert typed("\x1b[<35;10;10M" * 50) == []
    assert typed("\x1bOP", "\x1b[1;5C") == ["f1", "ctrl+right"]
    answer = "\x1bP>|a terminal of many words 1.0\x1b\\"
    assert PasteBrackets().feed(answer) == answer


def test_the_terminals_own_brackets_stay_the_only_ones() -> None:
    lines = "a fox\rin the snow\r" * 3
    assert typed(f"{START}{lines}{END}g") == [f"+{lines}", "g"]
    assert typed(START + lines, lines, lines + END, "g") == [f"+{lines * 3}", "g"]
    assert typed("\x1b[20", "0~" + lines, "x" + END, "q") == [f"+{lines}x", "q"]


@pytest.mark.parametrize("cut", range(2, len(START + "a fox" + END)))
def test_brackets_that_come_in_two_pieces_are_brackets(cut: int) -> None:
    whole = f"{START}a fox{END}"
    assert typed(whole[:cut], whole[cut:], "q", "one\rtwo") == ["+a fox", "q", "+one\ntwo"]


def test_pieces_of_a_paste_that_follow_soon_belong_to_it() -> None:
    clock = Clock()
    brackets = PasteBrackets(clock)
    assert brackets.feed("a fox\rin the") == f"{START}a fox\nin the{END}"
    clock.now += GOES_ON_SECONDS / 2
    assert brackets.feed(" q\r") == f"{START} q\n{END}"
    clock.now += GOES_ON_SECONDS / 2
    assert brackets.feed("q") == f"{START}q{END}"
    clock.now += GOES_ON_SECONDS
    assert brackets.feed("q") == "q"


def test_a_key_held_after_a_paste_is_soon_a_key_again() -> None:
    clock = Clock()
    brackets = PasteBrackets(clock)
    brackets.feed("a fox\rin the snow")
    passed = []
    for _ in range(20):
        clock.now += 0.03
        passed.append(brackets.feed("j") == "j")
    assert passed[-12:] == [True] * 12


@given(st.lists(st.text(st.sampled_from("ab \r\n\x1b[]~20O;1\x07P") | st.characters()), max_size=6))
def test_nothing_visible_is_lost(pieces: list[str]) -> None:
    brackets = PasteBrackets(Clock())
    passed = "".join(map(brackets.feed, pieces)) + brackets.feed("\x1b[A")

    def visible(text: str) -> str:
        return "".join(c for c in text.replace(START, "").replace(END, "") if c.isprintable())

    if START not in "".join(pieces) and END not in "".join(pieces):
        assert visible(passed) == visible("".join(pieces) + "\x1b[A")


async def test_a_paste_waits_for_the_keys_before_it(start) -> None:
    async with start() as driver:
        await driver.load()
        driver.app.post_message(events.Key("p", "p"))
        driver.app.post_message(events.Paste("a fox\nq in snow"))
        driver.app.post_message(events.Key("enter", "\r"))
        await driver.until(lambda: driver.app.control.state.prompt == "a fox q in snow")
        await driver.until(lambda: driver.app.focused is driver.list)


async def test_what_is_pasted_onto_the_list_is_no_command(start, session) -> None:
    async with start() as driver:
        await driver.load()
        before = list(session.commands)
        driver.app.post_message(events.Paste("q0xg"))
        await driver.until(lambda: driver.toasts)
        assert driver.toasts == ["Pasted text is not run as keys; p opens the prompt for it."]
        asked = [c for c in session.commands if not isinstance(c, Prefetch)]
        assert asked == [c for c in before if not isinstance(c, Prefetch)]
        await driver.press("p")
        driver.app.post_message(events.Paste("fox"))
        await driver.until(lambda: driver.app.control.state.prompt == "fox")
        assert len(driver.toasts) == 1
