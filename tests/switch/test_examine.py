"""A LoRA examined against a model that is not loaded says what a switch would say."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from engine.checkpoint import open_checkpoint
from engine.errors import EngineError, FileFormatError, LoraRefusedError
from engine.protocol.refs import LoraRef
from engine.switch.examine import examine
from engine.switch.switcher import LoraSwitcher


def test_the_report_is_that_of_the_switch(
    tiny_checkpoint: Path, tiny_loras: Path, tmp_path: Path
) -> None:
    neon = tiny_loras / "neon.safetensors"
    pipe = open_checkpoint(tiny_checkpoint, device="cpu", dtype=torch.float16).pipeline
    switcher = LoraSwitcher(pipe.unet, pipe.text_encoder, pipe.text_encoder_2)
    switched = switcher.apply([LoraRef(neon)])
    examined = examine(neon, tiny_checkpoint)
    assert (examined.report,) == switched.loras
    assert examined.report is not None
    assert examined.report.bytes == switched.bytes_written
    assert (examined.model, examined.refusal, examined.non_finite) == ("tiny", "", ())
    pipe.save_pretrained(tmp_path / "folder")
    assert examine(neon, tmp_path / "folder").report == examined.report


def test_damaged_values_are_counted_by_module(
    tiny_checkpoint: Path, tiny_loras: Path, tmp_path: Path
) -> None:
    tensors = load_file(tiny_loras / "neon.safetensors")
    damaged = [key for key in tensors if key.endswith("lora_up.weight")][:2]
    for count, key in enumerate(damaged, 1):
        tensors[key].flatten()[:count] = float("inf")
    path = tmp_path / "bad.safetensors"
    save_file(tensors, path)
    examined = examine(path, tiny_checkpoint)
    names = [key.removesuffix(".lora_up.weight") for key in damaged]
    assert dict(examined.non_finite) == {names[0]: 1, names[1]: 2}
    assert "holds 3 values that are not finite" in examined.refusal
    assert examined.report is not None


def test_what_is_no_lora_or_no_model_is_refused(tiny_checkpoint: Path, tiny_loras: Path) -> None:
    with pytest.raises(LoraRefusedError, match="a whole model"):
        examine(tiny_checkpoint)
    with pytest.raises(FileFormatError, match="No such file"):
        examine(tiny_loras / "gone.safetensors")
    with pytest.raises(EngineError, match="not a model"):
        examine(tiny_loras / "neon.safetensors", tiny_loras / "neon.safetensors")


@pytest.mark.parametrize("side", ["lora_up", "lora_down"])
def test_modules_of_zeros_are_told_once_they_are_read(
    tiny_checkpoint: Path, tiny_loras: Path, tmp_path: Path, side: str
) -> None:
    """As where training began, or of a file whose whole size was there before its content was."""
    tensors = load_file(tiny_loras / "neon.safetensors")
    empty, late = [key for key in tensors if f"{side}.weight" in key][:2]
    tensors[empty].zero_()
    # A module that begins with zeros, and does change something.
    tensors[late].zero_().view(-1)[-1] = 1.0
    path = tmp_path / "half.safetensors"
    save_file(tensors, path)
    module = empty.partition(".")[0]
    pipe = open_checkpoint(tiny_checkpoint, device="cpu", dtype=torch.float16).pipeline
    switcher = LoraSwitcher(pipe.unet, pipe.text_encoder, pipe.text_encoder_2)
    reports = [examine(path, tiny_checkpoint).report, *switcher.apply([LoraRef(path)]).loras]
    reports += switcher.apply([LoraRef(path, 0.5)]).loras
    for report in reports:
        assert report is not None
        assert report.zeros == (module,)
        (warning,) = report.warnings
        told = f"half: 1 of {report.modules} modules are zeros and change nothing: untrained, or"
        assert told in warning
        assert module in warning
