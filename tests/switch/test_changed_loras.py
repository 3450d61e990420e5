"""A LoRA's file that changes under the program: what lies there now is what is applied."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from engine.protocol.refs import LoraRef
from tests.switch.conftest import Loaded, same_bits


def without_effect(path: Path) -> bytes:
    """The same file with every `up` factor zero: of the same size, and changing nothing."""
    with safe_open(path, "pt") as file:
        metadata = file.metadata()
    tensors = {n: t.zero_() if ".lora_up." in n else t for n, t in load_file(path).items()}
    other = path.with_name("other")
    save_file(tensors, other, metadata)
    data = other.read_bytes()
    other.unlink()
    assert len(data) == path.stat().st_size
    return data


def write_into(path: Path, data: bytes) -> None:
    with path.open("r+b") as file:
        file.write(data)


def replace_by_rename(path: Path, data: bytes) -> None:
    path.with_name("new").write_bytes(data)
    path.with_name("new").replace(path)


def swap_hard_link(path: Path, data: bytes) -> None:
    path.with_name("store").write_bytes(data)
    path.unlink()
    path.hardlink_to(path.with_name("store"))


def point_link_elsewhere(path: Path, data: bytes) -> None:
    path.with_name("target").write_bytes(data)
    path.unlink()
    path.symlink_to(path.with_name("target"))


CHANGES = [write_into, replace_by_rename, swap_hard_link, point_link_elsewhere]


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("live", [True, False])
def test_another_content_of_the_same_size_and_age_is_used(
    loaded: Loaded, tmp_path: Path, change: Callable[[Path, bytes], None], live: bool
) -> None:
    path = tmp_path / "ink.safetensors"
    shutil.copyfile(loaded.ref("styles/ink").path, path)
    before = path.stat()
    loaded.switcher.apply([LoraRef(path)])
    assert loaded.differing()
    if not live:
        loaded.switcher.apply([])
    change(path, without_effect(path))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    loaded.switcher.apply([LoraRef(path)])
    assert loaded.differing() == []
    assert loaded.switcher.state == "stack"


def test_another_configuration_of_the_same_size_and_age_is_used(
    loaded: Loaded, tmp_path: Path
) -> None:
    name = "unet.down_blocks.1.attentions.0.transformer_blocks.0.attn2.to_k"
    shape = loaded.parts["unet"].get_parameter(f"{name.removeprefix('unet.')}.weight").shape
    path, config = tmp_path / "adapter_model.safetensors", tmp_path / "adapter_config.json"
    save_file(
        {
            f"{name}.lora_A.weight": torch.rand(4, shape[1]),
            f"{name}.lora_B.weight": torch.rand(shape[0], 4),
        },
        path,
    )
    live = {}
    for alpha in (4, 8):
        config.write_text(json.dumps({"r": 4, "lora_alpha": alpha}))
        os.utime(config, ns=(1, 1))
        loaded.switcher.apply([LoraRef(path)])
        live[alpha] = loaded.weights()[f"{name}.weight"].clone()
    assert not same_bits(live[4], live[8])
