"""Weights read by threads and sent in pieces: all of them, in order, with the file's own bits."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import save_file

from engine.checkpoint import load, open_checkpoint, upload
from engine.checkpoint.source import Place, WeightFile
from engine.checkpoint.upload import uploaded
from engine.errors import CheckpointError

CPU = torch.device("cpu")


def written(path: Path, tensors: dict[str, torch.Tensor]) -> list[tuple[str, Place]]:
    save_file(tensors, path)
    file = WeightFile.open(path)
    return [(name, Place(file, name, t.shape, t.dtype)) for name, t in tensors.items()]


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upload, "PIECE", 64)
    monkeypatch.setattr(upload, "PIECES", 3)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(
            st.sampled_from([torch.float16, torch.bfloat16, torch.float32]),
            st.lists(st.integers(0, 9), max_size=4),
        ),
        max_size=12,
    )
)
def test_any_weights_arrive_in_order_as_safetensors_reads_them(tmp_path, shapes) -> None:
    """None, empty ones, and those of less than one piece, just one, and many."""
    path = tmp_path / "weights.safetensors"
    tensors = {
        f"w{number}": torch.randn(shape).to(dtype) for number, (dtype, shape) in enumerate(shapes)
    }
    places = written(path, tensors)
    arrived = list(uploaded(places, CPU))
    assert [name for name, _ in arrived] == list(tensors)
    with safe_open(path, framework="pt") as file:
        for name, tensor in arrived:
            expected = file.get_tensor(name)
            assert tensor.dtype == expected.dtype
            assert torch.equal(tensor, expected)


def test_a_third_of_a_fused_tensor_is_its_own_rows(tmp_path) -> None:
    fused = torch.randn(9, 7)
    ((_, place),) = written(tmp_path / "w.safetensors", {"qkv": fused})
    thirds = [(n, Place(place.file, "qkv", torch.Size((3, 7)), fused.dtype, n)) for n in range(3)]
    for (_, tensor), expected in zip(uploaded(thirds, CPU), fused.chunk(3), strict=True):
        assert torch.equal(tensor, expected)


def test_several_are_read_at_a_time(tmp_path, monkeypatch) -> None:
    together = threading.Barrier(2)
    read_into = WeightFile.read_into

    def meeting(self: WeightFile, buffer: torch.Tensor, start: int) -> None:
        together.wait(20)
        read_into(self, buffer, start)

    monkeypatch.setattr(WeightFile, "read_into", meeting)
    places = written(tmp_path / "w.safetensors", {str(n): torch.ones(8) for n in range(4)})
    assert len(list(uploaded(places, CPU))) == 4


def test_no_buffer_is_filled_before_what_was_sent_from_it_has_arrived(tmp_path, monkeypatch):
    """As on a GPU, which copies later than it is told to."""
    copies: list[tuple[torch.Tensor, torch.Tensor]] = []
    copy = torch.Tensor.copy_

    def copy_later(self, source, non_blocking=False):
        copies.append((self, source))
        return self

    def arrival(device: torch.device):
        mine = copies.pop()
        return lambda: copy(*mine)

    monkeypatch.setattr(torch.Tensor, "copy_", copy_later)
    monkeypatch.setattr(upload, "_arrival", arrival)
    tensors = {str(n): torch.randn(40) for n in range(20)}
    arrived = dict(uploaded(written(tmp_path / "w.safetensors", tensors), CPU))
    assert all(torch.equal(arrived[name], tensor) for name, tensor in tensors.items())


def test_memory_is_that_of_a_few_pieces(tmp_path, monkeypatch) -> None:
    taken: list[int] = []

    class Counting(upload.HostMemory):
        def buffer(self, size: int) -> torch.Tensor:
            taken.append(size)
            return super().buffer(size)

    monkeypatch.setattr(upload, "HostMemory", Counting)
    places = written(tmp_path / "w.safetensors", {str(n): torch.ones(99) for n in range(50)})
    assert len(list(uploaded(places, CPU))) == 50
    assert taken == [64, 64, 64]


@pytest.mark.parametrize("taken", [0, 1, 5])
def test_a_file_cut_meanwhile_is_refused_and_no_thread_stays(tmp_path, taken: int) -> None:
    path = tmp_path / "w.safetensors"
    places = written(path, {str(n): torch.ones(99) for n in range(50)})
    arriving = uploaded(places, CPU)
    for _ in range(taken):
        next(arriving)
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2)
    with pytest.raises(CheckpointError, match="the file has changed"):
        list(arriving)
    assert not any(thread.name.startswith("weights") for thread in threading.enumerate())


def test_no_thread_stays_when_the_loading_is_given_up(tmp_path) -> None:
    def endless() -> Iterator[tuple[str, Place]]:
        places = written(tmp_path / "w.safetensors", {str(n): torch.ones(99) for n in range(5)})
        while True:
            yield from places

    arriving = uploaded(endless(), CPU)
    next(arriving)
    arriving.close()
    assert not any(thread.name.startswith("weights") for thread in threading.enumerate())


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32])
@pytest.mark.parametrize("channels_last", [False, True])
def test_a_model_loaded_so_is_the_model(
    tiny_checkpoint: Path, dtype: torch.dtype, channels_last: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a GPU: those stored as they are wanted come in pieces, the others one by one."""
    options = {"device": "cpu", "dtype": dtype, "channels_last": channels_last}
    expected = open_checkpoint(tiny_checkpoint, **options)
    sent: list[str] = []

    def noting(places, device):
        places = list(places)
        sent.extend(name for name, _ in places)
        return uploaded(places, device)

    monkeypatch.setattr(load, "_streams", lambda home: True)
    monkeypatch.setattr(load, "uploaded", noting)
    told: list[tuple[int, int]] = []
    model = open_checkpoint(tiny_checkpoint, **options, progress=lambda *now: told.append(now))
    for part, module in expected.modules.items():
        given = dict(model.modules[part].named_parameters())
        for name, parameter in module.named_parameters():
            assert torch.equal(given[name], parameter), name
            assert given[name].dtype == parameter.dtype
            assert given[name].stride() == parameter.stride(), name
    assert bool(sent) == (dtype == torch.float16), "the file is half"
    assert told[-1][0] == told[-1][1]
