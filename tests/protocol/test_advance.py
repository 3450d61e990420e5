"""The view after each event."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.protocol.advance import advance
from engine.protocol.codec import decode_from_host, encode_event, encode_view
from engine.protocol.events import (
    CommandFailed,
    Event,
    EventMessage,
    GenerationCancelled,
    GenerationFinished,
    GenerationStarted,
    GenerationStep,
    JobChanged,
    JobQueued,
    JobsReordered,
    Preview,
    WorkEnded,
    WorkStarted,
)
from engine.protocol.jobs import Job
from engine.protocol.passes import HiresPass
from engine.protocol.request import GenerateRequest
from engine.protocol.view import MOST_LOG_LINES, EngineView
from tests.protocol.messages import EVENTS, TEXT

REQUEST = GenerateRequest("a fox", Path("/out"))


def after(*told: tuple[Event, str | None], view: EngineView | None = None) -> EngineView:
    view = view or EngineView()
    for event, answers in told:
        view = advance(view, EventMessage(view.seq + 1, "cpu", answers, 0.0, event))
    return view


def queued(*names: str) -> list[tuple[Event, str | None]]:
    return [(JobQueued(Job(name, REQUEST)), name) for name in names]


def ids(view: EngineView) -> list[str]:
    return [job.id for job in view.jobs]


@pytest.mark.parametrize(
    "end",
    [GenerationFinished((), 1.0), GenerationCancelled(1, 2), CommandFailed("draw", "no")],
)
def test_a_job_is_there_until_it_ends(end: Event) -> None:
    view = after(*queued("a", "b"))
    assert ids(view) == ["a", "b"]
    view = after((end, "c"), view=view)
    assert ids(view) == ["a", "b"], "the end of something else"
    assert ids(after((end, "a"), view=view)) == ["b"]


def test_a_job_drawn_for_ever_stays_until_it_is_cancelled() -> None:
    view = after((JobQueued(Job("a", REQUEST, forever=True)), "a"))
    assert ids(after((GenerationFinished((), 1.0), "a"), view=view)) == ["a"]
    assert ids(after((GenerationCancelled(0, 0), "a"), view=view)) == []


@pytest.mark.parametrize("scale", [9.7e288, -9.7e288, math.inf, math.nan, 1e9])
def test_a_started_picture_of_an_impossible_size_is_told_of_all_the_same(scale: float) -> None:
    """The engine refuses such a request; a view is made of whatever a message says."""
    request = replace(REQUEST, height=2**64 - 8, hires=HiresPass(scale=scale))
    (line,) = after((GenerationStarted(request, 1, 1), None)).log
    assert "→" in line.text


def test_the_running_job_goes_first_and_the_others_can_be_reordered() -> None:
    view = after(*queued("a", "b", "c"), (JobsReordered(("c", "a", "b")), None))
    assert ids(view) == ["c", "a", "b"]
    view = after((JobChanged(Job("b", REQUEST, state="running")), None), view=view)
    assert ids(view) == ["b", "c", "a"]
    assert view.running is not None
    assert [job.id for job in view.waiting] == ["c", "a"]


def test_the_newest_preview_stays_while_steps_come_without_one() -> None:
    preview = Preview(1, 1, b"abc")
    view = after(
        (WorkStarted("draw"), "a"),
        (GenerationStarted(REQUEST, 1, 9), "a"),
        (GenerationStep(1, 9, 0.1, preview), "a"),
        (GenerationStep(2, 9, 0.2), "a"),
    )
    assert view.drawing is not None
    assert (view.drawing.step, view.drawing.preview) == (2, preview)
    assert not view.is_idle
    view = after((WorkEnded(), None), view=view)
    assert view.drawing is None
    assert view.is_idle


def test_events_of_before_change_nothing_and_a_gap_is_noticed() -> None:
    view = after(*queued("a", "b"))
    assert advance(view, EventMessage(1, "cpu", None, 0.0, WorkEnded())) is view
    with pytest.raises(ValueError, match="event 9 came after 2"):
        advance(view, EventMessage(9, "cpu", None, 0.0, WorkEnded()))


def test_the_log_is_bounded_and_counts_all_its_lines() -> None:
    failed = (CommandFailed("load", "no"), None)
    view = after(*[failed] * (MOST_LOG_LINES + 7))
    assert len(view.log) == MOST_LOG_LINES
    assert view.lines_written == MOST_LOG_LINES + 7


@settings(deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.tuples(EVENTS, st.none() | TEXT), max_size=12), st.integers(0, 12))
def test_whoever_attaches_late_sees_the_same(
    told: list[tuple[Event, str | None]], late: int
) -> None:
    """The host's view and that of a client, which got the first part as a whole, are equal."""
    early = after(*told[:late])
    client = decode_from_host(encode_view(early))
    assert isinstance(client, EngineView)
    host = early
    for event, answers in told[late:]:
        message = EventMessage(host.seq + 1, "cpu", answers, 0.0, event)
        host = advance(host, message)
        heard = decode_from_host(encode_event(message))
        assert isinstance(heard, EventMessage)
        client = advance(client, heard)
    assert client == host
