"""What a section is given: the device, whether to be quick, and where its results go."""

from __future__ import annotations

import gc
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch

from benchmarks.gpu.sections import SECTIONS
from engine.bench.clock import finish, median, seconds_of
from engine.device_fault import is_lost_device


@dataclass
class Bench:
    """One section's run."""

    section: str
    device: torch.device
    is_quick: bool
    tell: Callable[[object], None]
    _began: float = field(default_factory=time.monotonic)

    @property
    def is_cuda(self) -> bool:
        """Whether there is a GPU."""
        return self.device.type == "cuda"

    def say(
        self,
        name: str,
        measured: float | str | None = None,
        unit: str = "",
        *,
        floor: float | None = None,
        predicted: float | str | None = None,
        note: str = "",
    ) -> None:
        """Tell one result: what was measured, its physical limit, and what it is to be at most."""
        values = {"measured": measured, "floor": floor, "predicted": predicted}
        known = {key: value for key, value in values.items() if value is not None}
        words = {key: value for key, value in (("unit", unit), ("note", note)) if value}
        self.tell({"section": self.section, "name": name, **known, **words})

    def skip(self, name: str, reason: str) -> None:
        """Tell that something was not measured, and why."""
        self.tell({"section": self.section, "name": name, "skipped": reason})

    @contextmanager
    def trying(self, name: str) -> Iterator[None]:
        """Tell an error, whatever it is, and go on with what follows.

        After a fault of the GPU nothing more can be measured in this process: that is raised.
        """
        try:
            yield
        except Exception as error:
            traceback.print_exc()
            reason = (str(error).splitlines() or [""])[0]
            words = f"{type(error).__name__}: {reason}"[:300]
            self.tell({"section": self.section, "name": name, "error": words})
            if is_lost_device(error):
                raise
        self.clear()

    def has_time_for(self, seconds: float) -> bool:
        """Whether so much of the section's limit is left."""
        used = time.monotonic() - self._began
        return self.is_quick or used + seconds < SECTIONS[self.section].seconds

    def seconds(self, action: Callable[[], object], repeat: int = 5) -> float:
        """The median time from an idle device to an idle device, after one that is not counted.

        When it is quick, that of the first.
        """
        if self.is_quick:
            return seconds_of(action, self.device)
        action()
        return median([seconds_of(action, self.device) for _ in range(repeat)])

    def gpu_seconds(self, action: Callable[[], object], repeat: int = 20) -> float:
        """The median time on the GPU itself, by its events; on a CPU `seconds`."""
        if not self.is_cuda:
            return self.seconds(action, 3)
        action()
        times = []
        for _ in range(repeat):
            start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
            start.record()
            action()
            end.record()
            end.synchronize()
            times.append(start.elapsed_time(end) / 1000)
        return median(times)

    def clear(self) -> None:
        """Give memory that nothing uses back to the device."""
        gc.collect()
        if self.is_cuda:
            finish(self.device)
            torch.cuda.empty_cache()
