"""Which dtype a VAE gets, on GPUs that are pretended by their compute capability."""

from __future__ import annotations

import pytest
import torch

from engine.device import choose_vae_dtype
from engine.errors import EngineError

HALF = torch.float16


@pytest.fixture
def card(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """A GPU with the capability that a test names."""
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: request.param)
    monkeypatch.setattr(torch.version, "hip", None)


@pytest.mark.parametrize("card", [(6, 1), (7, 0), (7, 5)], indirect=True)
def test_cards_before_sm_80_decode_in_float32(card: None) -> None:
    assert choose_vae_dtype(None, HALF, "cuda:0") == torch.float32


@pytest.mark.parametrize("card", [(8, 0), (8, 6), (8, 9), (9, 0), (12, 0)], indirect=True)
def test_cards_from_sm_80_on_decode_in_bfloat16(card: None) -> None:
    assert choose_vae_dtype(None, HALF, "cuda:1") == torch.bfloat16
    assert choose_vae_dtype(None, torch.bfloat16, "cuda:1") == torch.bfloat16
    assert choose_vae_dtype(None, torch.float32, "cuda:1") == torch.float32, "all of it was asked"
    assert choose_vae_dtype("float32", HALF, "cuda:1") == torch.float32


@pytest.mark.parametrize("card", [(9, 4)], indirect=True)
def test_amd_decodes_in_float32(card: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.version, "hip", "6.4")
    assert choose_vae_dtype(None, HALF, "cuda:0") == torch.float32


@pytest.mark.parametrize("device", ["cpu", "mps"])
def test_others_decode_in_float32_unless_told(device: str) -> None:
    assert choose_vae_dtype(None, HALF, device) == torch.float32
    assert choose_vae_dtype("bfloat16", HALF, device) == torch.bfloat16


def test_float16_overflows_and_is_refused() -> None:
    with pytest.raises(EngineError, match="float16 is no dtype for a VAE"):
        choose_vae_dtype("float16", HALF, "cpu")
