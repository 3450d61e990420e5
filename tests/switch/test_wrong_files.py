"""Each wrong file is refused with a sentence of its own, and the live stack stays as it is."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import save

from engine.errors import EngineError
from engine.files.header import MAX_HEADER_BYTES
from engine.protocol.refs import LoraRef
from engine.switch.switcher import LoraSwitcher
from tests.support.tiny_sdxl import make_parts

TO_K = "transformer_blocks_0_attn2_to_k"
GOOD = "lora_unet_input_blocks_4_1_" + TO_K


def lora(
    name: str,
    width: int,
    rows: int = 32,
    value: float = 0.5,
    alpha: np.ndarray[Any, Any] | None = None,
    architecture: str = "",
) -> bytes:
    tensors = {
        f"{name}.lora_down.weight": np.full((4, width), value, np.float16),
        f"{name}.lora_up.weight": np.full((rows, 4), 0.25, np.float16),
    }
    if alpha is not None:
        tensors[f"{name}.alpha"] = alpha
    return save(tensors, {"modelspec.architecture": architecture} if architecture else None)


def raw(header: object, data: bytes = b"") -> bytes:
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def lying() -> bytes:
    entry = {"dtype": "F16", "shape": [4, 48], "data_offsets": [0, 10**12]}
    return raw({f"{GOOD}.lora_down.weight": entry}, bytes(384))


def enormous_header() -> bytes:
    return struct.pack("<Q", MAX_HEADER_BYTES + 1) + b'{"' + bytes(64)


def single(key: str, *shape: int) -> bytes:
    return save({key: np.zeros(shape, np.float16)})


WRONG: dict[str, tuple[Callable[[], bytes], str]] = {
    "SD 1.5": (lambda: lora(f"lora_unet_down_blocks_0_attentions_0_{TO_K}", 768),
               "for SD 1.5, the loaded model is SDXL (attn2 width 768)"),
    "SD 2": (lambda: lora(f"lora_unet_down_blocks_0_attentions_0_{TO_K}", 1024),
             "for SD 2, the loaded model is SDXL (attn2 width 1024)"),
    "Flux": (lambda: lora("lora_unet_double_blocks_0_img_attn_qkv", 3072), "for Flux"),
    "Wan": (lambda: lora("diffusion_model.blocks.0.cross_attn.k", 1536), "for Wan"),
    "SD 3": (lambda: lora("lora_unet_joint_blocks_0_context_block_attn_qkv", 1536), "for SD 3"),
    "other blocks": (lambda: lora("lora_unet_input_blocks_99_1_proj_in", 32), "none of its 1"),
    "other widths": (lambda: lora(GOOD, 50), "made for 32x50 at rank 4, the model has 32x48"),
    "UNet": (lambda: single("model.diffusion_model.input_blocks.0.0.weight", 4, 4, 3, 3),
             "a UNet alone"),
    "SDXL's UNet": (
        lambda: single("model.diffusion_model.input_blocks.4.1.transformer_blocks.0."
                       "attn2.to_k.weight", 640, 2048),
        "a UNet alone (SDXL)"),
    "VAE": (lambda: single("first_stage_model.decoder.conv_in.weight", 4, 4, 3, 3), "a VAE"),
    "embedding": (lambda: single("clip_g", 4, 1280), "a textual inversion"),
    "something else": (lambda: single("thing", 4), "no LoRA"),
    "empty": (lambda: b"", "truncated"),
    "garbage": (lambda: b"\x07garbage" * 50, "not a safetensors file"),
    "pickle": (lambda: b"PK\x03\x04" + bytes(100), "a pickle"),
    "page": (lambda: b"<!DOCTYPE html><html>not found</html>", "web page"),
    "lying header": (lying, "the header says"),
    "enormous header": (enormous_header, "no header"),
    "Lumina, by its metadata": (
        lambda: lora(GOOD, 48, architecture="lumina-2/lora"),
        "for Lumina 2, the loaded model is SDXL (modelspec.architecture: lumina-2/lora)"),
    "an alpha that is not finite": (lambda: lora(GOOD, 48, alpha=np.array([np.inf])), "not finite"),
    "an alpha of two numbers": (lambda: lora(GOOD, 48, alpha=np.ones(2)),
                                "is damaged: its alpha has the shape 2, which is not one number"),
    "NaN": (lambda: lora(GOOD, 48, value=float("nan")), "not finite"),
    "infinity": (lambda: lora(GOOD, 48, value=float("inf")), "not finite"),
    "packed": (lambda: raw({f"{GOOD}.diff": {"dtype": "F4", "shape": [2], "data_offsets": [0, 1]}},
                           b"0"), "tensors of type F4"),
}  # fmt: skip


class Model:
    """A model with a LoRA live, and its weights then."""

    def __init__(self, folder: Path) -> None:
        self.parts = make_parts(torch.float16)
        self.switcher = LoraSwitcher(**self.parts)
        good = folder / "good.safetensors"
        good.write_bytes(lora(GOOD, 48))
        self.stack = (LoraRef(good),)
        self.switcher.apply(self.stack)
        self.before = [tensor.clone() for tensor in self._weights()]

    def refusal(self, path: Path) -> str:
        """The sentence with which a file is refused; nothing has changed then."""
        with pytest.raises(EngineError) as caught:
            self.switcher.apply([LoraRef(path)])
        assert (self.switcher.stack, self.switcher.state) == (self.stack, "stack")
        assert all(map(torch.equal, self._weights(), self.before))
        return str(caught.value)

    def _weights(self) -> list[torch.Tensor]:
        return [p.data for module in self.parts.values() for p in module.parameters()]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    return Model(tmp_path_factory.mktemp("good"))


@pytest.mark.parametrize("kind", WRONG)
def test_wrong_file_is_refused_in_words(model: Model, kind: str, tmp_path: Path) -> None:
    make, words = WRONG[kind]
    path = tmp_path / "wrong.safetensors"
    path.write_bytes(make())
    sentence = model.refusal(path)
    assert words in sentence
    assert "wrong.safetensors" in sentence
    assert sentence.endswith(".")


def test_file_truncated_at_any_byte_is_refused(model: Model, tmp_path: Path) -> None:
    whole = lora(GOOD, 48)
    path = tmp_path / "short.safetensors"
    for length in (*range(0, 300, 7), *range(300, len(whole), 37), len(whole) - 1):
        path.write_bytes(whole[:length])
        assert "truncated" in model.refusal(path)


def test_damaged_header_never_gets_through(model: Model, tmp_path: Path) -> None:
    """Any byte of the header changed: refused, or a file that still fits as a whole."""
    whole = bytearray(lora(GOOD, 48))
    length = struct.unpack("<Q", whole[:8])[0]
    path = tmp_path / "damaged.safetensors"
    refused = 0
    for place in range(8, 8 + length, 3):
        damaged = bytearray(whole)
        damaged[place] ^= 0x15
        path.write_bytes(damaged)
        try:
            model.switcher.apply([LoraRef(path)])
        except EngineError:
            refused += 1
        model.switcher.apply(model.stack)
        assert model.switcher.state == "stack"
    assert refused > length / 3 * 0.8
