"""A tiny model is computed by one thread; another one gets the usual number back."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace

import pytest
import torch

from engine.session import threads
from engine.session.threads import Threads


@pytest.fixture
def three() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)


def test_a_tiny_model_has_one_and_the_next_what_was_before(
    three: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = Threads()
    modules = {"unet": torch.nn.Linear(8, 8)}

    def fit(device: str) -> int:
        model = SimpleNamespace(
            checkpoint=SimpleNamespace(modules=modules), device=torch.device(device)
        )
        own.fit(model)  # type: ignore[arg-type]
        return torch.get_num_threads()

    assert [fit("cpu"), fit("cpu")] == [1, 1]
    assert fit("cuda:0") == 3
    assert fit("cpu") == 1
    monkeypatch.setattr(threads, "TINY", 10)
    assert fit("cpu") == 3
