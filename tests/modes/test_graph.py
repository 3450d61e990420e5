"""The UNet's step as graphs: keyed by size, bounded, off by itself, never stale.

Without a GPU a stand-in captures; on one the same is asked of real graphs.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from engine.checkpoint import open_checkpoint
from engine.errors import EngineError
from engine.modes.graph import MOST_MOVES, GraphedForward, graph_unet, require_graphs
from engine.protocol.refs import LoraRef
from engine.switch.switcher import LoraSwitcher
from tests.support.tiny_sdxl import make_parts


class Replayed:
    """In place of a CUDA graph: reads its own inputs and the weights, writes its own output."""

    bytes = 100

    def __init__(self, run: Callable[..., torch.Tensor], tensors: Sequence[torch.Tensor]) -> None:
        self._run = run
        self.inputs = [tensor.clone() for tensor in tensors]
        self.output = run(*self.inputs)
        self.replays = 0

    def replay(self) -> None:
        self.replays += 1
        self.output.copy_(self._run(*self.inputs))


class Captures(list[Replayed]):
    """All that was captured."""

    def __call__(self, run: Callable[..., Any], tensors: Sequence[torch.Tensor]) -> Replayed:
        self.append(Replayed(run, tensors))
        return self[-1]


@pytest.fixture
def unet() -> Any:
    return make_parts()["unet"]


@pytest.fixture
def captures(unet: Any) -> Captures:
    found = Captures()
    unet.plain = unet.forward
    unet.forward = GraphedForward(unet, found, limit=250)
    return found


@pytest.fixture(autouse=True)
def no_gradients() -> Iterator[None]:
    with torch.no_grad():
        yield


def inputs(side: int = 8, rows: int = 2, seed: int = 0, device: str = "cpu") -> dict[str, Any]:
    generator = torch.Generator().manual_seed(seed)

    def values(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator).to(device)

    return {
        "sample": values(rows, 4, side, side),
        "timestep": torch.tensor(float(500 + seed), device=device),
        "encoder_hidden_states": values(rows, 77, 48),
        "timestep_cond": None,
        "added_cond_kwargs": {"text_embeds": values(rows, 32), "time_ids": values(rows, 6)},
        "return_dict": False,
    }


def test_each_size_is_captured_once_and_replayed_with_new_inputs(
    unet: Any, captures: Captures
) -> None:
    for seed in range(3):
        for side, rows in ((8, 2), (16, 1)):
            given = inputs(side, rows, seed)
            assert torch.equal(unet(**given)[0], unet.plain(**given)[0])
    assert [graph.replays for graph in captures] == [3, 3]


def test_an_output_is_not_written_over_by_the_next_run(unet: Any, captures: Captures) -> None:
    first = unet(**inputs(seed=1))[0]
    kept = first.clone()
    assert not torch.equal(unet(**inputs(seed=2))[0], first)
    assert torch.equal(first, kept)


def test_memory_is_bounded_and_the_longest_unused_goes(unet: Any, captures: Captures) -> None:
    for side in (8, 16, 8, 24, 8):
        unet(**inputs(side))
    assert len(captures) == 3
    assert unet.forward.bytes == 200
    unet(**inputs(16))
    assert len(captures) == 4, "the one of 16 had made room"


def test_weights_written_in_place_count_and_moved_ones_are_captured_anew(
    unet: Any, captures: Captures
) -> None:
    given = inputs()
    before = unet(**given)[0]
    weight = unet.conv_in.weight
    weight.mul_(1.5)
    changed = unet(**given)[0]
    assert len(captures) == 1
    assert not torch.equal(changed, before)
    assert torch.equal(changed, unet.plain(**given)[0])
    weight.data = weight.data.clone() * 2
    assert torch.equal(unet(**given)[0], unet.plain(**given)[0])
    assert len(captures) == 2


def test_weights_that_come_and_go_turn_it_off(
    unet: Any, captures: Captures, caplog: pytest.LogCaptureFixture
) -> None:
    given = inputs()
    with caplog.at_level(logging.WARNING):
        for _ in range(MOST_MOVES + 4):
            kept = unet.conv_in.weight.data
            unet.conv_in.weight.data = kept.clone()
            assert torch.equal(unet(**given)[0], unet.plain(**given)[0])
    assert not unet.forward.is_on
    assert len(captures) == MOST_MOVES + 1
    assert caplog.text.count("come and go") == 1


@pytest.mark.parametrize("trouble", ["cannot be captured", "no memory"])
def test_it_is_off_where_capturing_fails_and_draws_all_the_same(unet: Any, trouble: str) -> None:
    tries = []

    def fails(run: object, tensors: object) -> Any:
        tries.append(run)
        if trouble == "no memory":
            raise torch.OutOfMemoryError("CUDA out of memory")
        raise RuntimeError("operation not permitted when stream is capturing")

    plain = unet.forward
    unet.forward = GraphedForward(unet, fails)
    for _ in range(2):
        assert torch.equal(unet(**inputs())[0], plain(**inputs())[0])
    # Memory may be free the next time.
    assert len(tries) == (2 if trouble == "no memory" else 1)
    assert unet.forward.is_on == (trouble == "no memory")


def test_a_cpu_has_none(unet: Any) -> None:
    forward = graph_unet(unet)
    given = inputs()
    assert unet(**given)[0].isfinite().all()
    assert not forward.is_on


def test_what_cannot_be_captured_runs_plainly(unet: Any, captures: Captures) -> None:
    given = inputs()
    assert unet(**given | {"return_dict": True}).sample.shape == (2, 4, 8, 8)
    with torch.enable_grad():
        unet(**given)
    assert captures == []
    unet(**given)
    unet.train()
    unet(**given)
    assert len(captures) == 2


def test_graphs_are_refused_where_there_can_be_none() -> None:
    require_graphs("auto", "cuda:0")
    require_graphs("encoder-offload", "cuda:0")
    with pytest.raises(EngineError, match="need a GPU of NVIDIA or AMD"):
        require_graphs("auto", "cpu")
    with pytest.raises(EngineError, match="mode group-offload moves weights"):
        require_graphs("group-offload", "cuda:0")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_no_switch_leaves_a_stale_graph(tiny_checkpoint: Path, tiny_loras: Path) -> None:
    pipe: Any = open_checkpoint(tiny_checkpoint, device="cuda:0", dtype=torch.float16).pipeline
    switcher = LoraSwitcher(pipe.unet, pipe.text_encoder, pipe.text_encoder_2, backup="device")
    plain = pipe.unet.forward
    forward = graph_unet(pipe.unet)
    config = pipe.unet.config
    given = inputs(device="cuda")
    given["encoder_hidden_states"] = torch.randn(2, 77, config.cross_attention_dim, device="cuda")
    pooled = config.projection_class_embeddings_input_dim - 6 * config.addition_time_embed_dim
    given["added_cond_kwargs"]["text_embeds"] = torch.randn(2, pooled, device="cuda")
    for name in ("sample", "encoder_hidden_states"):
        given[name] = given[name].half()
    outputs = []
    for names in ((), ("neon",), ("styles/ink", "neon"), ("styles/wash",), ()):
        switcher.apply([LoraRef(tiny_loras / f"{name}.safetensors") for name in names])
        outputs.append(pipe.unet(**given)[0])
        assert torch.equal(outputs[-1], plain(**given)[0])
    assert forward.is_on
    assert forward.bytes > 0
    assert torch.equal(outputs[0], outputs[-1])
    assert not torch.equal(outputs[0], outputs[1])
