"""The host's memory as this process may use it: a container's limit counts, not the machine's."""

from __future__ import annotations

from pathlib import Path

import psutil

CGROUP = Path("/sys/fs/cgroup")


def read_ram(cgroup: Path = CGROUP) -> tuple[int, int]:
    """Bytes used and in all; of the control group (v2 or v1) where its limit is the lower one."""
    machine = psutil.virtual_memory()
    used, total = machine.total - machine.available, machine.total
    for folder, limit_name, used_name, cache_name in (
        (cgroup, "memory.max", "memory.current", "inactive_file"),
        (cgroup / "memory", "memory.limit_in_bytes", "memory.usage_in_bytes",
         "total_inactive_file"),
    ):  # fmt: skip
        limit, charged = _number(folder / limit_name), _number(folder / used_name)
        if limit is not None and charged is not None and 0 < limit < total:
            # Cached file contents are given back on demand: count them as free, as the host does.
            return max(0, charged - _statistic(folder / "memory.stat", cache_name)), limit
    return used, total


def _number(path: Path) -> int | None:
    """A file's number; None when there is no such file or it says `max`."""
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None


def _statistic(path: Path, name: str) -> int:
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return 0
    values = (line.split() for line in lines)
    return next((int(words[1]) for words in values if len(words) == 2 and words[0] == name), 0)
