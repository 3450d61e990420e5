"""Where the system ends processes at the logout, that is said."""

from __future__ import annotations

import getpass
from pathlib import Path

import pytest

from engine.host.logout import logout_warning


def write(root: Path, name: str, value: str) -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"[Login]\n#KillUserProcesses=no\n{value}\n")


@pytest.mark.parametrize(
    ("files", "warns"),
    [
        ({}, False),
        ({"etc/systemd/logind.conf": ""}, False),
        ({"etc/systemd/logind.conf": "KillUserProcesses=yes"}, True),
        ({"etc/systemd/logind.conf": "KillUserProcesses = no"}, False),
        ({"usr/lib/systemd/logind.conf": "KillUserProcesses=yes"}, True),
        (
            {
                "usr/lib/systemd/logind.conf": "KillUserProcesses=yes",
                "etc/systemd/logind.conf": "",
            },
            False,
        ),
        (
            {
                "etc/systemd/logind.conf": "KillUserProcesses=yes",
                "usr/lib/systemd/logind.conf.d/10-keep.conf": "KillUserProcesses=no",
            },
            False,
        ),
        (
            {
                "etc/systemd/logind.conf.d/10-a.conf": "KillUserProcesses=true",
                "etc/systemd/logind.conf.d/20-b.conf": "",
            },
            True,
        ),
    ],
)
def test_what_logind_is_set_to(tmp_path: Path, files: dict[str, str], warns: bool) -> None:
    for name, value in files.items():
        write(tmp_path, name, value)
    warning = logout_warning(tmp_path)
    assert (warning is not None) == warns
    if warning:
        assert "loginctl enable-linger" in warning


def test_users_that_linger_are_not_warned(tmp_path: Path) -> None:
    write(tmp_path, "etc/systemd/logind.conf", "KillUserProcesses=yes")
    (tmp_path / "var/lib/systemd/linger").mkdir(parents=True)
    (tmp_path / "var/lib/systemd/linger" / getpass.getuser()).touch()
    assert logout_warning(tmp_path) is None
