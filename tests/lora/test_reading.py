"""What is read of a LoRA file: the tensors that are used, and no byte of any other."""

from __future__ import annotations

import json
import math
import os
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from engine.errors import EngineError, FileFormatError, LoraRefusedError
from engine.files.header import TensorInfo
from engine.lora import cache as cache_module
from engine.lora.cache import LoraCache
from engine.lora.file import LoraFile, read_lora, read_lora_header
from engine.lora.tensors import count_non_finite
from engine.protocol.refs import LoraRef
from engine.switch.examine import examine
from engine.switch.switcher import LoraSwitcher
from tests.support.tiny_sdxl import make_parts

TERABYTE = 1 << 40
ONE = "lora_unet_input_blocks_4_1_transformer_blocks_0_attn2_to_k"
TWO = "lora_unet_input_blocks_4_1_transformer_blocks_0_attn2_to_v"
SIZES = {"F32": 4, "BF16": 2, "F16": 2, "U8": 1, "F8_E4M3": 1}


def pair(name: str, rank: int = 4) -> dict[str, tuple[str, Sequence[int]]]:
    return {
        f"{name}.lora_down.weight": ("F16", (rank, 48)),
        f"{name}.lora_up.weight": ("F16", (32, rank)),
    }


def write_sparse(path: Path, table: Mapping[str, tuple[str, Sequence[int]]]) -> Path:
    """A file of these tensors, all zeros, that takes no room on the disk."""
    header, end = {}, 0
    for name, (dtype, shape) in table.items():
        size = SIZES[dtype] * math.prod(shape)
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [end, end + size]}
        end += size
    text = json.dumps(header).encode()
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        try:
            file.truncate(8 + len(text) + end)
        except OSError:
            pytest.skip("this file system has no files of such a size")
    return path


def tensors(file: LoraFile, module: str) -> frozenset[TensorInfo]:
    """Those of one module."""
    return frozenset(file.groups[module].tensors.values())


@pytest.fixture
def bytes_read(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many bytes each reading of tensors asked for."""
    asked: list[int] = []
    real = os.preadv

    def counting(descriptor: int, buffers: list[memoryview], offset: int) -> int:
        asked.append(sum(map(len, buffers)))
        return real(descriptor, buffers, offset)

    monkeypatch.setattr(os, "preadv", counting)
    return asked


@pytest.mark.parametrize("dtype", ["F32", "BF16", "U8"])
@pytest.mark.parametrize("place", ["first", "between", "last"])
def test_a_terabyte_that_nobody_uses_is_not_read(
    tmp_path: Path, bytes_read: list[int], dtype: str, place: str
) -> None:
    junk = {"junk": (dtype, (TERABYTE // SIZES[dtype],))}
    tables = [pair(ONE), pair(TWO)]
    tables.insert({"first": 0, "between": 1, "last": 2}[place], junk)
    table = {name: entry for part in tables for name, entry in part.items()}
    file = read_lora(read_lora_header(write_sparse(tmp_path / "a.safetensors", table)))
    assert file.unknown == ("junk",)
    assert sum(bytes_read) == 2 * 2 * (4 * 48 + 32 * 4)
    assert sum(bytes_read) <= file.bytes < sum(bytes_read) + 64
    assert file.modules[TWO]["up"].shape == (32, 4)


def test_modules_that_are_not_asked_for_are_not_read(tmp_path: Path, bytes_read: list[int]) -> None:
    huge = {"lora_te3_x.lora_down.weight": ("F32", (TERABYTE // 4, 1)),
            "lora_te3_x.lora_up.weight": ("F32", (1, 1))}  # fmt: skip
    opened = read_lora_header(write_sparse(tmp_path / "a.safetensors", huge | pair(ONE)))
    file = LoraCache().read(opened, tensors(opened, ONE))
    assert sum(bytes_read) == 2 * (4 * 48 + 32 * 4)
    assert file.read == tensors(opened, ONE)
    assert file.modules["lora_te3_x"]["down"].is_meta
    assert not file.modules[ONE]["down"].is_meta


def test_ten_thousand_tensors_of_no_use_are_passed_over(
    tmp_path: Path, bytes_read: list[int]
) -> None:
    table: dict[str, tuple[str, Sequence[int]]] = {}
    for number in range(10_000):
        table[f"stray.{number}"] = ("U8", (3,))
        if number % 1000 == 0:
            table |= pair(f"{ONE}_{number}")
    file = read_lora(read_lora_header(write_sparse(tmp_path / "a.safetensors", table)))
    assert len(file.unknown) == 10_000
    assert len(bytes_read) == 10
    assert sum(bytes_read) == 10 * 2 * (4 * 48 + 32 * 4)


def test_what_does_not_fit_into_memory_is_refused_before_it_is_read(
    tmp_path: Path, bytes_read: list[int]
) -> None:
    """Of any rank the shapes fit: only the size tells."""
    table = {f"{ONE}.lora_down.weight": ("F32", (TERABYTE // 4 // 48, 48)),
             f"{ONE}.lora_up.weight": ("F32", (32, TERABYTE // 4 // 48))}  # fmt: skip
    cache = LoraCache()
    opened = cache.open(write_sparse(tmp_path / "a.safetensors", table))
    with pytest.raises(LoraRefusedError, match=r"a\.safetensors: .* needs 1706\.7 GiB of main"):
        cache.read(opened, frozenset(opened.tensors))
    assert bytes_read == []
    assert cache.bytes == 0


def test_files_held_make_room_for_one_that_is_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = LoraCache()

    def read(name: str, rank: int = 4) -> LoraFile:
        opened = cache.open(write_sparse(tmp_path / name, pair(ONE, rank)))
        return cache.read(opened, frozenset(opened.tensors))

    size = read("a").bytes
    read("b")
    monkeypatch.setattr(cache_module, "free_ram", lambda: 3 * size - cache.bytes)
    read("c", rank=8)
    assert cache.bytes == 2 * size, "two small ones made room for one of twice their size"
    with pytest.raises(LoraRefusedError, match="are free"):
        read("d", rank=12)
    assert cache.bytes == 2 * size, "what would be no help is not given up"


def test_a_lack_of_memory_while_reading_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = LoraCache()
    opened = cache.open(write_sparse(tmp_path / "a.safetensors", pair(ONE)))

    def full(_: int) -> torch.Tensor:
        raise MemoryError

    monkeypatch.setattr(cache._memory, "buffer", full)
    with pytest.raises(LoraRefusedError, match=r"a\.safetensors.*of main memory"):
        cache.read(opened, frozenset(opened.tensors))


def test_a_second_model_reads_what_the_first_left(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    save_file(
        {name: torch.rand(shape) for name, (_, shape) in (pair(ONE) | pair(TWO)).items()}, path
    )
    cache = LoraCache()
    one, two = (tensors(read_lora_header(path), name) for name in (ONE, TWO))
    first = cache.read(cache.open(path), one)
    assert cache.open(path) is first
    both = cache.read(cache.open(path), two)
    assert both.read == one | two
    assert cache.read(cache.open(path), one) is both
    assert cache.bytes == both.bytes


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["stray", "module", "embedding"]),
            st.sampled_from([torch.float16, torch.float32, torch.bfloat16, torch.float64]),
            st.integers(0, 5),
        ),
        max_size=12,
    )
)
def test_values_are_those_of_the_file_whatever_lies_between(
    tmp_path_factory: pytest.TempPathFactory,
    parts: list[tuple[str, torch.dtype, int]],
) -> None:
    path = tmp_path_factory.mktemp("any") / "a.safetensors"
    tensors = {
        f"{ONE}.lora_down.weight": torch.rand(4, 48),
        f"{ONE}.lora_up.weight": torch.rand(32, 4),
    }
    for number, (kind, dtype, size) in enumerate(parts):
        name = {
            "stray": f"a{number}.nothing",
            "module": f"m{number}.diff",
            "embedding": f"bundle_emb.e{number}.clip_l",
        }[kind]
        tensors[name] = torch.rand(size, 3).to(dtype)
        if kind == "stray":
            tensors[name] = tensors[name].view(torch.uint8)[..., :size].contiguous()
    save_file(tensors, path)
    file = read_lora(read_lora_header(path))
    expected = load_file(path)
    found = {
        f"{name}.diff": roles["diff"] for name, roles in file.modules.items() if "diff" in roles
    }
    found |= {
        f"bundle_emb.{name}.clip_l": roles["clip_l"] for name, roles in file.embeddings.items()
    }
    found |= {f"{ONE}.lora_{role}.weight": file.modules[ONE][role] for role in ("down", "up")}
    assert found.keys() == {name for name in tensors if "nothing" not in name}
    for name, tensor in found.items():
        assert tensor.dtype == expected[name].dtype
        assert torch.equal(tensor, expected[name]), name


@pytest.mark.parametrize("shape", [[0, 2**64 - 1], [2**62, 0, 2**62], [0, 2**63, 2]])
def test_a_side_of_any_length_beside_none_is_refused(tmp_path: Path, shape: list[int]) -> None:
    entry = {"dtype": "F16", "shape": shape, "data_offsets": [0, 0]}
    text = json.dumps({f"{ONE}.lora_down.weight": entry, f"{ONE}.lora_up.weight": entry}).encode()
    path = tmp_path / "a.safetensors"
    path.write_bytes(struct.pack("<Q", len(text)) + text)
    try:
        file = read_lora(read_lora_header(path))
    except EngineError as error:
        assert "a.safetensors" in str(error)  # noqa: PT017
    else:
        assert file.modules[ONE]["down"].numel() == 0


def test_an_embedding_too_large_to_be_one_is_not_read_but_said(
    tmp_path: Path, bytes_read: list[int]
) -> None:
    from engine.embeddings.bundled import bundled_embeddings

    huge = {"bundle_emb.twig.clip_l": ("F32", (TERABYTE // 64, 16)),
            "bundle_emb.twig.clip_g": ("F32", (2, 32))}  # fmt: skip
    file = read_lora(read_lora_header(write_sparse(tmp_path / "a.safetensors", huge | pair(ONE))))
    assert sum(bytes_read) < 10_000
    (embedding,) = bundled_embeddings(file)
    with pytest.raises(FileFormatError, match=r"twig.*too large"):
        embedding.read()


@pytest.mark.parametrize(
    "dtype",
    [torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.float8_e4m3fn,
     torch.float8_e5m2],
)  # fmt: skip
def test_values_that_are_not_finite_are_counted(dtype: torch.dtype) -> None:
    values = torch.randn(1000)
    assert count_non_finite({"": values.to(dtype)}) == 0
    for places, value in (([0], math.nan), ([7, 500], math.inf), ([3, 4, 999], -math.inf)):
        values[places] = value
        stored = values.to(dtype)
        assert count_non_finite({"": stored}) == int((~stored.double().isfinite()).sum())
    assert count_non_finite({"": values.to(dtype)}) >= 1
    assert count_non_finite({"": values[:0].to(dtype), "k": torch.ones(2, dtype=torch.int64)}) == 0


@pytest.mark.parametrize("role", ["hada_w1_a", "diff_b", "lokr_w1"])
def test_what_a_module_leaves_over_is_not_read(
    tmp_path: Path, bytes_read: list[int], role: str
) -> None:
    """A tensor of a known name that no adapter takes, and a bias that the model does not have."""
    huge = {f"{ONE}.{role}": ("BF16", (TERABYTE // 2,))}
    path = write_sparse(tmp_path / "a.safetensors", huge | pair(ONE))
    switcher = LoraSwitcher(**make_parts(torch.float16))
    (report,) = switcher.apply([LoraRef(path)]).loras
    assert report.matched == 1
    (left_out,) = (words for words in report.warnings if "zeros" not in words)  # the file is a hole
    assert "left out" in left_out
    assert sum(bytes_read) == 2 * (4 * 48 + 32 * 4)
    assert examine(path).report is None, "neither does looking at it read more"
    assert sum(bytes_read) == 2 * (4 * 48 + 32 * 4)
