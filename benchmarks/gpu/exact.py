"""Are merged weights the right ones, and is the base the base afterwards? At SDXL's full size.

The reference is W0 + the sum of strength · up @ down in float64, rounded once, from files that
safetensors reads: nothing of ours.
"""

from __future__ import annotations

import random
import tempfile
from collections.abc import Mapping, Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import nn

from benchmarks.gpu.bench import Bench
from engine.bench.random_loras import kohya_name, lora_layers, write_random_loras
from engine.bench.random_model import random_parts
from engine.errors import EngineError
from engine.lora.cache import LoraCache
from engine.protocol.refs import LoraRef
from engine.switch.switcher import LoraSwitcher

RANKS = (4, 8, 13, 32, 128)
STACKS = 200
EQUAL = 0.9998
"""The share of weights that float32 sums round as float64 does, at least."""
_DTYPES = (torch.float16, torch.bfloat16, torch.float32)


def run(bench: Bench) -> None:
    """Each dtype with each rank, stacks, channels_last, many random stacks, every family."""
    ranks = (8, 13) if bench.is_quick else RANKS
    for dtype in _DTYPES[:1] if bench.is_quick else _DTYPES:
        name = str(dtype).removeprefix("torch.")
        with bench.trying(name), tempfile.TemporaryDirectory() as folder:
            model = _Model(bench, dtype, Path(folder), ranks)
            for rank, ref in zip(ranks, model.refs, strict=True):
                model.compare(f"{name}, rank {rank}", [ref])
            model.compare(f"{name}, all ranks as one stack", model.refs)
            if dtype == torch.float16:
                model.many(f"{name}: random stacks", 3 if bench.is_quick else STACKS)
            model.back(f"{name}: tensors that differ after all")
    with bench.trying("channels_last"), tempfile.TemporaryDirectory() as folder:
        model = _Model(bench, torch.float16, Path(folder), ranks[:1], torch.channels_last)
        model.compare("channels_last", model.refs)
        model.back("channels_last: tensors that differ after all")
    with bench.trying("every family"):
        _families(bench)


class _Model:
    """SDXL of random weights with a switcher, its LoRAs, and what its weights were."""

    def __init__(
        self,
        bench: Bench,
        dtype: torch.dtype,
        folder: Path,
        ranks: Sequence[int],
        layout: torch.memory_format | None = None,
    ) -> None:
        self._bench = bench
        self._dtype = dtype
        parts = random_parts(dtype, bench.device, small=bench.is_quick)
        self._unet = parts["unet"]
        if layout is not None:
            self._unet.to(memory_format=layout)  # type: ignore[call-overload]
        self._base = {path: layer.weight.clone() for path, layer in lora_layers(self._unet)}
        paths = []
        for rank in ranks:
            (folder / str(rank)).mkdir()
            paths += write_random_loras(folder / str(rank), self._unet, rank, 1)
        self.refs = [LoraRef(path, 0.7 - 0.1 * i) for i, path in enumerate(paths)]
        self._files = {path: load_file(path, device=str(bench.device)) for path in paths}
        given: Any = parts
        self.switcher = LoraSwitcher(**given, backup="device", cache=LoraCache(8 << 30))

    def compare(self, name: str, stack: Sequence[LoraRef]) -> None:
        """Tell the share of weights that are the reference's; in float32 the largest error."""
        self.switcher.apply(stack)
        equal = total = 0
        error = 0.0
        for path, layer in lora_layers(self._unet):
            exact = self._exact(path, layer, stack)
            live = layer.weight.data
            equal += int((live == exact.to(self._dtype)).sum())
            error = max(error, float((live.double() - exact).abs().max() / exact.abs().max()))
            total += live.numel()
        if self._dtype == torch.float32:
            self._bench.say(f"{name}: largest relative error", error, predicted=1e-6)
        else:
            note = "" if equal / total >= EQUAL else "FEWER THAN FORETOLD"
            self._bench.say(f"{name}: equal", equal / total, predicted=EQUAL, note=note)

    def _exact(self, path: str, layer: nn.Linear, stack: Sequence[LoraRef]) -> torch.Tensor:
        total = self._base[path].double()
        for ref in stack:
            file, key = self._files[ref.path], kohya_name(path)
            up, down = (file[f"{key}.lora_{role}.weight"].double() for role in ("up", "down"))
            scale = float(file[f"{key}.alpha"]) / down.shape[0]
            total += ref.unet * scale * (up @ down)
        return total

    def many(self, name: str, count: int) -> None:
        """Random stacks one after another; memory is to be the same afterwards."""
        chance = random.Random(1)
        before = self._memory()
        for _ in range(count):
            chosen = chance.sample(self.refs, chance.randint(0, len(self.refs)))
            self.switcher.apply([ref.at(chance.uniform(-1, 1)) for ref in chosen])
        self.switcher.apply([])
        report = self.switcher.verify()
        self._bench.say(f"{name}: tensors that differ", len(report.different), predicted=0)
        for what, start, end in zip(("reserved", "pinned"), before, self._memory(), strict=True):
            self._bench.say(f"{name}: more {what} memory", (end - start) / 2**20, "MiB")

    def _memory(self) -> tuple[int, int]:
        if not self._bench.is_cuda:
            return 0, 0
        stats = torch.cuda.host_memory_stats()
        reserved = torch.cuda.memory_reserved(self._bench.device)
        return reserved, int(stats.get("allocated_bytes.current", 0))

    def back(self, name: str) -> None:
        """Go back to the base, and compare it with the copies that were taken first."""
        self.switcher.apply([])
        different = sum(
            not torch.equal(_bits(layer.weight.data), _bits(self._base[path]))
            for path, layer in lora_layers(self._unet)
        )
        verified = len(self.switcher.verify().different)
        self._bench.say(name, different, predicted=0, note=f"verify: {verified}")


def _bits(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.contiguous().view(torch.uint8)


def _families(bench: Bench) -> None:
    """Every family on a small model: what the GPU merges beside what the CPU does.

    The CPU's own results are held against LyCORIS and PEFT by the tests.
    """
    if not all(map(find_spec, ("lycoris", "peft"))):
        bench.skip("every family", "lycoris-lora and peft make the files, and are not installed")
        return
    make_parts = import_module("tests.support.tiny_sdxl").make_parts
    write = import_module("tests.support.all_formats").write_all_formats
    if not bench.is_cuda:
        bench.skip("every family", "no CUDA device to hold against the CPU")
        return
    models = [
        {name: part.to(device) for name, part in make_parts(torch.float16).items()}
        for device in ("cpu", bench.device)
    ]
    switchers = [LoraSwitcher(**parts) for parts in models]
    with tempfile.TemporaryDirectory() as folder:
        for path in write(Path(folder), make_parts(torch.float16)["unet"]):
            with bench.trying(f"family {path.stem}"):
                try:
                    for switcher in switchers:
                        switcher.apply([LoraRef(path, 0.8)])
                except EngineError as error:
                    bench.skip(f"family {path.stem}", str(error))
                    continue
                equal = _share_equal(*models)
                bench.say(f"family {path.stem}: as on the CPU", equal, predicted=EQUAL)
    for switcher in switchers:
        switcher.apply([])
    different = len(switchers[1].verify().different)
    bench.say("every family: tensors that differ after all", different, predicted=0)


def _share_equal(first: Mapping[str, nn.Module], second: Mapping[str, nn.Module]) -> float:
    equal = total = 0
    for part, module in first.items():
        others = dict(second[part].named_parameters())
        for name, parameter in module.named_parameters():
            equal += int((parameter == others[name].cpu()).sum())
            total += parameter.numel()
    return equal / total
