"""Fingerprints: equal for equal bits, different for any change of one word."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from engine.switch.fingerprint import fingerprint

SIZES = st.integers(1, 40_000)


@given(size=SIZES, seed=st.integers(0, 99), place=st.integers(0, 2**31), bit=st.integers(0, 15))
def test_any_single_flipped_bit_shows(size: int, seed: int, place: int, bit: int) -> None:
    tensor = torch.randn(size, generator=torch.Generator().manual_seed(seed)).to(torch.float16)
    before = fingerprint(tensor)
    words = tensor.view(torch.int16)
    mask = torch.tensor(1 << bit, dtype=torch.int32).to(torch.int16)
    words[place % size] ^= mask
    assert fingerprint(tensor) != before
    words[place % size] ^= mask
    assert fingerprint(tensor) == before


@given(size=st.integers(2, 40_000))
def test_exchanged_values_show(size: int) -> None:
    tensor = torch.arange(size, dtype=torch.int64)
    before = fingerprint(tensor)
    tensor[0], tensor[-1] = size - 1, 0
    assert fingerprint(tensor) != before


def test_alignment_and_strides_do_not_matter() -> None:
    raw = torch.arange(30_001, dtype=torch.int32).to(torch.int8)
    assert fingerprint(raw[1:]) == fingerprint(raw[1:].clone())
    table = torch.randn(64, 48)
    assert fingerprint(table.T) == fingerprint(table.T.contiguous())
