"""Text encoders that visit the device: there for a call, home after it, and the UNet stays.

On a CPU the copies for a visit are real ones, and a call that read anything else would be noticed.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from engine.checkpoint import open_checkpoint
from engine.modes.graph import GraphedForward
from engine.modes.place import place
from engine.protocol.refs import LoraRef
from engine.switch import visits
from engine.switch.switcher import LoraSwitcher

from .conftest import Drawing, Moves
from .test_graph import Captures

ENCODERS = ("text_encoder", "text_encoder_2")
LAYER = "encoder.layers.0.self_attn.q_proj"


def arrange(pipe: Any) -> None:
    place(pipe, "encoder-offload", "cpu")


@pytest.fixture
def drawing(load: Callable[..., Drawing], moves: Moves) -> Drawing:
    """The tiny model in the mode, with real copies for its visits."""
    return load(arrange)


def tensors_of(pipe: Any, part: str) -> list[torch.Tensor]:
    network = getattr(pipe, part)
    return [*network.parameters(), *network.buffers()]


def places_of(pipe: Any, *parts: str) -> list[tuple[int, int]]:
    """Which tensors these are, and where their numbers lie."""
    return [(id(t), t.data_ptr()) for part in parts for t in tensors_of(pipe, part)]


def layer_of(pipe: Any, part: str) -> Any:
    """A layer in the middle of a text encoder, which the LoRAs change."""
    network: nn.Module = getattr(pipe, part)
    (layer,) = (m for name, m in network.named_modules() if name.endswith(LAYER))
    return layer


def latents_of(pipe: Any, prompt: str) -> torch.Tensor:
    """What diffusers' own loop makes of a prompt."""
    latents: torch.Tensor = pipe(
        prompt,
        width=64,
        height=64,
        num_inference_steps=2,
        generator=torch.Generator().manual_seed(5),
        output_type="latent",
    ).images
    return latents


def test_diffusers_own_loop_gives_the_same_latents(
    tiny_checkpoint: Path, tiny_loras: Path, drawing: Drawing
) -> None:
    plain: Any = open_checkpoint(tiny_checkpoint, device="cpu", dtype=torch.float32).pipeline
    merged = LoraSwitcher(plain.unet, plain.text_encoder, plain.text_encoder_2)
    found = []
    for names in ((), ("neon",), ()):
        merged.apply([LoraRef(tiny_loras / f"{name}.safetensors") for name in names])
        drawing.switch(*names)
        found.append(latents_of(drawing.pipe, "a fox"))
        assert torch.equal(found[-1], latents_of(plain, "a fox"))
    assert torch.equal(found[0], found[2])
    assert not torch.equal(found[0], found[1])


def test_a_call_reads_copies_and_leaves_the_host_tensors_in_their_place(
    drawing: Drawing, moves: Moves
) -> None:
    pipe = drawing.pipe
    before = places_of(pipe, "unet", "vae", *ENCODERS)
    at_home = {address for _, address in before}
    seen: list[int] = []
    for part in ENCODERS:
        layer_of(pipe, part).register_forward_hook(
            lambda layer, *_: seen.append(layer.weight.data_ptr())
        )
    stays: list[int] = []
    pipe.unet.conv_in.register_forward_hook(lambda layer, *_: stays.append(layer.weight.data_ptr()))
    for stack in ((), ("neon",), ()):
        drawing.switch(*stack)
        drawing.picture()
    assert set(stays) == {pipe.unet.conv_in.weight.data_ptr()}
    assert len(seen) == 3 * 2 * len(ENCODERS), "the prompt and the negative one"
    assert not at_home & set(seen)
    assert places_of(pipe, "unet", "vae", *ENCODERS) == before
    for copy in moves.visiting:
        if copy.is_floating_point():
            copy.fill_(float("nan"))
    picture = drawing.picture()
    assert np.array_equal(picture, drawing.picture()), "nothing reads copies of before"
    assert not drawing.switcher.verify().different


def test_an_encoder_alone_is_there_at_a_time(drawing: Drawing, moves: Moves) -> None:
    pipe = drawing.pipe
    homes = {part: places_of(pipe, part) for part in ENCODERS}
    found: list[list[bool]] = []
    for part in ENCODERS:
        layer_of(pipe, part).register_forward_hook(
            lambda *_: found.append([places_of(pipe, p) == homes[p] for p in ENCODERS])
        )
    drawing.picture()
    assert found == [[False, True], [True, False]] * 2, "the prompt and the negative one"


@pytest.mark.parametrize("error", [torch.OutOfMemoryError("CUDA out of memory"), KeyboardInterrupt])
@pytest.mark.parametrize("where", ["on the way", "in the call"])
def test_what_breaks_off_a_visit_brings_the_encoder_home(
    drawing: Drawing,
    monkeypatch: pytest.MonkeyPatch,
    error: BaseException | type[BaseException],
    where: str,
) -> None:
    pipe, expected = drawing.pipe, drawing.picture()
    before = places_of(pipe, *ENCODERS)

    def fails(*_: object) -> None:
        raise error

    with monkeypatch.context() as patch:
        if where == "in the call":
            patch.setattr(layer_of(pipe, "text_encoder_2"), "forward", fails)
        else:
            last = next(reversed([*pipe.text_encoder_2.parameters()]))
            copy_on = visits.copy_on

            def full(device: torch.device, tensor: torch.Tensor) -> torch.Tensor:
                if tensor.data_ptr() == last.data_ptr():
                    fails()
                return copy_on(device, tensor)

            patch.setattr(visits, "copy_on", full)
        with pytest.raises(type(error) if isinstance(error, BaseException) else error):
            # The user's own call, which does not tidy up as `generate` does.
            pipe.encode_prompt("a fox", device="cpu", do_classifier_free_guidance=False)
    assert places_of(pipe, *ENCODERS) == before
    assert np.array_equal(drawing.picture(), expected)
    drawing.switch("neon")
    drawing.switch()
    assert not drawing.switcher.verify().different


def test_a_switch_in_the_middle_of_a_visit_writes_what_counts(drawing: Drawing) -> None:
    expected = drawing.picture()
    handle = layer_of(drawing.pipe, "text_encoder").register_forward_hook(
        lambda *_: drawing.switch("neon")
    )
    drawing.picture()
    handle.remove()
    merged = [weight.clone() for weight in tensors_of(drawing.pipe, "text_encoder")]
    drawing.switch()
    assert np.array_equal(drawing.picture(), expected)
    drawing.switch("neon")
    assert all(map(torch.equal, merged, tensors_of(drawing.pipe, "text_encoder")))
    drawing.switch()
    assert not drawing.switcher.verify().different


def test_text_encoder_loras_are_merged_at_home_from_the_base(
    tiny_loras: Path, drawing: Drawing
) -> None:
    """Against W0 + the sum in float64; and what comes back is W0 bit for bit."""
    pipe = drawing.pipe
    base = {part: layer_of(pipe, part).weight.detach().clone() for part in ENCODERS}
    for names in (("neon",), ("styles/ink", "neon"), ("styles/wash",)):
        drawing.switch(*names)
        drawing.picture()
        for part, key in zip(ENCODERS, ("te1", "te2"), strict=True):
            wanted = base[part].double()
            for name in names:
                lora = load_file(tiny_loras / f"{name}.safetensors")
                module = f"lora_{key}_text_model_encoder_layers_0_self_attn_q_proj"
                up, down = (lora[f"{module}.lora_{end}.weight"].double() for end in ("up", "down"))
                # Of rank 2 and alpha 2.
                wanted += up @ down
            live = layer_of(pipe, part).weight.detach()
            assert not torch.equal(live, base[part])
            # float32 rounds once, but for the last bits of its sums.
            assert torch.allclose(live.double(), wanted, rtol=1e-6, atol=1e-6)
    drawing.switch()
    for part in ENCODERS:
        assert torch.equal(layer_of(pipe, part).weight, base[part])
    assert not drawing.switcher.verify().different


def test_graphs_of_the_unet_stay_over_pictures_and_switches(drawing: Drawing) -> None:
    """A graph is replayed as long as no address changes; here a stand-in counts the captures."""
    pipe, captures = drawing.pipe, Captures()
    expected = drawing.tour(((), ("neon",), ()))
    pipe.unet.forward = GraphedForward(pipe.unet, captures)
    with torch.no_grad():
        pictures = drawing.tour(((), ("neon",), ()))
    assert len(captures) == 1
    assert pipe.unet.forward.is_on
    assert all(map(np.array_equal, pictures, expected))
