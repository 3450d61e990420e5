"""Work that makes way for what people wait for."""

from __future__ import annotations

import os
import sys
import threading


def lower_priority(by: int) -> None:
    """Add to the niceness of this thread, and so of all it starts; on Linux alone.

    Elsewhere niceness is the whole process's.
    """
    if sys.platform == "linux":
        thread = threading.get_native_id()
        niceness = os.getpriority(os.PRIO_PROCESS, thread) + by
        os.setpriority(os.PRIO_PROCESS, thread, min(niceness, 19))
