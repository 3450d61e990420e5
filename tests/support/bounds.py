"""Bounds on time and memory: a guard against hanging, many times what sound work takes."""

from __future__ import annotations

import gc
import math
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType

HANGS = 60.0
"""Seconds by the clock after which whoever waits for something is ended."""

_LOOK = 0.1
"""Seconds between two looks at the clocks."""
_CLEAR, _STATUS = Path("/proc/self/clear_refs"), Path("/proc/self/status")
_RESET_PEAK = "5"


class _Late(BaseException):
    """Raised in the middle of the work; no `except Exception` takes it."""


@contextmanager
def bounded(seconds: float, mebibytes: float = math.inf) -> Iterator[None]:
    """Fail the block when it takes more seconds of CPU, more memory at its peak, or waits for ever.

    The CPU time of this thread alone, since the machine and this process may be busy with other
    things; what earlier tests left is not searched for garbage meanwhile. Memory is looked at on
    Linux alone. For the main thread, since it works by signals.
    """
    begun, start = time.monotonic(), time.thread_time()

    def look(number: int, frame: FrameType | None) -> None:
        if time.thread_time() - start > seconds or time.monotonic() - begun > HANGS:
            raise _Late

    before = signal.signal(signal.SIGALRM, look)
    resident = _reset_peak()
    late: _Late | None = None
    gc.freeze()
    try:
        signal.setitimer(signal.ITIMER_REAL, _LOOK, _LOOK)
        yield
    except _Late as error:
        late = error
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        gc.unfreeze()
    # What runs in C is not stopped in the middle.
    is_late = late is not None or time.thread_time() - start > seconds
    assert not is_late, f"takes more than {seconds} s of CPU, or {HANGS} s by the clock"
    peak = _peak() - resident
    assert peak < mebibytes, f"takes more than {mebibytes} MiB of memory ({peak:.0f} MiB)"


def _reset_peak() -> float:
    """Forget the highest memory in use, and say how much is in use now, in MiB."""
    with suppress(OSError):
        _CLEAR.write_text(_RESET_PEAK)
    return _peak()


def _peak() -> float:
    """The highest memory in use since the reset, in MiB; 0 where the system does not tell."""
    with suppress(OSError):
        for line in _STATUS.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    return 0.0
