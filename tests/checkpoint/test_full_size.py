"""SDXL in its real size, as a sparse file: every place is found, also beyond 4 GiB."""

from __future__ import annotations

import itertools
import json
import struct
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch

from engine.checkpoint.config import sdxl_config
from engine.checkpoint.locate import locate
from engine.checkpoint.networks import make_networks
from engine.checkpoint.read import ModelChoice, read_model
from engine.checkpoint.source import Place, WeightSource
from engine.checkpoint.write import original_tensors
from engine.sdxl.layout import Part

PARAMETERS = {
    "unet": 2_567_463_684,
    "text_encoder": 123_060_480,
    "text_encoder_2": 694_659_840,
    "vae": 83_653_863,
}

LAST_BIAS = "conditioner.embedders.1.model.transformer.resblocks.31.attn.in_proj_bias"
VALUES = torch.arange(3 * 1280).half()


@pytest.fixture(scope="module")
def sparse(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A float16 checkpoint of 6.9 GB whose only written numbers are one bias."""
    tensors = original_tensors(make_networks("SDXL", sdxl_config()))
    table: dict[str, object] = {}
    end = last = 0
    for key, tensor in tensors.items():
        start, end = end, end + 2 * tensor.numel()
        shape = list(tensor.shape)
        table[key] = {"dtype": "F16", "shape": shape, "data_offsets": [start, end]}
        if key == LAST_BIAS:
            last = start
    header = json.dumps(table).encode()
    path = tmp_path_factory.mktemp("full") / "sdxl.safetensors"
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(header)) + header)
        file.truncate(8 + len(header) + end)
        file.seek(8 + len(header) + last)
        file.write(VALUES.numpy().tobytes())
    return path


@pytest.fixture(scope="module")
def places(sparse: Path) -> Mapping[Part, Mapping[str, Place]]:
    files = read_model(ModelChoice(sparse), half=True)
    networks = make_networks("SDXL", files.config)
    return {
        part: locate(files.parts[part], module, torch.float16).places
        for part, module in networks.items()
    }


def test_all_parameters_have_their_own_bytes(
    sparse: Path, places: Mapping[Part, Mapping[str, Place]]
) -> None:
    found = {part: sum(p.nbytes // 2 for p in table.values()) for part, table in places.items()}
    assert found == PARAMETERS
    ranges = sorted(place.range for table in places.values() for place in table.values())
    assert all(end == start for (_, end), (start, _) in itertools.pairwise(ranges))
    assert ranges[-1][1] == sparse.stat().st_size


def test_a_weight_beyond_4_gib_is_read(places: Mapping[Part, Mapping[str, Place]]) -> None:
    source = WeightSource(places)
    layer = "text_model.encoder.layers.31.self_attn"
    for number, name in enumerate(("q_proj", "k_proj", "v_proj")):
        place = places["text_encoder_2"][f"{layer}.{name}.bias"]
        assert place.range[0] > 1 << 32
        found = source.read("text_encoder_2", f"{layer}.{name}.bias")
        assert torch.equal(found, VALUES[1280 * number : 1280 * (number + 1)])
