"""Every PEFT family, as PEFT and diffusers save it, gives the weights of PEFT's own forward."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest
import torch
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


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("saver", SAVERS)
@pytest.mark.parametrize("family", FAMILIES)
def test_unet_has_the_weights_of_peft_forward(
    family: str, saver: str, dtype: torch.dtype, tmp_path: Path
) -> None:
    source = adapted(family, dtype)
    path = peft_files.save(source, saver, dtype, tmp_path)
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
