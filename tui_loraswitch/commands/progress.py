"""One line of progress on stderr, rewritten in place; nothing where stderr is no terminal."""

from __future__ import annotations

import shutil
import sys
from types import TracebackType
from typing import Self

from engine.protocol.events import Event, GenerationStarted, GenerationStep, LoadProgress
from engine.words.clean import clean_line
from tui_loraswitch.commands.outcome import CLEAR_LINE


class ProgressLine:
    """Shows what takes long, and takes it away again at the end."""

    def __init__(self) -> None:
        self._stream = sys.stderr
        self._shown = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.show("")

    @property
    def is_visible(self) -> bool:
        """Whether anybody can see it."""
        return self._stream.isatty()

    def follow(self, event: Event) -> None:
        """Show the progress an event tells of; anything else clears the line."""
        match event:
            case LoadProgress(stage=stage, done=done, total=total):
                self.show(f"{stage}  {done / total:.0%}" if total else stage)
            case GenerationStarted(total_steps=total):
                self.show(f"step 0/{total}")
            case GenerationStep(step=step, total_steps=total, seconds=seconds):
                passes = f"  pass {event.number} of {event.passes}" if event.passes > 1 else ""
                self.show(f"step {step}/{total}  {seconds:.1f} s{passes}")
            case _:
                self.show("")

    def show(self, text: str) -> None:
        """Write a text in place of the last one."""
        text = clean_line(text)[: shutil.get_terminal_size().columns - 1]
        if text != self._shown and self.is_visible:
            self._stream.write(CLEAR_LINE + text)
            self._stream.flush()
        self._shown = text
