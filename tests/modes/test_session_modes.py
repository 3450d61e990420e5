"""Modes through the engine's session: asked for, chosen, shown, refused."""

from __future__ import annotations

import queue
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest
import torch

from engine.checkpoint.read import ModelChoice, read_model
from engine.modes import decide
from engine.modes.choose import device_need
from engine.modes.size import model_bytes
from engine.protocol.commands import Draw, Load, SetBackup, SetStack, Verify
from engine.protocol.events import (
    BackupMoved,
    CommandFailed,
    Event,
    GenerationFinished,
    MemoryChanged,
    ModelLoaded,
    Switched,
    Verified,
)
from engine.protocol.modes import MODES, OFFLOADED, Mode, moves_unet
from engine.protocol.refs import LoraRef
from engine.protocol.request import GenerateRequest
from engine.session import Session

E = TypeVar("E")
Ask = Callable[[type[E]], E]


@pytest.fixture
def events() -> queue.Queue[Event]:
    return queue.Queue()


@pytest.fixture
def session(events: queue.Queue[Event]) -> Iterator[Session]:
    session = Session(lambda message: events.put(message.event))
    yield session
    assert session.close(60)


@pytest.fixture
def wait(events: queue.Queue[Event]) -> Ask[object]:
    """The next event of a kind; fails on a failure that was not waited for."""

    def next_of(kind: type[E]) -> E:
        while True:
            event = events.get(timeout=120)
            if isinstance(event, kind):
                return event
            assert not isinstance(event, CommandFailed), event

    return next_of


@pytest.mark.parametrize("mode", MODES)
def test_every_mode_switches_draws_and_comes_back(
    session: Session,
    wait: Ask[object],
    tiny_checkpoint: Path,
    tiny_loras: Path,
    tmp_path: Path,
    mode: Mode,
) -> None:
    session.send(Load(tiny_checkpoint, mode=mode))
    assert wait(ModelLoaded).model.mode == mode
    memory = wait(MemoryChanged).memory
    assert (memory.model_offloaded > 0) == bool(OFFLOADED[mode])
    assert (memory.model_offloaded == memory.model) == (mode == "model-offload")
    session.send(SetStack((LoraRef(tiny_loras / "neon.safetensors"),)))
    assert wait(Switched).report.merged > 0
    session.send(Draw(GenerateRequest("a fox", tmp_path, steps=1, width=64, height=64)))
    assert len(wait(GenerationFinished).pictures) == 1
    session.send(SetStack())
    wait(Switched)
    session.send(Verify())
    assert not wait(Verified).report.different
    session.send(SetBackup("device"))
    if moves_unet(mode):
        assert memory.backup_tier == "cpu"
        assert f"In the mode {mode} the weights rest in main memory" in wait(CommandFailed).message
    else:
        wait(BackupMoved)


def test_what_is_free_decides_and_refuses(
    session: Session,
    wait: Ask[object],
    tiny_checkpoint: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    free = 1 << 40
    monkeypatch.setattr(decide, "free_bytes", lambda device: free)
    session.send(Load(tiny_checkpoint))
    assert wait(ModelLoaded).model.mode == "resident"
    free = 1 << 10
    session.send(Load(tiny_checkpoint))
    failed = wait(CommandFailed)
    assert "tiny.safetensors takes 0.0 GiB of cpu in the mode tiled" in failed.message
    assert not failed.unexpected


@pytest.mark.parametrize(("vae_dtype", "mode"), [("bfloat16", "resident"), ("float32", "tiled")])
def test_room_for_a_vae_in_half_precision_is_not_room_for_one_in_float32(
    session: Session,
    wait: Ask[object],
    tiny_checkpoint: Path,
    monkeypatch: pytest.MonkeyPatch,
    vae_dtype: str,
    mode: Mode,
) -> None:
    files = read_model(ModelChoice(tiny_checkpoint), half=True)
    half = model_bytes(files, torch.float16, mapped=True, vae_dtype=torch.bfloat16)
    free = device_need("resident", half)
    monkeypatch.setattr(decide, "free_bytes", lambda device: free)
    session.send(Load(tiny_checkpoint, "cpu", "float16", vae_dtype=vae_dtype))
    assert wait(ModelLoaded).model.mode == mode


def test_backups_on_a_device_without_the_weights_are_refused(
    session: Session, wait: Ask[object], tiny_checkpoint: Path
) -> None:
    session.send(Load(tiny_checkpoint, backup="device", mode="group-offload"))
    assert "choose cpu, file or auto" in wait(CommandFailed).message


def test_only_weights_that_stay_are_compiled(
    session: Session, wait: Ask[object], tiny_checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    session.send(Load(tiny_checkpoint, mode="model-offload", compiled=True))
    assert "compiled code does not follow" in wait(CommandFailed).message
    session.send(Load(tiny_checkpoint, compiled=True))
    assert wait(ModelLoaded).model.mode == "resident"
