"""When even the way back fails: the state is `recovering`, and later the base is exact again."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from engine.checkpoint import open_checkpoint
from engine.errors import SwitchError
from engine.switch import base as base_module
from engine.switch import merge as merge_module
from engine.switch import tier as tier_module
from engine.switch.backup import Backups
from engine.switch.switcher import LoraSwitcher
from tests.switch.conftest import Loaded


def test_a_way_back_that_fails_is_tried_again(
    loaded: Loaded, monkeypatch: pytest.MonkeyPatch
) -> None:
    switcher = loaded.switcher
    switcher.apply([loaded.ref("neon")])

    def broken(*_: object) -> torch.Tensor:
        raise RuntimeError("the bus is down")

    monkeypatch.setattr(Backups, "get", broken)
    for _ in range(2):
        with pytest.raises(SwitchError, match=r"could not be brought back yet .the bus is down"):
            switcher.apply([loaded.ref("styles/ink")])
        assert (switcher.state, switcher.stack) == ("recovering", ())
    monkeypatch.undo()
    switcher.apply([])
    assert (switcher.state, loaded.differing()) == ("base", [])


def test_backups_that_are_damaged_are_said_and_not_taken_for_the_base(
    loaded: Loaded, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded.switcher.apply([loaded.ref("neon")])

    def damaged(live: torch.Tensor, *_: object) -> None:
        for copy in loaded.switcher._base._backups._saved.values():
            assert copy is not None
            copy.view(torch.uint8).view(-1)[0] ^= 1
        raise RuntimeError("no")

    monkeypatch.setattr(merge_module, "merge_weight", damaged)
    with pytest.raises(SwitchError, match=r"weights could not be brought back .*load the model"):
        loaded.switcher.apply([loaded.ref("styles/ink")])
    assert loaded.switcher.state == "recovering"


def test_a_reused_idle_backup_is_the_base(loaded: Loaded) -> None:
    switcher = LoraSwitcher(**loaded.parts, idle_backup_bytes=1 << 30)
    switcher.apply([loaded.ref("neon")])
    held = switcher.backup_bytes
    switcher.apply([])
    assert (switcher.backup_bytes, loaded.differing()) == (held, [])
    switcher.apply([loaded.ref("neon", -0.5)])
    assert switcher.backup_bytes == held
    switcher.apply([])
    assert (loaded.differing(), switcher.verify().different) == ([], ())


def test_idle_backups_are_bounded_and_give_way(
    loaded: Loaded, monkeypatch: pytest.MonkeyPatch
) -> None:
    switcher = LoraSwitcher(**loaded.parts, idle_backup_bytes=1000)
    switcher.apply([loaded.ref("neon", 1.0, 0.0)])
    switcher.apply([])
    assert 0 < switcher.backup_bytes <= 1000
    asked: list[int] = []

    def short(*_: object) -> None:
        asked.append(switcher.backup_bytes)
        if asked[-1]:
            raise SwitchError("full")

    monkeypatch.setattr(base_module, "require_memory", short)
    switcher.apply([loaded.ref("neon", 0.0, 1.0)])
    assert asked[-1] == 0
    monkeypatch.undo()
    switcher.apply([])
    assert (loaded.differing(), switcher.verify().different) == ([], ())


def test_idle_backups_that_are_needed_again_do_not_make_room(
    loaded: Loaded, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A weight merged without a backup could not be brought back."""
    switcher = LoraSwitcher(**loaded.parts, idle_backup_bytes=1 << 30)
    switcher.apply([loaded.ref("neon", 1.0, 0.0)])
    switcher.apply([])
    asked: list[int] = []

    def short_at_first(*_: object) -> None:
        asked.append(switcher.backup_bytes)
        if len(asked) == 1:
            raise SwitchError("full")

    monkeypatch.setattr(base_module, "require_memory", short_at_first)
    switcher.apply([loaded.ref("neon"), loaded.ref("styles/ink")])
    switcher.apply([])
    assert len(asked) > 1
    assert (loaded.differing(), switcher.verify().different) == ([], ())


class InFile:
    """The tiny model with its file as the backup, in a folder of its own."""

    def __init__(self, checkpoint: Path, folder: Path) -> None:
        self.path = folder / "model" / checkpoint.name
        shutil.copytree(checkpoint.parent, self.path.parent)
        # Loaded as another dtype: the weights are not the mapped file itself.
        model = open_checkpoint(self.path, device="cpu", dtype=torch.float32)
        pipe = model.pipeline
        assert model.source is not None
        self.source = model.source
        self.unet = pipe.unet
        self.switcher = LoraSwitcher(
            pipe.unet, pipe.text_encoder, pipe.text_encoder_2, backup="file", source=model.source
        )
        self.base = {name: p.clone() for name, p in pipe.unet.named_parameters()}

    def differing(self) -> list[str]:
        return [n for n, p in self.unet.named_parameters() if not torch.equal(p, self.base[n])]


@pytest.fixture
def in_file(tiny_checkpoint: Path, tmp_path: Path) -> InFile:
    return InFile(tiny_checkpoint, tmp_path)


def test_a_file_that_is_only_touched_is_still_the_base(in_file: InFile, loaded: Loaded) -> None:
    in_file.switcher.apply([loaded.ref("neon", 0.8)])
    os.utime(in_file.path)
    in_file.switcher.apply([loaded.ref("neon", 0.9)])
    os.utime(in_file.path, (0, 0))
    in_file.switcher.apply([])
    assert (in_file.switcher.state, in_file.differing()) == ("base", [])


@pytest.mark.parametrize("stack", [0.9, None])
def test_a_file_that_was_overwritten_is_noticed_before_anything_is_touched(
    in_file: InFile, loaded: Loaded, stack: float | None
) -> None:
    in_file.switcher.apply([loaded.ref("neon", 0.8)])
    before = {name: p.clone() for name, p in in_file.unet.named_parameters()}
    stat = in_file.path.stat()
    with in_file.path.open("r+b") as file:
        file.seek(-(stat.st_size // 2), os.SEEK_END)
        file.write(bytes(stat.st_size // 2))
    # As old and as long as before.
    os.utime(in_file.path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    with pytest.raises(SwitchError, match="does not hold the base weight"):
        in_file.switcher.apply([] if stack is None else [loaded.ref("neon", stack)])
    assert in_file.switcher.stack == (loaded.ref("neon", 0.8),)
    assert all(torch.equal(p, before[name]) for name, p in in_file.unet.named_parameters())
    with pytest.raises(SwitchError, match="does not hold the base weight"):
        in_file.switcher.set_backup("cpu")


def test_what_was_proven_of_a_file_counts_for_that_file_alone(
    in_file: InFile, loaded: Loaded
) -> None:
    """A move to the file that is refused half-way proves nothing of what the file holds later."""
    switcher = in_file.switcher
    switcher.set_backup("cpu")
    switcher.apply([loaded.ref("neon")])
    whole = in_file.path.read_bytes()
    backups = switcher._base._backups
    first, *_, last = backups.names()
    for name in (last, first):
        place = in_file.source._places[name.part][name.parameter]
        data = bytearray(whole)
        start, end = place.range
        data[start:end] = bytes(end - start)
        with in_file.path.open("r+b") as file:
            file.write(data)
        with pytest.raises(SwitchError, match=f"does not hold the base weight {name} "):
            switcher.set_backup("file")
    with in_file.path.open("r+b") as file:
        file.write(whole)
    switcher.set_backup("file")
    switcher.apply([])
    assert in_file.differing() == []


def test_pages_of_the_file_that_a_switch_would_write_must_fit_into_memory(
    tiny_checkpoint: Path, loaded: Loaded, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A model mapped from its file takes memory only when it is written to."""
    model = open_checkpoint(tiny_checkpoint, device="cpu", dtype=torch.float16)
    pipe = model.pipeline
    switcher = LoraSwitcher(
        pipe.unet, pipe.text_encoder, pipe.text_encoder_2, backup="file", source=model.source
    )

    def free(count: int) -> None:
        memory = SimpleNamespace(available=count)
        monkeypatch.setattr(tier_module.psutil, "virtual_memory", lambda: memory)

    touched = loaded.switcher.apply([loaded.ref("neon")]).bytes_written
    free(touched - 1)
    with pytest.raises(SwitchError, match="Changed weights"):
        switcher.apply([loaded.ref("neon")])
    assert switcher.state == "base"
    free(touched)
    switcher.apply([loaded.ref("neon")])
    free(0)
    switcher.apply([loaded.ref("neon", 0.5)])
    assert switcher.state == "stack", "what was written once is memory already"


def test_weights_that_were_moved_out_of_the_file_are_no_pages_any_more(
    tiny_checkpoint: Path, loaded: Loaded, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when a mode moves them to a GPU and back: they take no memory a second time."""
    model = open_checkpoint(tiny_checkpoint, device="cpu", dtype=torch.float16)
    pipe = model.pipeline
    switcher = LoraSwitcher(
        pipe.unet, pipe.text_encoder, pipe.text_encoder_2, backup="file", source=model.source
    )
    for module in (pipe.unet, pipe.text_encoder, pipe.text_encoder_2):
        for parameter in module.parameters():
            parameter.data = parameter.data.clone()
    touched = loaded.switcher.apply([loaded.ref("neon")]).bytes_written
    memory = SimpleNamespace(available=touched - 1)
    monkeypatch.setattr(tier_module.psutil, "virtual_memory", lambda: memory)
    switcher.apply([loaded.ref("neon")])
    assert switcher.state == "stack"
    switcher.apply([])
    assert not switcher.verify().different
