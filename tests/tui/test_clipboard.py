"""Copies in tmux, which keeps what programs copy to itself."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tui_loraswitch.images import tmux


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A tmux of its own, as this program would be run in."""
    if shutil.which("tmux") is None:
        pytest.skip("tmux is not installed")
    monkeypatch.setenv("TMUX_TMPDIR", str(tmp_path))
    monkeypatch.delenv("TMUX", raising=False)
    ask = ["tmux", "-f", "/dev/null", "new-session", "-dP", "-F", "#{socket_path}", "cat"]
    socket = subprocess.run(ask, capture_output=True, text=True, check=True).stdout.strip()
    monkeypatch.setenv("TMUX", f"{socket},1,0")
    yield
    subprocess.run(["tmux", "kill-server"], check=True)


async def test_what_is_copied_is_in_tmuxs_buffer(start, server):
    async with start() as driver:
        driver.app.copy_to_clipboard("a fox\nSteps: 28 · ünïcode")

        def pasted() -> str:
            shown = subprocess.run(["tmux", "show-buffer"], capture_output=True, check=False)
            return shown.stdout.decode()

        await driver.until(lambda: pasted() == "a fox\nSteps: 28 · ünïcode")


def test_without_tmux_nothing_is_amiss(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    tmux.copy("a fox")
