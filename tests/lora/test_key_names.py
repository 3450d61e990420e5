"""Which tensor plays which role in which module, and which module of the model that is."""

from __future__ import annotations

import pytest
from torch import nn

from engine.files.header import TensorInfo
from engine.lora.key_names import sort_keys
from engine.lora.targets import Target, TargetTable
from tests.support.tiny_sdxl import make_parts

TO_Q = "down_blocks.1.attentions.0.transformer_blocks.0.attn1.to_q"
TO_OUT = "down_blocks.1.attentions.0.transformer_blocks.0.attn1.to_out.0"
ATTN = "unet.down_blocks.1.attentions.0.transformer_blocks.0.attn1"
Q_PROJ = "encoder.layers.0.self_attn.q_proj"


@pytest.fixture(scope="module")
def parts() -> dict[str, nn.Module]:
    return make_parts()


@pytest.fixture(scope="module")
def table(parts: dict[str, nn.Module]) -> TargetTable:
    return TargetTable(parts)


def info() -> TensorInfo:
    return TensorInfo("F16", (4, 4), 0, 32)


def roles(*keys: str) -> dict[str, list[str]]:
    modules = sort_keys({key: info() for key in keys}).modules
    return {name: sorted(module.tensors) for name, module in modules.items()}


@pytest.mark.parametrize(
    "endings",
    [
        (".lora_A.weight", ".lora_B.weight"),
        (".lora_A.default.weight", ".lora_B.default.weight"),
        (".lora_A.my_style_2.weight", ".lora_B.my_style_2.weight"),
        (".lora_A", ".lora_B"),
        (".lora.down.weight", ".lora.up.weight"),
        ("_lora.down.weight", "_lora.up.weight"),
        (".lora_down.weight", ".lora_up.weight"),
        (".lora_linear_layer.down.weight", ".lora_linear_layer.up.weight"),
    ],
)
def test_endings_of_plain_loras(endings: tuple[str, str]) -> None:
    assert roles(*(f"{ATTN}.to_q{ending}" for ending in endings)) == {
        f"{ATTN}.to_q": ["down", "up"]
    }


@pytest.mark.parametrize(
    ("ending", "role"),
    [
        ("lora_magnitude_vector", "magnitude"),
        ("lora_magnitude_vector.weight", "magnitude"),
        ("lora_magnitude_vector.default.weight", "magnitude"),
        ("lora_magnitude_vector.default", "magnitude"),
        ("lora_B.bias", "up_bias"),
        ("lora_B.default.bias", "up_bias"),
        ("hada_w1_a.default", "hada_w1_a"),
        ("lokr_t2.default", "lokr_t2"),
        ("oft_R.weight", "oft_R"),
        ("oft_R.default.weight", "oft_R"),
        ("oft_R.scaled_oft", "scaled_oft"),
        ("oft_diag", "oft_blocks"),
        ("bm.weight", "bm"),
        ("lora_alpha", "alpha"),
        ("lora_alpha.default", "alpha"),
        ("lora_E", "singular"),
        ("lora_E.default", "singular"),
        ("lora_A.default", "down"),
        ("lora_embedding_A", "embedding_A"),
        ("lora_embedding_B.default", "embedding_B"),
        ("q_layer.weight", "q_layer"),
        ("p_layer.weight", "p_layer"),
        ("lambda_layer", "lambda_layer"),
        ("base_lambda", "base_lambda"),
        ("initial_norm", "initial_norm"),
        ("dora_multiplier", "dora_multiplier"),
        ("hra_u.default", "hra_u"),
        ("hira_A", "hira_A"),
        ("hira_embedding_B", "hira_embedding_B"),
        ("ia3_l", "ia3_l"),
        ("boft_R.default", "boft_R"),
        ("boft_s", "boft_s"),
        ("lora_up.weight_scale", "weight_scale"),
        ("lora_A.scale_weight", "weight_scale"),
        ("lora_B.default.weight_scale", "weight_scale"),
        ("weight", "weight"),
    ],
)
def test_endings_of_other_roles(ending: str, role: str) -> None:
    assert roles("x.y.diff", f"x.y.{ending}") == {"x.y": sorted(["diff", role])}


def test_constraint_of_sd_scripts_is_told_by_the_prefix() -> None:
    assert roles("oft_unet_x.oft_blocks", "oft_unet_x.alpha") == {
        "oft_unet_x": ["constraint", "oft_blocks"]
    }
    assert roles("lora_unet_x.oft_blocks", "lora_unet_x.alpha") == {
        "lora_unet_x": ["alpha", "oft_blocks"]
    }


def test_bundled_embeddings_and_unknown_keys_are_told_apart() -> None:
    keys = sort_keys(
        {
            key: info()
            for key in (
                "lora_unet_x.lora_down.weight",
                "lora_unet_x.lora_up.weight",
                "lora_unet_x.lora_down.default_2.weight",
                "lora_unet_y.alpha",
                "some.stray.weight",
                "logit_scale",
                "bundle_emb.my.style.string_to_param.*",
                "bundle_emb.both.clip_l",
                "bundle_emb.both.clip_g",
                "bundle_emb.out.clip_l_out",
                "bundle_emb.out.t5",
                "clip_g",
                "text_encoders_0",
            )
        }
    )
    assert list(keys.modules) == ["lora_unet_x"]
    assert {name: sorted(found) for name, found in keys.embeddings.items()} == {
        "my.style": ["emb_params"],
        "both": ["clip_g", "clip_l"],
        "out": ["clip_l_out"],
        "": ["clip_g", "text_encoders_0"],
    }
    assert sorted(keys.unknown) == [
        "bundle_emb.out.t5",
        "logit_scale",
        "lora_unet_x.lora_down.default_2.weight",
        "lora_unet_y.alpha",
        "some.stray.weight",
    ]


def test_a_second_adapter_for_a_module_does_not_overwrite_the_first() -> None:
    first, second = TensorInfo("F16", (4, 4), 0, 32), TensorInfo("F16", (8, 4), 32, 96)
    keys = sort_keys({"x.lora_A.one.weight": first, "x.lora_A.two.weight": second})
    assert keys.modules["x"].tensors["down"] is first
    assert keys.unknown == ("x.lora_A.two.weight",)


@pytest.mark.parametrize(
    ("name", "part", "path"),
    [
        (f"{ATTN}.to_q", "unet", TO_Q),
        (f"{ATTN}.processor.to_q", "unet", TO_Q),
        (f"{ATTN}.processor.to_out", "unet", TO_OUT),
        (f"{ATTN}.to_out.0", "unet", TO_OUT),
        (f"unet.base_model.model.{TO_Q}", "unet", TO_Q),
        (f"unet._orig_mod.{TO_Q}", "unet", TO_Q),
        (f"module.{TO_Q}", "unet", TO_Q),
        (f"module.base_model.model._orig_mod.{TO_Q}", "unet", TO_Q),
        (f"base_model.model.{TO_Q}", "unet", TO_Q),
        (TO_Q, "unet", TO_Q),
        (f"unet.{TO_Q}.base_layer", "unet", TO_Q),
        (f"base_model.model.{TO_Q}.base_layer.base_layer", "unet", TO_Q),
        (f"lora_unet_{TO_Q}_base_layer".replace(".", "_"), "unet", TO_Q),
        ("lycoris_" + TO_Q.replace(".", "_"), "unet", TO_Q),
        ("oft_unet_input_blocks_4_1_transformer_blocks_0_attn1_to_q", "unet", TO_Q),
        ("model.diffusion_model.input_blocks.4.1.transformer_blocks.0.attn1.to_q", "unet", TO_Q),
        ("model.unet." + TO_Q, "unet", TO_Q),
        ("state_dict.model." + TO_Q, "unet", TO_Q),
        ("pipe.unet." + TO_Q, "unet", TO_Q),
        (f"base_model.model.model.diffusion_model.{TO_Q}", "unet", TO_Q),
        (f"module.model.diffusion_model.{TO_Q}", "unet", TO_Q),
        (f"_orig_mod.model.diffusion_model.{TO_Q}", "unet", TO_Q),
        (f"base_model.model.pipe.unet.{TO_Q}", "unet", TO_Q),
        (f"state_dict._orig_mod.pipeline.unet.module.{TO_Q}", "unet", TO_Q),
        ("pipeline.text_encoder." + Q_PROJ, "text_encoder", Q_PROJ),
        ("lora_unet_input_blocks_4_1_transformer_blocks_0_attn1_to_out", "unet", TO_OUT),
        ("lora_unet_time_embed_0", "unet", "time_embedding.linear_1"),
        ("lora_unet_label_emb_0_2", "unet", "add_embedding.linear_2"),
        ("lora_unet_input_blocks_0_0", "unet", "conv_in"),
        ("lora_unet_out_2", "unet", "conv_out"),
        ("lora_unet_input_blocks_3_0_op", "unet", "down_blocks.0.downsamplers.0.conv"),
        ("lora_unet_output_blocks_2_2_conv", "unet", "up_blocks.0.upsamplers.0.conv"),
        ("lora_te1_text_model_encoder_layers_0_self_attn_q_proj", "text_encoder", Q_PROJ),
        ("lora_te_text_model_encoder_layers_0_self_attn_q_proj", "text_encoder", Q_PROJ),
        ("oft_te_text_model_encoder_layers_0_self_attn_q_proj", "text_encoder", Q_PROJ),
        (
            "text_encoder.text_model.embeddings.token_embedding",
            "text_encoder",
            "embeddings.token_embedding",
        ),
        ("text_encoder.text_model.encoder.layers.0.self_attn.q_proj", "text_encoder", Q_PROJ),
        ("lycoris_text_model_encoder_layers_0_self_attn_q_proj", "text_encoder", Q_PROJ),
        ("base_model.model.text_model.encoder.layers.0.self_attn.q_proj", "text_encoder", Q_PROJ),
        ("base_model.model.encoder.layers.0.self_attn.q_proj", "text_encoder", Q_PROJ),
        (f"lora_unet.{TO_Q}", "unet", TO_Q),
        ("lora_te.text_model.encoder.layers.0.self_attn.q_proj", "text_encoder", Q_PROJ),
        ("lora_te1.text_model.encoder.layers.0.self_attn.q_proj", "text_encoder", Q_PROJ),
        ("lora_te2.text_model.encoder.layers.0.self_attn.q_proj", "text_encoder_2", Q_PROJ),
        ("clip_g.text_projection", "text_encoder_2", "text_projection"),
        ("lora_te2_text_projection", "text_encoder_2", "text_projection"),
        ("lora_unet_nothing_here", "", ""),
        ("lora_te1_text_projection", "", ""),
        ("text_encoder_3.encoder.layers.0.self_attn.q_proj", "", ""),
    ],
)
def test_names_lead_to_modules(
    table: TargetTable, parts: dict[str, nn.Module], name: str, part: str, path: str
) -> None:
    found = table.find(name)
    if not part:
        assert found is None
        return
    inside = dict(parts[part].named_modules())
    wanted = path if path in inside else f"text_model.{path}"
    assert found == Target(part, wanted)


def test_factors_of_two_peft_adapters_are_not_multiplied() -> None:
    """They are two halves; a name that only some of the keys have parts nothing."""
    halves = sort_keys({"x.lora_A.one.weight": info(), "x.lora_B.two.weight": info()})
    assert halves.modules["x"].tensors.keys() == {"down"}
    assert halves.unknown == ("x.lora_B.two.weight",)
    both = {f"x.lora_{side}.{name}.weight": info() for side in "AB" for name in ("one", "two")}
    sorted_ = sort_keys(both)
    assert set(sorted_.modules["x"].keys.values()) == {
        "x.lora_A.one.weight",
        "x.lora_B.one.weight",
    }
    assert len(sorted_.unknown) == 2
    named_in_part = sort_keys(
        {"x.lora_A.weight": info(), "x.lora_B.one.weight": info(), "x.alpha": info()}
    )
    assert named_in_part.modules["x"].tensors.keys() == {"down", "up", "alpha"}
