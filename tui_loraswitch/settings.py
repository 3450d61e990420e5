"""What the command line decides before the app starts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from engine.reports import BackupChoice

ImageSetting = Literal["auto", "kitty", "sixel", "halfcell", "off"]


@dataclass(frozen=True)
class AppSettings:
    """Which model and LoRAs to open, on what, and where results and remembered things go."""

    model: Path | None
    """A checkpoint file or folder; None opens the embedded demo."""
    loras: tuple[Path, ...]
    """Library folders, in the order shown."""
    device: str | None
    """Such as `cuda:0`; None lets the engine choose."""
    dtype: str | None
    output: Path
    """Folder for pictures; created when the first one is saved."""
    image_protocol: ImageSetting
    index_path: Path
    """The library's index: what is known of each file from earlier scans."""
    state_path: Path
    """Prompt, seed and the like of the last time (JSON)."""
    backup: BackupChoice
    models: tuple[Path, ...] = ()
    """Folders of checkpoints to choose from."""
    remembered_model: Path | None = None
    """The model of the last time, also when another is opened; its folder is offered too."""
    config_path: Path | None = None
    """Where a model chosen in the app is remembered; None: nowhere."""
