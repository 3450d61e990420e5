"""Which kind of file system a path is on, by the system's own table of mounts."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from pathlib import Path

_TABLE = Path("/proc/self/mounts")
_NETWORK = frozenset((
    "9p", "acfs", "afpfs", "afs", "beegfs", "ceph", "cifs", "coda", "drvfs", "glusterfs",
    "gpfs", "lustre", "ncpfs", "nfs", "nfs4", "ocfs2", "orangefs", "panfs", "prl_fs",
    "pvfs2", "smb2", "smb3", "smbfs", "vboxsf", "virtiofs", "vmhgfs", "webdav",
))  # fmt: skip
_LOCAL_FUSE = frozenset(("fuse.ext2", "fuse.fuse-overlayfs", "fuse.ntfs-3g"))


def file_system_of(path: Path) -> str:
    """The kind of file system, such as `ext4`, `nfs4` or `fuse.sshfs`; empty where none is told.

    The path itself need not be there yet.
    """
    if not sys.platform.startswith("linux"):
        return _by_psutil(path)
    try:
        table = _TABLE.read_bytes()
    except OSError:
        return ""
    # A mount point has its blanks and backslashes written as octal numbers.
    rows = [line.split(b" ") for line in table.splitlines()]
    return _kind_at(path, ((_plain(row[1]), os.fsdecode(row[2])) for row in rows if len(row) > 2))


def is_on_network(path: Path) -> bool:
    """Whether others than this machine may write there, so that neither memory shared between
    processes nor the system's notices of changes can be relied upon."""
    kind = file_system_of(path)
    return kind in _NETWORK or (kind.startswith("fuse.") and kind not in _LOCAL_FUSE)


def _kind_at(path: Path, mounts: Iterable[tuple[str, str]]) -> str:
    """The kind of the innermost mount that has the path; of two at one place the later counts."""
    place, best, kind = os.path.realpath(path), -1, ""
    for point, its_kind in mounts:
        inside = point.rstrip("/") + "/"
        if (place + "/").startswith(inside) and len(inside) >= best:
            best, kind = len(inside), its_kind
    return kind


def _plain(point: bytes) -> str:
    for code, char in ((b"\\040", b" "), (b"\\011", b"\t"), (b"\\012", b"\n"), (b"\\134", b"\\")):
        point = point.replace(code, char)
    return os.fsdecode(point)


def _by_psutil(path: Path) -> str:
    import psutil

    partitions = psutil.disk_partitions(all=True)
    return _kind_at(path, ((part.mountpoint, part.fstype) for part in partitions))
