"""Every PEFT family, as PEFT and diffusers save it, gives the weights of PEFT's own forward."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest
import torch
from peft import OFTConfig
from torch import nn

from engine.lora.cache import LoraCache
from engine.refs import LoraRef
from engine.switch.switcher import LoraSwitcher
from tests.support import peft_files
from tests.support.peft_files import FAMILIES, SAVERS, Adapted
from tests.support.tiny_sdxl import make_parts

DTYPES = [torch.float32, torch.float16, torch.bfloat16]


@cache
def live(dtype: torch.dtype) -> tuple[nn.Module, LoraSwitcher]:
    unet = make_parts(dtype)["unet"]
    return unet, LoraSwitcher(unet, cache=LoraCache(1))


@cache
def untouched(dtype: torch.dtype) -> nn.Module:
    return make_parts(dtype)["unet"]


@cache
def adapted(family: str, dtype: torch.dtype) -> Adapted:
    return peft_files.adapt(FAMILIES[family], untouched(dtype), dtype)


@pytest.mark.filterwarnings("ignore:.*invalid shape")
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("saver", SAVERS)
@pytest.mark.parametrize("family", FAMILIES)
def test_unet_has_the_weights_of_peft_forward(
    family: str, saver: str, dtype: torch.dtype, tmp_path: Path
) -> None:
    source = adapted(family, dtype)
    path = peft_files.save(source, saver, tmp_path)
    unet, switcher = live(dtype)
    (report,) = switcher.apply([LoraRef(path)]).loras
    assert report.matched == len(FAMILIES[family].targets)
    assert (report.unmatched, report.unsupported) == ((), ())
    wrong = total = 0
    for (target, kind), exact in source.expected.items():
        base = untouched(dtype).get_submodule(target).get_parameter(kind).double()
        found = unet.get_submodule(target).get_parameter(kind)
        change = torch.linalg.vector_norm(exact - base)
        if dtype == torch.float32 and change > 1e-9:
            error = torch.linalg.vector_norm(found.double() - exact) / change
            assert error < 1e-5, f"{target}.{kind}: relative error {float(error):.2g}"
        total += exact.numel()
        wrong += int((found != exact.to(dtype)).sum())
    if dtype != torch.float32:
        assert wrong <= 0.001 * total, f"{wrong} of {total} weights are rounded wrong"


@pytest.mark.parametrize("exact", [True, False])
def test_oft_of_kernels_has_the_weights_of_peft_merge(exact: bool, tmp_path: Path) -> None:
    """PEFT's forward joins overlapping windows there, which is no convolution; its merge is."""
    options = {**peft_files.OFT, "use_cayley_neumann": not exact}
    targets = peft_files.CONVOLUTIONS[:2]
    family = peft_files.Family(OFTConfig, options, targets)
    source = peft_files.adapt(family, untouched(torch.float32), torch.float32)
    path = peft_files.save(source, "peft", tmp_path)
    unet, switcher = live(torch.float32)
    switcher.apply([LoraRef(path)])
    merged = source.model.merge_and_unload()
    for target in targets:
        found = unet.get_submodule(target).get_parameter("weight").double()
        torch.testing.assert_close(
            found, merged.get_submodule(target).get_parameter("weight"), rtol=1e-4, atol=1e-6
        )
