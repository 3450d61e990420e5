"""Open a model as a command says, in steps that can be told and stopped."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable
from pathlib import Path

import torch

from engine.checkpoint import CheckpointPlan, plan_checkpoint
from engine.demo import DEMO_MODEL
from engine.device import choose_device, choose_dtype, choose_vae_dtype
from engine.errors import CancelledError, CheckpointError, EngineError
from engine.host_memory import is_out_of_memory
from engine.library.hash_store import HashStore
from engine.modes.decide import decide_mode, require_backup
from engine.modes.graph import graph_unet, require_graphs
from engine.modes.place import load_device, place, visitors
from engine.protocol.commands import Load
from engine.protocol.events import LoadProgress
from engine.protocol.modes import moves_unet
from engine.sdxl.prediction import Prediction
from engine.session.identity import decoder_fingerprint, model_fingerprint
from engine.session.opened import OpenedModel
from engine.switch.grouped import warm_up
from engine.switch.switcher import LoraSwitcher

log = logging.getLogger(__name__)

_PROGRESS_SECONDS = 0.1
"""A model has thousands of tensors; nobody reads a number more often than this."""


def open_model(
    command: Load,
    tell: Callable[[LoadProgress], None],
    cancelled: Callable[[], bool],
    unload: Callable[[], None],
    hashes: HashStore,
) -> OpenedModel:
    """Load a checkpoint onto its device, with a switcher.

    `unload` is called once the file is known to be good, before memory is needed; `hashes` begins
    with those of the files. Raises `EngineError`; `CancelledError` when `cancelled` says so.
    """
    path = model_path(command.model)
    vae, parts_from = _whole(command.vae), _whole(command.parts_from)
    device = choose_device(command.device)
    dtype = choose_dtype(command.dtype, device)
    vae_dtype = choose_vae_dtype(command.vae_dtype, dtype, device)

    last_told = -math.inf

    def progress(done: int, total: int) -> None:
        nonlocal last_told
        if cancelled():
            raise CancelledError("The loading was cancelled.")
        now = time.monotonic()
        if done == total or now - last_told >= _PROGRESS_SECONDS:
            last_told = now
            tell(LoadProgress(f"Reading {path.name}", done, total))

    progress(0, 0)
    require_backup(command.mode, command.backup)
    if command.compiled:
        from engine.modes.compiled import require_compilable

        require_compilable(command.mode)
    if command.graphs:
        require_graphs(command.mode, device)
    looked = hashes.look((path, vae))
    plan = _plan(path, vae, parts_from, command.prediction, dtype, vae_dtype)
    # What is refused from here on is for want of memory, which the old model may be taking.
    unload()
    try:
        stays = command.compiled or command.graphs
        mode = decide_mode(
            command.mode, plan.files, device, dtype, vae_dtype=vae_dtype, stays=stays
        )
        require_backup(mode, command.backup)
        checkpoint = plan.load(
            device=load_device(mode, device), visitors=visitors(mode), progress=progress
        )
        # Of what follows nothing can be stopped.
        progress(0, 0)
        pipeline = checkpoint.pipeline
        # Offloading takes the weights apart.
        decoder = decoder_fingerprint(checkpoint)
        place(pipeline, mode, device)
        tell(LoadProgress("Taking fingerprints of the base weights"))
        switcher = LoraSwitcher(
            pipeline.unet,
            pipeline.text_encoder,
            pipeline.text_encoder_2,
            backup=command.backup,
            source=checkpoint.source,
        )
        tell(LoadProgress("Building the kernels that merge LoRAs"))
        notes = () if moves_unet(mode) else warm_up(torch.device(device), dtype)
        if moves_unet(mode) and switcher.tier == "device":
            # Beside the weights, which is main memory here.
            switcher.set_backup("cpu")
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        raise EngineError(f"{path.name} does not fit into the memory of {device}.") from error
    if command.compiled:
        from engine.modes.compiled import compile_unet

        compile_unet(pipeline.unet)
    elif command.graphs:
        graph_unet(pipeline.unet)
    hashes.use(looked)
    hashes.begin(looked)
    where = torch.device(device)
    identity = model_fingerprint(checkpoint, switcher.base_fingerprint, decoder)
    return OpenedModel(
        checkpoint, switcher, where, dtype, mode, identity, vae, plan.files.lender, notes=notes
    )


def model_path(model: Path | None) -> Path:
    """The file or folder of a model; None is the demo."""
    return (model or DEMO_MODEL).expanduser().absolute()


def _whole(path: Path | None) -> Path | None:
    return path.expanduser().absolute() if path else None


def _plan(
    path: Path,
    vae: Path | None,
    parts_from: Path | None,
    prediction: Prediction | None,
    dtype: torch.dtype,
    vae_dtype: torch.dtype,
) -> CheckpointPlan:
    """Raise `EngineError` unless the paths lead to SDXL, also for one that no system can open."""
    try:
        return plan_checkpoint(
            path,
            dtype=dtype,
            vae=vae,
            vae_dtype=vae_dtype,
            parts_from=parts_from,
            prediction=prediction,
        )
    except OSError as error:
        # Asking what a path leads to fails for a name too long, or a closed folder.
        raise CheckpointError(f"{path}: cannot be opened ({error}).") from error
