"""The models that the first start offers: those in the usual places of other programs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from engine.client.model_checks import ModelChecks
from tui_loraswitch.control.model_files import ModelFile, find_models
from tui_loraswitch.control.usual_places import Place, usual_places

MOST = 200
"""Models offered at the first start; m in the app finds all."""


@dataclass(frozen=True)
class FirstModel:
    """A model, and the folders of the program it was found with."""

    model: ModelFile
    place: Place


def find_first_models(
    home: Path,
    here: Path,
    on_found: Callable[[FirstModel], object],
    is_cancelled: Callable[[], bool],
) -> None:
    """Report the SDXL models of all usual places, as they are found."""
    count = 0

    def is_enough() -> bool:
        return count >= MOST or is_cancelled()

    # One process checks them all: to start one takes seconds.
    with ModelChecks() as checks:
        for place in usual_places(home, here):

            def report(model: ModelFile, place: Place = place) -> None:
                nonlocal count
                if model.kind == "SDXL" and not model.problem:
                    count += 1
                    on_found(FirstModel(model, place))

            if not is_enough():
                find_models(place.models, None, report, is_enough, checks=checks)
