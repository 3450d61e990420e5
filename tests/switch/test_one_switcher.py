"""A model belongs to one switcher: two would each take the other's merged weights for the base."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from engine.errors import SwitchError
from engine.switch import base as base_module
from engine.switch.switcher import LoraSwitcher
from tests.support.tiny_sdxl import make_parts
from tests.switch.conftest import Loaded


def test_the_newer_switcher_takes_the_model_over_at_its_base(loaded: Loaded) -> None:
    """As when a cell of a notebook is run again."""
    first, neon = loaded.switcher, loaded.ref("neon")
    second = LoraSwitcher(**loaded.parts)
    assert (first.state, first.stack, second.state) == ("empty", (), "base")
    calls: list[Callable[[], object]] = [
        first.restore_weights,
        first.verify,
        first.require_known,
        lambda: first.apply([neon]),
        lambda: first.backup_weights([neon]),
        lambda: first.prefetch(neon),
        lambda: first.set_backup("cpu"),
    ]
    for call in calls:
        with pytest.raises(SwitchError, match=r"Another LoraSwitcher was made .* use that one"):
            call()
    second.apply([neon])
    assert loaded.differing()
    second.apply([])
    assert loaded.differing() == []


@pytest.mark.parametrize("shared", [("unet",), ("unet", "text_encoder_2")])
def test_no_switcher_begins_with_the_weights_of_anothers_loras(
    loaded: Loaded, shared: tuple[str, ...]
) -> None:
    first, neon = loaded.switcher, loaded.ref("neon")
    first.apply([neon])
    parts = {name: loaded.parts[name] for name in shared}
    with pytest.raises(SwitchError, match="Bring the base back with it first"):
        LoraSwitcher(**parts)
    assert (first.state, first.stack) == ("stack", (neon,))
    first.apply([])
    LoraSwitcher(**parts).apply([neon])
    assert first.state == "empty"


def test_loras_of_a_switcher_that_is_gone_are_not_taken_for_the_base(loaded: Loaded) -> None:
    loaded.switcher.apply([loaded.ref("neon")])
    del loaded.switcher
    gc.collect()
    with pytest.raises(SwitchError, match="load the model anew if it is gone"):
        LoraSwitcher(**loaded.parts)


def test_a_switcher_that_cannot_be_made_takes_nothing_over(loaded: Loaded) -> None:
    with pytest.raises(SwitchError, match="file of this model is not known"):
        LoraSwitcher(**loaded.parts, backup="file")
    loaded.switcher.apply([loaded.ref("neon")])
    assert loaded.switcher.state == "stack"


def test_a_switch_while_another_switcher_looks_at_the_base_wins(
    loaded: Loaded, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, switched = base_module.fingerprints, False

    def switching(tensors: Iterable[torch.Tensor]) -> list[int]:
        nonlocal switched
        if not switched:
            switched = True
            for stack in ([loaded.ref("neon")], []):
                loaded.switcher.apply(stack)
        return real(tensors)

    monkeypatch.setattr(base_module, "fingerprints", switching)
    with pytest.raises(SwitchError, match="Another LoraSwitcher has LoRAs on this model"):
        LoraSwitcher(**loaded.parts)
    monkeypatch.undo()
    assert loaded.switcher.state == "base"


def test_many_that_are_made_at_once_leave_one(loaded: Loaded) -> None:
    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(lambda _: LoraSwitcher(**loaded.parts), range(8)))
    assert sorted(switcher.state for switcher in made) == ["base", *["empty"] * 7]


def test_a_model_that_nobody_has_is_freed() -> None:
    parts = make_parts(torch.float16)
    switcher = LoraSwitcher(**parts)
    unet, there = weakref.ref(parts["unet"]), weakref.ref(switcher)
    LoraSwitcher(**parts)
    del parts, switcher
    gc.collect()
    assert (unet(), there()) == (None, None)
