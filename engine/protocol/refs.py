"""What a user asks for: a LoRA file and how strongly to apply it."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from engine.block_weights import BlockWeights
from engine.words.course import STEADY, Course


@dataclass(frozen=True, init=False)
class LoraRef:
    """One member of a stack: a LoRA file with a strength per part of the model.

    However the file is given (`str` or `Path`, relative, with `~`), `path` is absolute, so that
    references to one file are equal and stay so when the working directory changes. Links are kept:
    what lies beside a link (PEFT's `adapter_config.json`) goes with it.

    `text_encoder` counts for both text encoders unless `text_encoder_2` is given. `blocks` are
    factors on top, by block of the model (see `engine.block_weights`). `course` says how the
    strengths change over the steps of a picture (see `engine.words.course`); a stack that is live
    while nothing is drawn has the strengths that stand here.
    """

    path: Path
    unet: float
    text_encoder: float
    text_encoder_2: float | None
    blocks: BlockWeights
    course: Course

    def __init__(
        self,
        path: str | os.PathLike[str],
        unet: float = 1.0,
        text_encoder: float = 1.0,
        text_encoder_2: float | None = None,
        blocks: BlockWeights = (),
        course: Course = STEADY,
    ) -> None:
        # Unlike `Path.expanduser`, this leaves a `~name` as it is where nobody has that name.
        given = Path(os.path.expanduser(path)).absolute()  # noqa: PTH111
        for name, value in (
            ("path", given),
            ("unet", unet),
            ("text_encoder", text_encoder),
            ("text_encoder_2", text_encoder_2),
            ("blocks", tuple(blocks)),
            ("course", course),
        ):
            object.__setattr__(self, name, value)

    @property
    def name(self) -> str:
        """The file's name without its ending."""
        return self.path.stem

    @property
    def counts(self) -> bool:
        """Whether it changes anything: at strengths of 0 that stay so it does not."""
        strengths = (self.unet, self.text_encoder, self.text_encoder_2_strength)
        return any(strengths) or self.course != STEADY

    @property
    def text_encoder_2_strength(self) -> float:
        """The strength for the second text encoder."""
        return self.text_encoder if self.text_encoder_2 is None else self.text_encoder_2

    def at(self, strength: float) -> LoraRef:
        """The same file with one strength for everything."""
        return replace(self, unet=strength, text_encoder=strength, text_encoder_2=None)

    def over(self, steps: int) -> tuple[LoraRef, ...]:
        """The member at each of the steps of a picture, with the strengths that it has there."""
        if self.course == STEADY:
            return (self,) * steps
        pairs = self.course.strengths(steps, self.unet, self.text_encoder)
        return tuple(self._at_step(step, steps, *pair) for step, pair in enumerate(pairs))

    def _at_step(self, step: int, steps: int, unet: float, text_encoder: float) -> LoraRef:
        second = self.text_encoder_2
        if second is not None and not self.course.counts_at(step, steps):
            second = 0.0
        return replace(
            self, unet=unet, text_encoder=text_encoder, text_encoder_2=second, course=STEADY
        )


def summed(stack: Iterable[LoraRef]) -> tuple[LoraRef, ...]:
    """A stack with its members of one file as one, whose strengths are the sums of theirs.

    That is how a LoRA counts that is in a stack twice. Members with other block weights, and those
    whose strengths change in other ways, stay apart.
    """
    members: dict[tuple[object, ...], LoraRef] = {}
    for ref in stack:
        key = ref.path, ref.blocks, ref.course
        members[key] = _add(members[key], ref) if key in members else ref
    return tuple(members.values())


def _add(one: LoraRef, other: LoraRef) -> LoraRef:
    both = one.text_encoder_2 is None and other.text_encoder_2 is None
    # Sums of decimals have digits nobody wrote: 0.1 + 0.2.
    return replace(
        one,
        unet=round(one.unet + other.unet, 6),
        text_encoder=round(one.text_encoder + other.text_encoder, 6),
        text_encoder_2=None
        if both
        else round(one.text_encoder_2_strength + other.text_encoder_2_strength, 6),
    )
