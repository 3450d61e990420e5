"""A job of the queue: pictures to draw, with the stack and the model they are to be drawn with."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Literal

from msgspec import Struct, structs

from engine.protocol.passes import HiresPass
from engine.protocol.refs import LoraRef
from engine.protocol.request import GenerateRequest

JobState = Literal["waiting", "running", "set aside"]

MOST_ATTEMPTS = 2
"""A job during which the engine died this often is set aside."""


class Turn(Struct, frozen=True):
    """What one time has of its own, of a job that is drawn for ever."""

    prompt: str
    negative_prompt: str
    stack: tuple[LoraRef, ...] = ()
    region_stacks: tuple[tuple[LoraRef, ...], ...] = ()
    hires: HiresPass | None = None
    lora_names: tuple[tuple[str, str], ...] = ()

    @classmethod
    def of(cls, request: GenerateRequest, stack: tuple[LoraRef, ...]) -> Turn:
        """What a request with its stack has that others of the job may not have."""
        texts = request.prompt, request.negative_prompt
        return cls(*texts, stack, request.region_stacks, request.hires, request.lora_names)


class Job(Struct, frozen=True):
    """Pictures that were asked for and are not all drawn yet."""

    id: str
    """That of the command which asked for it."""
    request: GenerateRequest
    """With the seed resolved, so that a job that is started again draws the same pictures."""
    stack: tuple[LoraRef, ...] = ()
    model: Path | None = None
    """The model's file or folder; None: the embedded demo."""
    forever: bool = False
    turns: tuple[Turn, ...] = ()
    """Of a job that is drawn for ever: what the next times have of their own, if anything."""
    drawn: int = 0
    """Pictures of the batch that are saved already."""
    attempts: int = 0
    """How often it was started and neither ended nor was stopped."""
    state: JobState = "waiting"
    reason: str = ""
    """Why it was set aside."""

    def again(self, seed: int) -> Job:
        """The job as it is drawn the next time, with another seed and in the next turn."""
        request = self.request.counting_from(seed)
        fresh = structs.replace(self, request=request, drawn=0, attempts=0, state="waiting")
        if not self.turns:
            return fresh
        turn, *others = self.turns
        own = structs.asdict(turn)
        stack = own.pop("stack")
        turns = (*others, turn)
        return structs.replace(fresh, request=replace(request, **own), stack=stack, turns=turns)
