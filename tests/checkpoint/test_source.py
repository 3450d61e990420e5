"""Reading base weights again from the model's files: the same bits, or a refusal."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from engine.checkpoint import Checkpoint, open_checkpoint
from engine.checkpoint.source import WeightFile
from engine.errors import CheckpointError
from engine.sdxl.layout import PARTS

FUSED = "text_model.encoder.layers.1.self_attn.k_proj.weight"


def open_copy(checkpoint: Path, folder: Path, dtype: torch.dtype = torch.float32) -> Checkpoint:
    copy = folder / checkpoint.name
    shutil.copyfile(checkpoint, copy)
    shutil.copytree(checkpoint.parent / "tokenizer", folder / "tokenizer")
    return open_checkpoint(copy, device="cpu", dtype=dtype)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_every_weight_reads_the_same_bits_again_however_the_live_ones_change(
    tiny_checkpoint: Path, dtype: torch.dtype
) -> None:
    model = open_checkpoint(tiny_checkpoint, device="cpu", dtype=dtype)
    assert model.source is not None
    for part in PARTS:
        for name, live in model.modules[part].named_parameters():
            loaded = live.detach().clone()
            live.data.fill_(7)
            again = model.source.read(part, name)
            assert again.dtype == live.dtype, name
            assert again.is_contiguous(), name
            assert torch.equal(again, loaded), f"{part}.{name}"
            # Fresh memory: writing into it changes neither the model nor the next reading.
            again.zero_()
            assert torch.equal(model.source.read(part, name), loaded)


def test_a_third_of_a_fused_tensor_reads_only_its_bytes(
    tiny_checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = open_checkpoint(tiny_checkpoint, device="cpu", dtype=torch.float32)
    assert model.source is not None
    (file,) = model.source.files()
    read: list[int] = []
    inner = type(file).read_into

    def counting(self: WeightFile, buffer: torch.Tensor, start: int) -> None:
        read.append(buffer.nbytes)
        inner(self, buffer, start)

    monkeypatch.setattr(type(file), "read_into", counting)
    weight = model.source.read("text_encoder_2", FUSED)
    assert read == [2 * weight.numel()]


def test_an_unknown_parameter_is_a_key_error(tiny_checkpoint: Path) -> None:
    source = open_checkpoint(tiny_checkpoint, device="cpu", dtype=torch.float32).source
    assert source is not None
    for part, name in (("unet", "conv_in.weights"), ("nothing", "conv_in.weight")):
        with pytest.raises(KeyError):
            source.read(part, name)


def append_byte(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"\0")


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 1)


def replace_with_a_copy(path: Path) -> None:
    """Another inode of the same size, as old as the first."""
    before = path.stat()
    copy = path.with_name("copy")
    shutil.copyfile(path, copy)
    os.utime(copy, ns=(before.st_atime_ns, before.st_mtime_ns))
    copy.replace(path)


def rewrite(path: Path) -> None:
    """The same size in the same place, but later."""
    before = path.stat()
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns + 1_000_000_000))


@pytest.mark.parametrize("change", [replace_with_a_copy, Path.unlink])
def test_a_file_that_is_gone_or_replaced_is_read_as_it_was(
    tiny_checkpoint: Path, tmp_path: Path, change: Callable[[Path], None]
) -> None:
    model = open_copy(tiny_checkpoint, tmp_path)
    assert model.source is not None
    before = model.pipeline.unet.get_parameter("conv_in.weight").clone()
    change(model.path)
    assert torch.equal(model.source.read("unet", "conv_in.weight"), before)
    with pytest.raises(CheckpointError, match=r"tiny\.safetensors.*load the model anew"):
        model.source.require_unchanged()


@pytest.mark.parametrize("change", [append_byte, cut, rewrite])
def test_a_changed_file_has_another_version(
    tiny_checkpoint: Path, tmp_path: Path, change: Callable[[Path], None]
) -> None:
    model = open_copy(tiny_checkpoint, tmp_path)
    assert model.source is not None
    model.source.require_unchanged()
    before = model.source.version()
    assert model.source.version() == before
    change(model.path)
    assert model.source.version() != before
    with pytest.raises(CheckpointError, match=r"tiny\.safetensors.*load the model anew"):
        model.source.require_unchanged()


def test_a_file_that_has_become_too_short_cannot_be_read(
    tiny_checkpoint: Path, tmp_path: Path
) -> None:
    model = open_copy(tiny_checkpoint, tmp_path)
    assert model.source is not None
    os.truncate(model.path, 5000)
    with pytest.raises(CheckpointError, match=r"tiny\.safetensors.*load the model anew"):
        model.source.read("unet", "conv_out.weight")


def test_a_file_that_changes_while_it_is_loaded_is_refused(
    tiny_checkpoint: Path, tmp_path: Path
) -> None:
    copy = tmp_path / tiny_checkpoint.name
    shutil.copyfile(tiny_checkpoint, copy)
    shutil.copytree(tiny_checkpoint.parent / "tokenizer", tmp_path / "tokenizer")
    for dtype in (torch.float16, torch.float32):
        with pytest.raises(CheckpointError, match="changed"):
            open_checkpoint(
                copy,
                device="cpu",
                dtype=dtype,
                progress=lambda done, total: rewrite(copy) if done == total else None,
            )


def test_reading_into_a_tensor_gives_what_reading_gives(tiny_checkpoint: Path) -> None:
    """Plain and fused, in the file's dtype and converted, with and without gaps."""
    for dtype in (torch.float16, torch.float32):
        model = open_checkpoint(tiny_checkpoint, device="cpu", dtype=dtype)
        assert model.source is not None
        for part in PARTS:
            for name, live in model.modules[part].named_parameters():
                expected = model.source.read(part, name)
                target = torch.zeros_like(expected)
                model.source.read_into(part, name, target)
                gaps = torch.zeros(*live.shape, 2, dtype=expected.dtype)[..., 0]
                model.source.read_into(part, name, gaps)
                assert torch.equal(target, expected), name
                assert torch.equal(gaps, expected), name
