"""What a file is, told from tables of key names and shapes alone."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save_file

from engine.files.header import Header, TensorInfo, read_header
from engine.lora.identify import identify, read_scalar

ATTN2_K = "lora_unet_input_blocks_4_1_transformer_blocks_0_attn2_to_k"
DEEP = "lora_unet_middle_block_1_transformer_blocks_9_ff_net_2"
CONV = "lora_unet_input_blocks_1_0_in_layers_2"
PEFT = "unet.down_blocks.1.attentions.0.transformer_blocks.0.attn2"


def header(shapes: dict[str, tuple[int, ...]], **metadata: str) -> Header:
    tensors = {key: TensorInfo("F16", shape, 0, 0) for key, shape in shapes.items()}
    return Header(tensors, metadata, 0, 0)


def lora(module: str, width: int, rank: int = 8) -> dict[str, tuple[int, ...]]:
    return {
        f"{module}.lora_down.weight": (rank, width),
        f"{module}.lora_up.weight": (640, rank),
        f"{module}.alpha": (),
    }


@pytest.mark.parametrize(
    ("shapes", "family", "rank"),
    [
        (lora(ATTN2_K, 2048), "LoRA", 8),
        ({f"{CONV}.lora_down.weight": (4, 320, 3, 3), f"{CONV}.lora_up.weight": (320, 4, 1, 1)},
         "LoCon", 4),
        ({f"{CONV}.lora_down.weight": (4, 320, 1, 1), f"{CONV}.lora_up.weight": (320, 4, 1, 1)},
         "LoRA", 4),
        ({f"{CONV}.lora_down.weight": (4, 320, 1, 1), f"{CONV}.lora_up.weight": (320, 4, 1, 1),
          f"{CONV}.lora_mid.weight": (4, 4, 3, 3)}, "LoCon", 4),
        ({f"{PEFT}.to_k.lora_A.weight": (16, 2048), f"{PEFT}.to_k.lora_B.weight": (640, 16)},
         "LoRA", 16),
        ({f"{PEFT}.to_k.lora_A.default.weight": (16, 2048),
          f"{PEFT}.to_k.lora_B.default.weight": (640, 16),
          f"{PEFT}.to_k.lora_magnitude_vector.default.weight": (640,)}, "DoRA (LoRA)", 16),
        ({f"{PEFT}.processor.to_k_lora.down.weight": (16, 2048),
          f"{PEFT}.processor.to_k_lora.up.weight": (640, 16)}, "LoRA", 16),
        ({f"{PEFT}.to_k.lora.down.weight": (16, 2048),
          f"{PEFT}.to_k.lora.up.weight": (640, 16)}, "LoRA", 16),
        ({**lora(ATTN2_K, 2048), f"{ATTN2_K}.dora_scale": (640, 1)}, "DoRA (LoRA)", 8),
        ({f"{ATTN2_K}.hada_w1_a": (640, 6), f"{ATTN2_K}.hada_w1_b": (6, 2048),
          f"{ATTN2_K}.hada_w2_a": (640, 6), f"{ATTN2_K}.hada_w2_b": (6, 2048)}, "LoHa", 6),
        ({f"{ATTN2_K}.lokr_w1": (8, 16), f"{ATTN2_K}.lokr_w2_a": (80, 5),
          f"{ATTN2_K}.lokr_w2_b": (5, 128)}, "LoKr", 5),
        ({f"{ATTN2_K}.lokr_w1": (8, 16), f"{ATTN2_K}.lokr_w2": (80, 128)}, "LoKr", None),
        ({f"{ATTN2_K}.a1.weight": (2048, 4), f"{ATTN2_K}.a2.weight": (4, 2048),
          f"{ATTN2_K}.b1.weight": (640, 4), f"{ATTN2_K}.b2.weight": (4, 2048)}, "GLoRA", 4),
        ({f"{DEEP}.oft_blocks": (4, 320, 320), f"{DEEP}.alpha": ()}, "OFT", None),
        ({f"{DEEP}.oft_blocks": (2, 4, 320, 320)}, "BOFT", None),
        ({f"{DEEP}.weight": (1280,), f"{DEEP}.on_input": ()}, "IA3", None),
        ({f"{ATTN2_K}.diff": (640, 2048)}, "Full", None),
    ],
)  # fmt: skip
def test_families_ranks_and_base(
    shapes: dict[str, tuple[int, ...]], family: str, rank: int | None
) -> None:
    found = identify(header(shapes))
    assert (found.kind, found.family, found.rank, found.modules) == ("lora", family, rank, 1)
    assert found.parts == ("UNet",)
    if CONV not in next(iter(shapes)):
        assert found.base_model == "SDXL", found.evidence


def test_most_frequent_family_and_rank_come_first() -> None:
    shapes = lora(ATTN2_K, 2048, 8) | lora(DEEP, 1280, 4) | lora(DEEP + "x", 1280, 4)
    shapes |= {f"{CONV}.lora_down.weight": (2, 320, 3, 3), f"{CONV}.lora_up.weight": (320, 2, 1, 1)}
    found = identify(header(shapes))
    assert found.families == (("LoRA", 3), ("LoCon", 1))
    assert found.family == "LoRA + LoCon"
    assert found.rank == 4
    assert found.modules == 4


def test_parts_in_the_order_of_the_model() -> None:
    shapes = lora("lora_te2_a", 8) | lora("lora_te1_b", 8) | lora(ATTN2_K, 2048)
    assert identify(header(shapes)).parts == ("UNet", "TE1", "TE2")
    shapes = lora("text_encoder_2.text_model.a", 8) | lora("text_encoder.text_model.b", 8)
    assert identify(header(shapes)).parts == ("TE1", "TE2")


@pytest.mark.parametrize(
    ("shapes", "kind", "base"),
    [
        ({"model.diffusion_model.input_blocks.4.1.transformer_blocks.0.attn2.to_k.weight":
          (640, 2048), "conditioner.embedders.1.model.ln_final.bias": (1280,)},
         "checkpoint", "SDXL"),
        ({"model.diffusion_model.input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight":
          (320, 768)}, "unet", "SD 1.5"),
        ({"double_blocks.0.img_attn.norm.key_norm.scale": (128,)}, "checkpoint",
         "Flux, Chroma or HunyuanVideo"),
        ({"decoder.conv_in.weight": (512, 4, 3, 3), "encoder.conv_in.weight": (128, 3, 3, 3)},
         "vae", ""),
        ({"clip_l": (4, 768), "clip_g": (4, 1280)}, "embedding", ""),
        ({"emb_params": (4, 768)}, "embedding", ""),
        ({"something.weight": (4, 4)}, "unknown", ""),
        ({f"{ATTN2_K}.alpha": ()}, "lora", ""),
        ({}, "unknown", ""),
    ],
)  # fmt: skip
def test_other_kinds(shapes: dict[str, tuple[int, ...]], kind: str, base: str) -> None:
    found = identify(header(shapes))
    assert (found.kind, found.base_model) == (kind, base)
    assert found.families == ()


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.int64])
def test_alpha_is_read_at_its_place(tmp_path: Path, dtype: type) -> None:
    path = tmp_path / "a.safetensors"
    save_file(
        {
            f"{ATTN2_K}.lora_down.weight": np.full((4, 2048), 7, np.float16),
            f"{ATTN2_K}.lora_up.weight": np.full((640, 4), 7, np.float16),
            f"{ATTN2_K}.alpha": np.array(2, dtype),
        },
        path,
    )
    found = identify(read_header(path))
    assert found.alpha is not None
    assert read_scalar(path, found.alpha) == 2.0


def test_bfloat16_and_useless_scalars(tmp_path: Path) -> None:
    path = tmp_path / "raw"
    path.write_bytes(b"\x00\x41" + b"\x80\x7f")
    assert read_scalar(path, TensorInfo("BF16", (), 0, 2)) == 8.0
    assert read_scalar(path, TensorInfo("BF16", (1,), 2, 4)) is None, "infinite"
    assert read_scalar(path, TensorInfo("F16", (2,), 0, 4)) is None, "two numbers"
    assert read_scalar(path, TensorInfo("F8_E4M3", (), 0, 1)) is None, "unknown dtype"
    assert read_scalar(path, TensorInfo("F32", (), 2, 6)) is None, "beyond the end"


_KEYS = st.lists(
    st.sampled_from(
        [ATTN2_K, "lora_down", "weight", "alpha", "hada_w1_b", "lokr_w1", "lokr_w2", "a1", "b1",
         "diff", "oft_blocks", "attn2", "to_k", "input_blocks", "double_blocks", "", "lora_A"]
    ),
    max_size=4,
).map(".".join)  # fmt: skip


@given(st.dictionaries(_KEYS | st.text(), st.lists(st.integers(0, 9), max_size=4).map(tuple)))
def test_any_header_gets_an_identity(shapes: dict[str, tuple[int, ...]]) -> None:
    found = identify(header(shapes))
    assert found.modules == sum(count for _, count in found.families)
