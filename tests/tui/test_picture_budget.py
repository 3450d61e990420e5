"""The bytes of pictures that a slow link is granted are kept."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs
from PIL import Image
from rich.color import ColorSystem
from textual.strip import Strip

from engine.protocol.events import GenerationStarted, GenerationStep, Preview
from engine.protocol.request import GenerateRequest
from tui_loraswitch.images.budget import THRIFTY_BYTES, PictureBudget
from tui_loraswitch.images.fit import fit_half_cells
from tui_loraswitch.images.halfcell import HalfCellPicture, bytes_to_send
from tui_loraswitch.images.numbered_colours import NUMBERS, in_numbered_colours
from tui_loraswitch.panes import picture as picture_pane

REQUEST = GenerateRequest("a fox", Path("pictures"))


@given(st.floats(100, 1e6), st.lists(st.integers(1, 50_000), min_size=1, max_size=40))
def test_over_any_longer_time_no_more_is_sent_than_was_granted(per_second, pictures):
    now = 0.0
    budget = PictureBudget(per_second, lambda: now)
    sent = 0
    for count in pictures:
        now += budget.seconds_left
        assert sent <= per_second * now * (1 + 1e-9) + 1e-6, "all before it are paid"
        budget.spend(count)
        sent += count


def test_a_link_without_bounds_never_waits():
    budget = PictureBudget(None)
    budget.spend(10**9)
    assert budget.seconds_left == 0
    assert not budget.is_thrifty


def test_time_that_passes_unused_is_not_saved_up():
    now = 0.0
    budget = PictureBudget(1000, lambda: now)
    now = 60.0
    budget.spend(2000)
    assert budget.seconds_left == 2
    assert budget.is_thrifty
    assert not PictureBudget(THRIFTY_BYTES + 1).is_thrifty


@given(st.integers(1, 12), st.integers(1, 6), st.randoms())
def test_what_a_picture_takes_is_known_before_it_is_sent(width, rows, random):
    """Never fewer than are sent, nor twice as many, in both forms."""
    image = Image.frombytes("RGB", (width, 2 * rows), random.randbytes(6 * width * rows))
    for is_thrifty in (False, True):
        cells = fit_half_cells((*image.size, image.tobytes()), width, rows, is_thrifty)
        picture = HalfCellPicture()
        picture._cells = cells
        sent = sum(len(_rendered(picture.render_line(y))) for y in range(cells.rows))
        assert sent <= bytes_to_send(cells) <= 2 * sent
        assert bytes_to_send(cells, cells) == 0


def _rendered(strip: Strip) -> bytes:
    return "".join(
        segment.style.render(segment.text, color_system=ColorSystem.TRUECOLOR) for segment in strip
    ).encode()


def test_thrifty_pictures_have_only_colours_with_numbers_and_the_nearest():
    colours = [(255, 0, 0), (250, 3, 5), (127, 127, 127), (8, 8, 8), (0, 0, 0), (94, 134, 176)]
    image = Image.new("RGB", (len(colours), 1))
    image.putdata(colours)
    found = in_numbered_colours(image).tobytes()
    for n, colour in enumerate(colours):
        chosen = found[3 * n : 3 * n + 3]
        assert chosen in NUMBERS
        nearest = min(_distance(colour, known) for known in NUMBERS)
        assert _distance(colour, chosen) <= nearest * 1.5 + 30


def _distance(one, other) -> int:
    return sum((a - b) ** 2 for a, b in zip(one, other, strict=True))


async def test_previews_wait_for_the_budget(start, session, settings, monkeypatch):
    monkeypatch.setattr(picture_pane, "PREVIEW_SECONDS", 0.0)
    async with start(settings=structs.replace(settings, picture_kib_per_second=0.001)) as driver:
        await driver.load()
        await driver.emit(GenerationStarted(REQUEST, 7, 28))
        half_cells = driver.app.main.picture.query_one("#half-cells", HalfCellPicture)
        await driver.emit(GenerationStep(1, 28, 0.1, Preview(8, 8, bytes((10, 0, 0)) * 64)))
        await driver.until(lambda: half_cells._cells.rgb)
        first = half_cells._cells
        assert driver.app.picture_budget.seconds_left > 1
        await driver.emit(GenerationStep(28, 28, 0.2, Preview(8, 8, bytes((200, 0, 0)) * 64)))
        assert not any(worker.group == "picture" for worker in driver.app.workers)
        assert half_cells._cells is first, "the second waits until the first is paid"
