"""The page on the protocol says what the code says."""

from __future__ import annotations

from typing import get_args

from engine.protocol.commands import Command
from engine.protocol.events import Event
from tools.protocol_page import PAGE, page


def test_the_page_is_what_the_code_says() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run python -m tools.protocol_page"


def test_every_command_and_event_is_on_it() -> None:
    text = page()
    for kind in (*get_args(Command), *get_args(Event)):
        assert f"### {kind.__name__}" in text
