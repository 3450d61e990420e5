"""Stacks that change while a picture is drawn: exact at every step, and exact afterwards."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from engine.checkpoint import Checkpoint, open_checkpoint
from engine.demo import DEMO_LORAS, DEMO_MODEL
from engine.errors import CancelledError
from engine.generate.run import GeneratedPicture, generate
from engine.protocol.passes import HiresPass
from engine.protocol.refs import LoraRef
from engine.protocol.request import GenerateRequest
from engine.session.changing import changing_stack
from engine.switch.switcher import LoraSwitcher
from engine.words.course import Course, Point

NEON = LoraRef(DEMO_LORAS / "styles/neon_glow.safetensors")
INK = LoraRef(DEMO_LORAS / "styles/ink_outline.safetensors")
FADING = replace(INK, course=Course(unet=(Point(0, 0), Point(1, 0.5))))
TURNS = (
    replace(NEON, course=Course(turn=1, turns=2)),
    replace(INK, course=Course(turn=2, turns=2)),
)
SIDES = "a red star on a blue background ADDCOL a red star on a blue background"
PARTS = ("unet", "text_encoder", "text_encoder_2")


class Model:
    """The demo in float16, and what it draws."""

    def __init__(self) -> None:
        self.checkpoint: Checkpoint = open_checkpoint(DEMO_MODEL, device="cpu", dtype=torch.float16)
        pipe = self.checkpoint.pipeline
        self.pipe: Any = pipe
        self.switcher = LoraSwitcher(*(getattr(pipe, part) for part in PARTS))

    def digest(self) -> str:
        """Of every bit of every weight that a LoRA can change."""
        found = hashlib.sha256()
        for part in PARTS:
            for weight in getattr(self.pipe, part).parameters():
                found.update(weight.detach().view(torch.int16).numpy().tobytes())
        return found.hexdigest()

    def draw(
        self,
        request: GenerateRequest,
        on_step: Any = lambda *_: None,
        cancelled: Any = lambda: False,
    ) -> np.ndarray:
        found: list[GeneratedPicture] = []
        with changing_stack(self.switcher, request) as stacks:
            generate(
                self.pipe,
                request,
                cancelled=cancelled,
                on_step=on_step,
                on_picture=found.append,
                stacks=stacks,
            )
        return np.asarray(found[0].image, dtype=float)


@pytest.fixture(scope="module")
def models() -> tuple[Model, Model]:
    """One that draws, and one that stacks are applied to directly."""
    return Model(), Model()


@pytest.fixture
def drawing(models: tuple[Model, Model]) -> Iterator[Model]:
    base = models[0].digest()
    yield models[0]
    models[0].switcher.apply([])
    assert models[0].digest() == base
    assert models[0].switcher.verify().different == ()


@pytest.fixture
def request_of(tmp_path: Path) -> GenerateRequest:
    return GenerateRequest(
        "a red star on a blue background",
        tmp_path,
        seed=3,
        steps=5,
        width=96,
        height=96,
        sampler="Euler",
        preview_every=0,
    )


@pytest.mark.parametrize("stack", [(FADING,), (NEON, FADING), TURNS], ids=["fade", "both", "turns"])
def test_every_step_has_the_weights_of_its_stack_alone(
    drawing: Model,
    models: tuple[Model, Model],
    request_of: GenerateRequest,
    stack: tuple[LoraRef, ...],
) -> None:
    drawing.switcher.apply(stack)
    wanted = drawing.digest()
    seen: list[str] = []
    drawing.draw(request_of, lambda *_: seen.append(drawing.digest()))
    assert drawing.switcher.stack == stack
    assert drawing.digest() == wanted
    assert len(set(seen)) > 1
    other = models[1]
    for step, digest in enumerate(seen):
        other.switcher.apply([])
        other.switcher.apply([ref.over(request_of.steps)[step] for ref in stack])
        assert digest == other.digest(), step


def test_a_cancel_brings_the_wanted_stack_back(drawing: Model, request_of: GenerateRequest) -> None:
    drawing.switcher.apply((NEON, FADING))
    wanted = drawing.digest()
    steps: list[int] = []
    with pytest.raises(CancelledError):
        drawing.draw(request_of, lambda step, *_: steps.append(step), lambda: len(steps) > 1)
    assert drawing.digest() == wanted


def test_a_fault_brings_the_wanted_stack_back(drawing: Model, request_of: GenerateRequest) -> None:
    drawing.switcher.apply((FADING,))
    wanted = drawing.digest()

    def fault(*_: object) -> None:
        raise RuntimeError("broken")

    with pytest.raises(RuntimeError, match="broken"):
        drawing.draw(request_of, fault)
    assert drawing.digest() == wanted


def test_a_steady_course_draws_what_one_strength_draws(
    drawing: Model, request_of: GenerateRequest
) -> None:
    drawing.switcher.apply((INK.at(0.5),))
    steady = drawing.draw(request_of)
    always = Course(unet=(Point(0.5, 0),), text_encoder=(Point(0.5, 0),))
    drawing.switcher.apply((replace(INK, course=always),))
    assert np.array_equal(drawing.draw(request_of), steady)


def test_a_region_does_not_change_with_the_lora_of_another(
    drawing: Model, request_of: GenerateRequest
) -> None:
    sides = replace(request_of, prompt=SIDES, steps=8)

    def bleeding(one: np.ndarray, other: np.ndarray) -> float:
        return float(np.abs(one - other)[:, :36].mean())

    both = drawing.draw(replace(sides, region_stacks=((NEON,), (INK,))))
    left_alone = drawing.draw(replace(sides, region_stacks=((NEON,), ())))
    assert np.abs(both - left_alone)[:, 60:].mean() > 20, "the right side has its LoRA"
    drawing.switcher.apply((NEON, INK))
    merged = drawing.draw(request_of)
    drawing.switcher.apply((NEON,))
    neon = drawing.draw(request_of)
    assert 2 * bleeding(both, left_alone) < bleeding(merged, neon)


def test_a_second_pass_has_the_weights_of_its_own_stack(
    drawing: Model, models: tuple[Model, Model], request_of: GenerateRequest
) -> None:
    stack, of_hires = (NEON,), (INK.at(0.7), FADING)
    drawing.switcher.apply(stack)
    wanted = drawing.digest()
    seen: list[str] = []
    hires = HiresPass(1.25, steps=2, stack=of_hires)
    request = replace(request_of, steps=1, batch=2, hires=hires)
    drawing.draw(request, lambda *_: seen.append(drawing.digest()))
    assert drawing.digest() == wanted
    assert drawing.switcher.stack == stack
    other = models[1]
    over = []
    for step in range(2):
        other.switcher.apply([])
        other.switcher.apply([ref.over(2)[step] for ref in of_hires])
        over.append(other.digest())
    # Both pictures of the batch are drawn at once in the first pass.
    assert seen == [wanted, *over, *over]
    stopped: list[int] = []
    with pytest.raises(CancelledError):
        drawing.draw(request, lambda step, *_: stopped.append(step), lambda: len(stopped) > 1)
    assert drawing.digest() == wanted


def test_each_step_says_which_stacks_are_live(drawing: Model, request_of: GenerateRequest) -> None:
    drawing.switcher.apply((FADING,))
    said: list[object] = []
    request = replace(
        request_of, prompt=SIDES, steps=3, region_stacks=((NEON,), ()), hires=HiresPass(1.25)
    )
    with changing_stack(drawing.switcher, request) as (first, second):
        assert first is not None
        assert second is not None
        for step in range(3):
            first.use(step, 1)
            said.append(first.at_step)
        second.use(0, 0)
        assert second.at_step == said[0]
    assert said == [((faded, NEON), (faded,)) for faded in FADING.over(3)]
    with changing_stack(drawing.switcher, replace(request_of, steps=3)) as stacks:
        assert stacks[1] is None
    drawing.switcher.apply((NEON,))
    with changing_stack(drawing.switcher, replace(request_of, hires=HiresPass(1.25))) as stacks:
        assert stacks == (None, None), "one stack is for all"
