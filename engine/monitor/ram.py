"""The host's memory as this process may use it: a container's limit counts, not the machine's."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import psutil

CGROUP = Path("/sys/fs/cgroup")
_KINDS = "inactive", "active"


class _Group(NamedTuple):
    """A control group with a limit, in bytes."""

    limit: int
    charged: int
    inactive_file: int
    active_file: int


def read_ram(cgroup: Path = CGROUP) -> tuple[int, int]:
    """Bytes used and in all; of the control group (v2 or v1) where its limit is the lower one."""
    machine = psutil.virtual_memory()
    for group in _groups(cgroup):
        if 0 < group.limit < machine.total:
            # Cached file contents are given back on demand: count them as free, as the host does.
            return max(0, group.charged - group.inactive_file), group.limit
    return machine.total - machine.available, machine.total


def free_ram(cgroup: Path = CGROUP) -> int:
    """Bytes that can be had, on the machine and within the limits of the control groups."""
    free = (g.limit - g.charged + g.inactive_file + g.active_file for g in _groups(cgroup))
    return max(0, min(int(psutil.virtual_memory().available), *free))


def _groups(cgroup: Path) -> Iterator[_Group]:
    for folder, limit_name, used_name, prefix in (
        (cgroup, "memory.max", "memory.current", ""),
        (cgroup / "memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_"),
    ):
        limit, charged = _number(folder / limit_name), _number(folder / used_name)
        if limit is not None and charged is not None:
            said = _statistics(folder / "memory.stat")
            inactive, active = (said.get(f"{prefix}{kind}_file", 0) for kind in _KINDS)
            yield _Group(limit, charged, inactive, active)


def _number(path: Path) -> int | None:
    """A file's number; None when there is no such file or it says `max`."""
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None


def _statistics(path: Path) -> dict[str, int]:
    """All numbers of a file by their names; none where there is no such file."""
    try:
        words = [line.split() for line in path.read_text().splitlines()]
    except OSError:
        return {}
    return {pair[0]: int(pair[1]) for pair in words if len(pair) == 2 and pair[1].isdecimal()}
