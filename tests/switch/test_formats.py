"""Every family x naming x dtype gives the weights that LyCORIS' own forward has."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from engine.lora.cache import LoraCache
from engine.lora.targets import Target, TargetTable
from engine.protocol.refs import LoraRef
from engine.protocol.reports import SwitchReport
from engine.switch.switcher import LoraSwitcher
from tests.support import lycoris_files, names
from tests.support.lycoris_files import FAMILIES, Written
from tests.support.tiny_sdxl import make_parts

STRENGTHS = (1.0, -0.7137)
"""None that would make many exact ties between two values of float16."""

DTYPES = {
    "float32": (torch.float32, torch.float32),
    "float16": (torch.float16, torch.float16),
    "bfloat16": (torch.bfloat16, torch.bfloat16),
    "float16 from float8": (torch.float16, torch.float8_e4m3fn),
}
"""The model's dtype and the file's."""

TEXT_TARGETS = {
    1: ("encoder.layers.0.self_attn.q_proj", "encoder.layers.0.mlp.fc1"),
    2: ("encoder.layers.0.self_attn.out_proj", "encoder.layers.0.mlp.fc2", "text_projection"),
}
TEXT_NORMS = ("encoder.layers.0.layer_norm1", "final_layer_norm")


class Bench:
    """A model with a switcher, and copies of its weights to compare with."""

    def __init__(self, dtype: torch.dtype) -> None:
        self.dtype = dtype
        self.parts = make_parts(dtype)
        self.live = {
            f"{part}.{name}": parameter.data
            for part, module in self.parts.items()
            for name, parameter in module.named_parameters()
        }
        self.base = {name: tensor.clone() for name, tensor in self.live.items()}
        # A bound of one byte: every file is read anew.
        self.switcher = LoraSwitcher(**self.parts, cache=LoraCache(1))

    def apply(self, path: Path, strength: float) -> SwitchReport:
        return self.switcher.apply([LoraRef(path, strength, strength)])

    def compare(self, part: str, expected: Mapping[tuple[str, str], torch.Tensor]) -> None:
        """Check the live weights against the exact ones."""
        wrong = total = 0
        for (path, kind), exact in expected.items():
            name = f"{part}.{path}.{kind}"
            base, change = self.base[name], exact.double() - self.base[name].double()
            size = torch.linalg.vector_norm(change)
            if size < 1e-9:
                assert torch.equal(self.live[name], base), f"{name} changed"
            elif self.dtype == torch.float32:
                error = torch.linalg.vector_norm(self.live[name].double() - base.double() - change)
                assert error / size < 1e-5, f"{name}: relative error {float(error / size):.2g}"
            total += exact.numel()
            wrong += int((self.live[name] != exact.to(self.dtype)).sum())
        if self.dtype != torch.float32:
            assert wrong <= 0.001 * total, f"{wrong} of {total} weights are rounded wrong"

    def changed(self) -> set[str]:
        """The names of all weights that are not the base's."""
        return {n for n, tensor in self.live.items() if not torch.equal(tensor, self.base[n])}


@cache
def bench(dtype: torch.dtype) -> Bench:
    return Bench(dtype)


@cache
def untouched(dtype: torch.dtype) -> dict[str, nn.Module]:
    return make_parts(dtype)


@cache
def written(
    family: str, dtype: torch.dtype, file_dtype: torch.dtype, part: str, targets: tuple[str, ...]
) -> Written:
    module = untouched(dtype)[part]
    with TemporaryDirectory() as folder:
        path = Path(folder, "lora.safetensors")
        return lycoris_files.write(
            FAMILIES[family], module, file_dtype, path, STRENGTHS, targets, prefix="x"
        )


def renamed(
    tensors: Mapping[str, torch.Tensor], new_names: Mapping[str, str]
) -> dict[str, torch.Tensor]:
    """The tensors with other module names; `new_names` by the name LyCORIS gave."""
    return {
        f"{new_names[module]}.{ending}": tensor
        for module, _, ending in (key.partition(".") for key in tensors)
        for tensor in [tensors[f"{module}.{ending}"]]
    }


@pytest.mark.parametrize("dtypes", DTYPES)
@pytest.mark.parametrize("naming", names.UNET)
@pytest.mark.parametrize("family", FAMILIES)
def test_unet_has_the_weights_of_lycoris_forward(
    family: str, naming: str, dtypes: str, tmp_path: Path
) -> None:
    model_dtype, file_dtype = DTYPES[dtypes]
    targets = FAMILIES[family].targets
    source = written(family, model_dtype, file_dtype, "unet", targets)
    new_names = {f"x_{t.replace('.', '_')}": names.UNET[naming](t) for t in targets}
    path = tmp_path / "lora.safetensors"
    save_file(renamed(source.tensors, new_names), path, dict(source.metadata))

    tested = bench(model_dtype)
    for strength in STRENGTHS if naming == "kohya sgm" else STRENGTHS[:1]:
        (report,) = tested.apply(path, strength).loras
        assert (report.matched, report.unmatched, report.unsupported) == (len(targets), (), ())
        tested.compare("unet", source.expected[strength])
    if naming == "kohya sgm":
        assert tested.changed() <= {f"unet.{path}.{kind}" for path, kind in source.expected[1.0]}
        tested.switcher.apply([])
        assert not tested.changed()


@pytest.mark.parametrize("dtypes", ["float32", "bfloat16"])
@pytest.mark.parametrize("naming", names.TEXT_ENCODERS)
@pytest.mark.parametrize("family", ["lora", "lokr", "oft", "ia3 inputs", "full", "norm"])
@pytest.mark.parametrize("encoder", [1, 2])
def test_text_encoders_have_the_weights_of_lycoris_forward(
    encoder: int, family: str, naming: str, dtypes: str, tmp_path: Path
) -> None:
    model_dtype, file_dtype = DTYPES[dtypes]
    part = ("text_encoder", "text_encoder_2")[encoder - 1]
    bare = TEXT_NORMS if family == "norm" else TEXT_TARGETS[encoder]
    inside = {path: path for path, _ in bench(model_dtype).parts[part].named_modules()}
    own = {name: inside.get(name) or inside[f"text_model.{name}"] for name in bare}
    source = written(family, model_dtype, file_dtype, part, tuple(own.values()))
    new_names = {
        f"x_{path.replace('.', '_')}": names.TEXT_ENCODERS[naming](name, encoder)
        for name, path in own.items()
    }
    path = tmp_path / "lora.safetensors"
    save_file(renamed(source.tensors, new_names), path)

    tested = bench(model_dtype)
    (report,) = tested.apply(path, 1.0).loras
    assert (report.matched, report.unmatched) == (len(bare), ())
    tested.compare(part, source.expected[1.0])


def test_sgm_names_are_those_that_diffusers_translates() -> None:
    from diffusers.loaders.lora_conversion_utils import _maybe_map_sgm_blocks_to_diffusers

    class Config:
        layers_per_block = 2

    paths = [
        path
        for path, module in make_parts()["unet"].named_modules()
        if isinstance(module, nn.Linear | nn.Conv2d)
        and path.startswith(("down_blocks", "mid_block", "up_blocks"))
    ]
    for path in paths:
        ours = f"{names.UNET['kohya sgm'](path)}.lora_down.weight"
        (theirs,) = _maybe_map_sgm_blocks_to_diffusers({ours: 0}, Config())
        # diffusers leaves blocks' names, layers inside a resnet and samplers to a later step.
        for sgm, diffusers in (
            ("input_blocks", "down_blocks"), ("middle_block", "mid_block"),
            ("output_blocks", "up_blocks"), ("in_layers_2", "conv1"), ("out_layers_3", "conv2"),
            ("emb_layers_1", "time_emb_proj"), ("skip_connection", "conv_shortcut"),
            ("samplers_0_op", "samplers_0_conv"),
        ):  # fmt: skip
            theirs = theirs.replace(sgm, diffusers)
        assert theirs == f"{names.UNET['kohya diffusers'](path)}.lora_down.weight"


def test_every_module_of_the_tiny_model_has_a_name_in_every_vocabulary() -> None:
    parts = bench(torch.float32).parts
    table = TargetTable(parts)
    for path, module in parts["unet"].named_modules():
        if isinstance(getattr(module, "weight", None), nn.Parameter):
            for name in names.UNET.values():
                assert table.find(name(path)) == Target("unet", path)
