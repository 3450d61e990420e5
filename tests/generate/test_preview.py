"""Previews: colours from latents."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from engine.generate import preview
from engine.generate.preview import SDXL_RGB, LatentRgb, Previews, draw_preview


def colour_at(drawn: Any, x: int, y: int) -> tuple[int, ...]:
    start = 3 * (y * drawn.width + x)
    return tuple(drawn.rgb[start : start + 3])


def test_colours_follow_the_factors() -> None:
    rgb = LatentRgb(((1, 0, 0), (0, 1, 0), (0, 0, 1), (0, 0, 0)), bias=(0, 0, -1))
    latents = torch.zeros(1, 4, 3, 5)
    latents[0, 0, 2, 4] = 1
    latents[0, 1, 0, 1] = -9
    latents[0, 3] = 7
    drawn = draw_preview(latents, rgb)
    assert (drawn.width, drawn.height, len(drawn.rgb)) == (5, 3, 45)
    assert colour_at(drawn, 0, 0) == (128, 128, 0)
    assert colour_at(drawn, 4, 2) == (255, 128, 0)
    assert colour_at(drawn, 1, 0) == (128, 0, 0)


def test_sdxl_grey_and_broken_values() -> None:
    broken = draw_preview(torch.full((1, 4, 8, 8), torch.nan))
    assert len(broken.rgb) == 3 * 64
    grey = draw_preview(torch.zeros(1, 4, 1, 1), SDXL_RGB)
    assert tuple(grey.rgb) == (141, 125, 127)


@pytest.mark.parametrize(
    ("latent", "shown"), [((128, 128), (128, 128)), ((216, 72), (128, 42)), ((300, 1), (128, 1))]
)
def test_previews_stay_small(latent: tuple[int, int], shown: tuple[int, int]) -> None:
    drawn = draw_preview(torch.zeros(1, 4, *latent))
    assert (drawn.height, drawn.width) == shown


class Card:
    """A GPU in which a call is done when it is waited for."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.waits: list[int] = []
        self.calls = 0
        card = self

        class OnItsWay:
            def __init__(self, device: torch.device, pixels: torch.Tensor | None) -> None:
                card.calls += 1
                self.call, self.pixels = card.calls, pixels

            def arrived(self) -> Any:
                card.waits.append(self.call)
                return None if self.pixels is None else preview._preview(self.pixels)

        monkeypatch.setattr(preview, "_is_late", lambda device: True)
        monkeypatch.setattr(preview, "_OnItsWay", OnItsWay)


def test_a_gpu_is_waited_for_one_call_late_and_at_the_last(monkeypatch: pytest.MonkeyPatch) -> None:
    card = Card(monkeypatch)
    # As it stands in a checkpoint's metadata.
    rgb = LatentRgb(factors=[[1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 0, 0]], bias=[0, 0, 0])  # type: ignore[arg-type]
    previews = Previews(rgb)
    shown = []
    for call in range(1, 6):
        x0 = torch.full((1, 4, 1, 1), call / 10)
        found = previews.after_call(x0, is_due=call in (1, 4, 5), is_last=call == 5)
        shown.append(found and found.rgb[0])
    # Those of calls 1 and 5: the last makes that of the fourth out of date.
    assert shown == [None, 140, None, None, 191]
    assert card.waits == [1, 2, 3, 5]


def test_on_a_cpu_each_preview_comes_with_its_call() -> None:
    previews = Previews()
    zeros = torch.zeros(1, 4, 1, 1)
    found = [previews.after_call(zeros, is_due=due, is_last=False) for due in (True, False)]
    assert found == [draw_preview(zeros), None]
