"""Own config, state and cache folders for each test, and small LoRA files."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pytest
from safetensors.numpy import save_file

from benchmarks.hosts import end_hosts
from engine.host.runtime import FOLDER_VARIABLE, place_of
from engine.protocol.commands import Load
from tests.host.conftest import RunningHost

SDXL_KEY = "lora_unet_input_blocks_4_1_transformer_blocks_0_attn2_to_k"
SD15_KEY = "lora_unet_down_blocks_1_attentions_0_transformer_blocks_0_attn2_to_k"


class WriteLora(Protocol):
    """Writes a LoRA of one module at a path."""

    def __call__(self, path: Path, *, sdxl: bool = True, **metadata: str) -> Path: ...


@pytest.fixture(autouse=True)
def runtime(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder for the sockets of this test's hosts, none of which outlives it."""
    # Not below pytest's: the path of a socket must be short.
    folder = Path(tempfile.mkdtemp(prefix="ls-", dir="/tmp"))
    monkeypatch.setenv(FOLDER_VARIABLE, str(folder))
    yield folder
    end_hosts(folder)
    shutil.rmtree(folder)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The home folder; also the one the command is started in."""
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setenv("HOME", str(folder))
    for name in ("CONFIG", "STATE", "CACHE", "DATA"):
        monkeypatch.setenv(f"XDG_{name}_HOME", str(tmp_path / name.lower()))
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def host(runtime: Path, tiny_checkpoint: Path, tmp_path: Path) -> Iterator[RunningHost]:
    """A host in this process, with the tiny model on its way."""
    running = RunningHost(place_of(), tmp_path / "host.json")
    running.host.session.send(Load(tiny_checkpoint, device="cpu"))
    yield running
    if running.place.is_alive():
        running.stop()


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """Where the config file lies; there is none yet."""
    folder = tmp_path / "config" / "loraswitch"
    folder.mkdir(parents=True)
    return folder / "config.toml"


@pytest.fixture
def write_lora() -> WriteLora:
    def write(path: Path, *, sdxl: bool = True, **metadata: str) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        key, width = (SDXL_KEY, 2048) if sdxl else (SD15_KEY, 768)
        tensors = {
            f"{key}.lora_down.weight": np.ones((4, width), np.float16),
            f"{key}.lora_up.weight": np.ones((640, 4), np.float16),
            f"{key}.alpha": np.array(2, np.float16),
        }
        save_file(tensors, path, metadata or None)
        return path

    return write


@pytest.fixture
def loras(home: Path, write_lora: WriteLora) -> Path:
    """Nested folders with a name that occurs twice, one for SD 1.5, and a truncated file."""
    folder = home / "loras"
    trigger = {"modelspec.trigger_phrase": "neon glow, night city"}
    neon = write_lora(folder / "styles/neon.safetensors", **trigger)
    write_lora(folder / "styles/ink.safetensors")
    write_lora(folder / "people/ink.safetensors")
    write_lora(folder / "Aya.safetensors")
    write_lora(folder / "old.safetensors", sdxl=False)
    (folder / "broken.safetensors").write_bytes(neon.read_bytes()[:3000])
    return folder


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """The loads of a model in this process."""
    from engine.session.worker import Worker

    seen: list[object] = []
    load = Worker.load

    def watched(self: Worker, command: Any, *rest: Any) -> None:
        seen.append(command)
        load(self, command, *rest)

    monkeypatch.setattr(Worker, "load", watched)
    return seen
