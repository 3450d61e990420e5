"""What loading costs: parameters that are the mapped file, and no second copy of any other."""

from __future__ import annotations

import hashlib
import struct
import sys
from pathlib import Path

import pytest
import torch

from engine.checkpoint import open_checkpoint
from engine.sdxl.layout import PARTS, parameter_source
from tests.checkpoint.conftest import assert_same, open_float32, weights
from tests.support.tiny_checkpoint import rewrite_checkpoint

Tensors = dict[str, torch.Tensor]


def mapped_ranges(path: Path) -> list[range]:
    """The address ranges at which this process has the file mapped."""
    ranges = []
    for line in Path("/proc/self/maps").read_text().splitlines():
        if line.endswith(str(path)):
            start, _, end = line.split()[0].partition("-")
            ranges.append(range(int(start, 16), int(end, 16)))
    return ranges


@pytest.mark.skipif(sys.platform != "linux", reason="asks /proc what is mapped")
def test_parameters_of_the_files_dtype_are_the_mapped_file(tiny_checkpoint: Path) -> None:
    model = open_checkpoint(tiny_checkpoint, device="cpu", dtype=torch.float16)
    ranges = mapped_ranges(tiny_checkpoint)
    assert ranges
    copied = {
        name
        for name, tensor in weights(model, "unet", "text_encoder", "text_encoder_2").items()
        if not any(tensor.data_ptr() in place for place in ranges)
    }
    # Stored the other way round, as the only one.
    assert copied == {"text_encoder_2.text_projection.weight"}
    before = hashlib.sha256(tiny_checkpoint.read_bytes()).digest()
    for tensor in weights(model).values():
        tensor.fill_(3)
    assert hashlib.sha256(tiny_checkpoint.read_bytes()).digest() == before


@pytest.mark.skipif(sys.platform != "linux", reason="asks /proc what is mapped")
def test_a_converted_model_keeps_nothing_of_the_file(tiny_checkpoint: Path, tmp_path: Path) -> None:
    # A file of its own: models of other tests, not yet thrown away, may have the shared one mapped.
    path = rewrite_checkpoint(tiny_checkpoint, tmp_path, lambda tensors: None)
    model = open_checkpoint(path, device="cpu", dtype=torch.bfloat16)
    assert mapped_ranges(path) == []
    for name, tensor in weights(model).items():
        # A view of something larger would keep that alive.
        assert tensor.untyped_storage().nbytes() == tensor.nbytes, name


def test_converting_holds_one_tensor_beside_the_parameters(
    tiny_checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The buffers that were read die before the next one is read."""
    import gc
    import weakref

    from engine.checkpoint.source import WeightFile

    alive: list[weakref.ref[torch.Tensor]] = []
    most = 0
    inner = WeightFile.read_into

    def counting(self: WeightFile, buffer: torch.Tensor, start: int) -> None:
        nonlocal most
        gc.collect(0)
        most = max(most, sum(ref() is not None for ref in alive))
        inner(self, buffer, start)
        alive.append(weakref.ref(buffer))

    monkeypatch.setattr(WeightFile, "read_into", counting)
    open_float32(tiny_checkpoint)
    assert len(alive) > 500
    assert most == 0


def test_channels_last_orders_convolutions_and_changes_no_value(
    tiny_checkpoint: Path, tiny_weights: Tensors
) -> None:
    model = open_float32(tiny_checkpoint, channels_last=True)
    found = weights(model)
    assert_same(found, tiny_weights)
    for name, tensor in found.items():
        if tensor.dim() == 4:
            assert tensor.is_contiguous(memory_format=torch.channels_last), name
    assert model.source is not None
    name = "down_blocks.0.resnets.0.conv1.weight"
    assert not found[f"unet.{name}"].is_contiguous()
    assert torch.equal(model.source.read("unet", name), found[f"unet.{name}"])


def test_a_file_whose_numbers_are_not_aligned_is_read_right(
    tiny_checkpoint: Path, tiny_weights: Tensors, tmp_path: Path
) -> None:
    path = rewrite_checkpoint(tiny_checkpoint, tmp_path, lambda tensors: None)
    raw = path.read_bytes()
    (length,) = struct.unpack("<Q", raw[:8])
    # JSON may end in a blank; the tensors then start at an odd byte.
    path.write_bytes(struct.pack("<Q", length + 1) + raw[8 : 8 + length] + b" " + raw[8 + length :])
    model = open_checkpoint(path, device="cpu", dtype=torch.float16)
    found = weights(model, "unet", "text_encoder", "text_encoder_2")
    for name, tensor in found.items():
        assert tensor.data_ptr() % 2 == 0, name
        assert torch.equal(tensor.float(), tiny_weights[name]), name


def test_every_stored_tensor_has_one_reader(tiny_checkpoint: Path) -> None:
    """Nothing is read twice: the parameters share the file's bytes out among them."""
    model = open_float32(tiny_checkpoint)
    sources = [
        parameter_source(part, name)
        for part in PARTS
        for name, _ in model.modules[part].named_parameters()
    ]
    assert len({(source.key, source.third) for source in sources}) == len(sources)
