"""Whether the system ends a user's processes at the last logout, the host among them."""

from __future__ import annotations

import getpass
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path("/")
_FOLDERS = ("usr/lib/systemd", "usr/local/lib/systemd", "run/systemd", "etc/systemd")
"""From the weakest to the strongest: https://www.freedesktop.org/software/systemd/man/logind.conf.html"""
_SETTING = re.compile(r"^\s*KillUserProcesses\s*=\s*(\w+)", re.MULTILINE)
_LARGEST = 100_000


def logout_warning(root: Path = ROOT) -> str | None:
    """What happens to a host at the logout and what helps; None where it lives on."""
    if not _kills(root) or (root / "var/lib/systemd/linger" / getpass.getuser()).exists():
        return None
    return (
        "This system ends your processes when you log out, the engine too (KillUserProcesses); "
        "loginctl enable-linger keeps them."
    )


def _kills(root: Path) -> bool:
    found = [value for text in _texts(root) for value in _SETTING.findall(text)]
    return bool(found) and found[-1].lower() in ("yes", "true", "on", "1")


def _texts(root: Path) -> Iterator[str]:
    """logind's main file and what is added to it, in the order in which it reads them."""
    main = [root / folder / "logind.conf" for folder in _FOLDERS]
    added = {
        path.name: path
        for folder in _FOLDERS
        for path in (root / folder / "logind.conf.d").glob("*.conf")
    }
    present = [path for path in main if path.is_file()][-1:]
    for path in (*present, *(added[name] for name in sorted(added))):
        try:
            with path.open(encoding="utf-8", errors="replace") as file:
                yield file.read(_LARGEST)
        except OSError:
            continue  # What cannot be read is not warned of.
