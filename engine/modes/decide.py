"""The mode of a model that is about to be loaded, from what was asked for and what is free."""

from __future__ import annotations

import psutil
import torch

from engine.checkpoint.model_files import ModelFiles
from engine.errors import EngineError
from engine.modes.choose import choose_mode, require_fit
from engine.modes.place import free_bytes
from engine.modes.size import model_bytes
from engine.protocol.modes import MODES, OFFLOADED, Mode, ModeChoice, moves_unet
from engine.protocol.reports import BackupChoice


def decide_mode(
    choice: ModeChoice,
    files: ModelFiles,
    device: str,
    dtype: torch.dtype,
    *,
    vae_dtype: torch.dtype = torch.float32,
    stays: bool = False,
) -> Mode:
    """The mode asked for, or the fastest that fits beside what else is on the device now.

    `stays`: the UNet is not to be moved. Only headers were read. Raises `EngineError` with numbers
    when the weights do not fit.
    """
    model = model_bytes(files, dtype, mapped=device == "cpu", vae_dtype=vae_dtype)
    free = free_bytes(device)
    # Only a GPU with memory of its own gains by weights that rest in main memory.
    has_own = device.startswith("cuda")
    modes = tuple(
        mode
        for mode in MODES
        if (has_own or not OFFLOADED[mode]) and not (stays and moves_unet(mode))
    )
    mode = choose_mode(free, model, modes) if choice == "auto" else choice
    host = psutil.virtual_memory().available
    require_fit(files.path.name, mode, model, free=free, free_host=host, device=device, modes=modes)
    return mode


def require_backup(mode: ModeChoice, backup: BackupChoice) -> None:
    """Raise `EngineError` for backups on a device that does not even hold the weights."""
    if moves_unet(mode) and backup == "device":
        raise EngineError(
            f"In the mode {mode} the weights rest in main memory, and so do their backups: choose "
            "cpu, file or auto for them."
        )
