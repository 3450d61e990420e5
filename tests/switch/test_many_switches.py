"""A thousand switches through every format, tier and kind of fault leave the base exact."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from engine.block_weights import BLOCKS
from engine.checkpoint import open_checkpoint
from engine.errors import EngineError
from engine.host_memory import HostMemory
from engine.lora import file as lora_file
from engine.lora.cache import LoraCache
from engine.refs import LoraRef
from engine.switch import merge as merge_module
from engine.switch.backup import Backups
from engine.switch.switcher import LoraSwitcher
from tests.support.all_formats import write_all_formats

SWITCHES = 1000
TIERS = ("device", "cpu", "file")


class Model:
    """The tiny checkpoint, loaded, with a switcher that keeps few LoRAs in memory."""

    def __init__(self, path: Path, dtype: torch.dtype) -> None:
        checkpoint = open_checkpoint(path, device="cpu", dtype=dtype)
        names = ("unet", "text_encoder", "text_encoder_2")
        self.parts = {name: getattr(checkpoint.pipeline, name) for name in names}
        self.switcher = LoraSwitcher(
            **self.parts, cache=LoraCache(100_000), source=checkpoint.source
        )

    def digest(self) -> str:
        """A hash of every bit of every weight."""
        summary = hashlib.sha256()
        for module in self.parts.values():
            for parameter in module.parameters():
                raw = parameter.detach().contiguous().flatten().view(torch.uint8)
                summary.update(raw.numpy().tobytes())
        return summary.hexdigest()


@pytest.fixture(scope="module")
def library(tiny_checkpoint: Path, tiny_loras: Path, tmp_path_factory: pytest.TempPathFactory):
    """Files of every family that fit the tiny checkpoint, and three for the text encoders too."""
    folder = tmp_path_factory.mktemp("formats")
    unet = open_checkpoint(tiny_checkpoint, device="cpu", dtype=torch.float32).pipeline.unet
    return [*write_all_formats(folder, unet), *tiny_loras.rglob("*.safetensors")]


def random_stack(chance: random.Random, library: list[Path]) -> list[LoraRef]:
    """None to four LoRAs at strengths of either sign, some with block weights."""
    stack = []
    for path in chance.sample(library, chance.randint(0, 4)):
        ref = LoraRef(path, chance.choice((1.0, 0.0, chance.uniform(-1.5, 1.5))), 0.7)
        if chance.random() < 0.3:
            blocks = tuple((name, chance.choice((0.0, 0.5))) for name in BLOCKS[::3])
            ref = replace(ref, blocks=blocks)
        stack.append(ref)
    return stack


@contextmanager
def fault(
    chance: random.Random, monkeypatch: pytest.MonkeyPatch, stack: list[LoraRef]
) -> Iterator[Callable[[], bool]]:
    """Let one thing go wrong at a random moment; gives the question whether to cancel."""
    countdown = chance.randint(0, 12)
    kind = chance.choice(("merge", "cancel", "backup", "restore", "read", "vanish", "interrupt"))
    error = chance.choice((RuntimeError("no"), MemoryError(), torch.OutOfMemoryError("full")))
    if kind == "interrupt":
        error = KeyboardInterrupt()

    def due() -> bool:
        nonlocal countdown
        countdown -= 1
        return countdown < 0

    def once(owner: object, name: str, spoil: Callable[..., None] = lambda *_: None) -> None:
        real = getattr(owner, name)

        def failing(*arguments: object) -> object:
            if due():
                monkeypatch.setattr(owner, name, real)
                spoil(*arguments)
                raise error
            return real(*arguments)

        monkeypatch.setattr(owner, name, failing)

    hidden = None
    if kind in ("merge", "interrupt"):
        once(merge_module, "merge_weight", lambda live, *_: live.fill_(7.0))
    elif kind == "backup":
        once(HostMemory, "like")
    elif kind == "restore":
        once(Backups, "get")
    elif kind == "read":
        monkeypatch.setattr(lora_file.FileStamp, "of", _another_version(lora_file.FileStamp.of))
    elif kind == "vanish" and stack:
        path = Path(chance.choice(stack).path)
        hidden = path.rename(path.with_suffix(".gone"))
    try:
        yield due if kind == "cancel" else lambda: False
    finally:
        monkeypatch.undo()
        if hidden is not None:
            hidden.rename(hidden.with_suffix(".safetensors"))


def _another_version(real: Callable[[Path], lora_file.FileStamp]) -> Callable[..., object]:
    """Stamps that differ each time: every file changes while it is read."""
    count = 0

    def changing(path: Path) -> lora_file.FileStamp:
        nonlocal count
        count += 1
        return real(path)._replace(mtime_ns=count)

    return changing


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_a_thousand_switches_with_faults(
    dtype: torch.dtype,
    tiny_checkpoint: Path,
    library: list[Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    chance = random.Random(5)
    stacks = [random_stack(chance, library) for _ in range(SWITCHES // 20)]
    model, fresh = Model(tiny_checkpoint, dtype), Model(tiny_checkpoint, dtype)
    base = model.digest()
    expected: dict[int, str] = {}
    faults = 0
    for _ in range(SWITCHES // 2):
        number = chance.randrange(len(stacks))
        stack = chance.sample(stacks[number], len(stacks[number]))
        before, before_digest = model.switcher.stack, model.digest()
        if chance.random() < 0.3:
            model.switcher.set_backup(chance.choice(TIERS))
            assert model.digest() == before_digest
        try:
            if chance.random() < 0.2:
                with fault(chance, monkeypatch, stack) as cancelled:
                    model.switcher.apply(stack, cancelled)
            else:
                model.switcher.apply(stack)
        except (EngineError, KeyboardInterrupt):
            faults += 1
            assert model.switcher.state != "recovering"
            assert model.switcher.stack in ((), before)
            assert model.digest() == (before_digest if model.switcher.stack else base)
        else:
            if number not in expected:
                # By the shortest road, on a model that never saw a fault.
                fresh.switcher.apply([])
                assert fresh.digest() == base
                fresh.switcher.apply(stacks[number])
                expected[number] = fresh.digest()
            assert model.digest() == expected[number]
            assert set(model.switcher.stack) == set(stack)
    assert faults > SWITCHES / 2 * 0.05
    model.switcher.apply([])
    assert model.digest() == base
    assert (model.switcher.backup_bytes, model.switcher.verify().different) == (0, ())


def test_every_format_is_in_the_library(library: list[Path]) -> None:
    assert len(library) >= 45
    assert all(load_file(path) for path in library)
