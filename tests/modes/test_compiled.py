"""A compiled UNet follows every switch, and is compiled once."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch._inductor import config

from engine.errors import EngineError
from engine.modes.compiled import compile_unet, require_compilable

from .conftest import Drawing


@pytest.fixture(autouse=True)
def fresh_compiler() -> Iterator[None]:
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    yield
    torch._dynamo.reset()


def run(unet: Any) -> torch.Tensor:
    """One call as a pipeline makes it, with the same inputs every time."""
    generator = torch.Generator().manual_seed(0)
    width = unet.config.cross_attention_dim
    pooled = unet.add_embedding.linear_1.in_features - 6 * unet.config.addition_time_embed_dim
    with torch.no_grad():
        (output,) = unet(
            torch.randn(2, 4, 8, 8, generator=generator),
            torch.tensor(500.0),
            encoder_hidden_states=torch.randn(2, 77, width, generator=generator),
            added_cond_kwargs={
                "text_embeds": torch.randn(2, pooled, generator=generator),
                "time_ids": torch.tensor([[64.0, 64, 0, 0, 64, 64]] * 2),
            },
            return_dict=False,
        )
    return output


def test_twenty_switches_reach_the_compiled_unet_without_a_recompile(
    load: Callable[..., Drawing],
) -> None:
    drawing, plain = load(), load()
    compile_unet(drawing.pipe.unet, backend="eager")
    run(drawing.pipe.unet)
    stacks = [(), ("neon",), ("styles/ink",), ("neon", "styles/wash")]
    expected = []
    for stack in stacks:
        plain.switch(*stack)
        expected.append(run(plain.pipe.unet))
    assert not any(torch.equal(expected[0], other) for other in expected[1:])
    with torch._dynamo.config.patch(error_on_recompile=True):
        for number in range(20):
            drawing.switch(*stacks[number % len(stacks)])
            output = run(drawing.pipe.unet)
            assert torch.equal(output, expected[number % len(stacks)])
    graphs = torch._dynamo.utils.counters["stats"]["unique_graphs"]
    assert graphs == 1, "the whole UNet in one graph"
    drawing.switch()
    assert not drawing.switcher.verify().different


def test_a_wrapped_module_is_switched_too(load: Callable[..., Drawing]) -> None:
    """`pipe.unet = torch.compile(pipe.unet)`, as diffusers' pages have it."""

    def wrap(pipe: Any) -> None:
        pipe.unet = torch.compile(pipe.unet, backend="eager")

    drawing, plain = load(wrap), load()
    drawing.switch("neon")
    plain.switch("neon")
    pairs = zip(drawing.pipe.unet.parameters(), plain.pipe.unet.parameters(), strict=True)
    assert all(torch.equal(wrapped, other) for wrapped, other in pairs)


def test_what_cannot_be_compiled_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    require_compilable("tiled")
    require_compilable("encoder-offload")
    with pytest.raises(EngineError, match="mode model-offload moves weights"):
        require_compilable("model-offload")
    frozen = config.patch(freezing=True)
    with frozen, pytest.raises(EngineError, match="freeze weights"):
        require_compilable("resident")
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(EngineError, match=r"needs a C\+\+ compiler"):
        require_compilable("resident")
