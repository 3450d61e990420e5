"""The model families that LoRAs are made for: one row each, with what tells them apart."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple


class Family(NamedTuple):
    """A family's name, how programs and people write it, and names that it alone has."""

    name: str
    called: tuple[str, ...] = ()
    """How it begins in metadata and sidecars, as `folded` writes it."""
    marks: tuple[str, ...] = ()
    """Parts of module names, any of which tells the family; see `engine.lora.base_model.names`.

    `^` and `$` are the ends of a name, `#` is any number, `=3072` the inputs the module has, and
    other signs are `_` unless one is a dot.
    """


FAMILIES = (
    # Networks built on a UNet.
    Family("SDXL", ("sdxl", "stablediffusionxl", "xl", "animagine", "pony", "illustrious", "noob")),
    Family("SDXL refiner", ("sdxlrefiner", "sdxl10refiner", "sdxlbase10refiner",
                            "stablediffusionxlrefiner", "stablediffusionxlv1refiner")),
    Family("DeepFloyd IF or Kandinsky 2", ("deepfloyd",),
           ("attentions_#_add_k_proj", "attentions_#_to_q")),
    Family("Kandinsky", ("kandinsky",), ("visual_transformer_blocks", "attentions_#_attention_to")),
    Family("Kolors", ("kolors", "kwaikolors"),
           ("self_attention_query_key_value", "encoder_hid_proj", "add_embedding_linear_#=5632",
            "label_emb_#_#=5632")),
    Family("Playground", ("playground",)),
    Family("SSD-1B", ("ssd1b", "ssd", "segmindssd")),
    Family("Segmind Vega", ("vega", "segmindvega")),
    Family("Koala", ("koala",)),
    Family("SD 1.5", ("sd1", "sdv1", "stablediffusion1", "stablediffusionv1")),
    Family("SD 2", ("sd2", "sdv2", "stablediffusion2", "stablediffusionv2")),
    Family("AnimateDiff", ("animatediff",), ("motion_modules",)),
    Family("SVD", ("svd", "stablevideo"),
           ("temporal_transformer_blocks", "temporal_res_block", "time_mixer", "time_stack")),
    Family("ModelScope", ("modelscope", "zeroscope"), ("temp_attentions", "temp_convs")),
    Family("Stable Cascade", ("stablecascade", "cascade", "wuerstchen", "wurstchen"),
           ("kv_mapper", "channelwise", "lora_prior_unet_", "lora_prior_te_",
            "down_blocks_#_#_attention", "up_blocks_#_#_attention")),
    # Transformers with joint blocks of pictures and texts.
    Family("Krea 2", ("krea2",), ("text_fusion", "^transformer_blocks_#_attn_to_gate")),
    Family("Flux 2", ("flux2",),
           ("to_qkv_mlp_proj", "double_stream_modulation", "single_stream_modulation_",
            "^transformer_blocks_#_ff_linear_in", "^transformer_blocks_#_ff_context_linear_in",
            "^transformer_blocks_#_attn_=6144", "^transformer_blocks_#_attn_add=4096",
            "^double_blocks_#=6144", "^double_blocks_#=4096", "^double_blocks_#_img_mlp=9216",
            "^double_blocks_#_txt_mlp=9216", "^single_blocks_#=6144", "^single_blocks_#=4096",
            "^single_blocks_#=12288")),
    Family("Flux 3", ("flux3",), ("mode_blocks_", "early_stream_modulations")),
    Family("HunyuanImage", ("hunyuanimage",),
           ("^double_blocks_#=3584", "^single_blocks_#=3584", "token_refiner=3584",
            "^transformer_blocks_#_attn_=3584", "^single_transformer_blocks_#=3584")),
    Family("JoyImage", ("joyimage",), ("^double_blocks_#_attn_img",)),
    Family("HunyuanVideo", ("hunyuanvideo", "framepack", "hyvideo"),
           (".img_attn_qkv", ".txt_attn_qkv", ".img_attn_proj", ".txt_attn_proj",
            "individual_token_refiner", "context_embedder_token_refiner",
            "^double_blocks_#_img_mlp_fc", "^double_blocks_#_txt_mlp_fc",
            "^double_blocks_#_img_mod_linear", "^double_blocks_#_txt_mod_linear",
            "^single_blocks_#_modulation_linear", "^double_blocks_19_", "^single_blocks_38_",
            "^single_blocks_39_", "^single_transformer_blocks_38_",
            "^single_transformer_blocks_39_", "^double_blocks_#=2048",
            "^transformer_blocks_#_attn_add_q=2048")),
    Family("Chroma", ("chroma",), ("distilled_guidance_layer",)),
    Family("AuraFlow", ("auraflow", "ponyv7", "pony7", "ponydiffusionv7", "ponyflow"),
           ("joint_transformer_blocks", "^double_layers_#", "^single_layers_#",
            "^single_transformer_blocks_#_ff_linear", "^single_transformer_blocks_#_norm#")),
    Family("SD 3.5", ("sd35", "stablediffusion35", "stablediffusionv35"),
           ("joint_blocks_#_x_block_attn#", "joint_blocks=2432",
            "^transformer_blocks_#_attn_=2432")),
    Family("SD 3", ("sd3", "stablediffusion3", "stablediffusionv3"),
           ("joint_blocks", "^transformer_blocks_#_attn_=1536")),
    Family("Mochi", ("mochi", "genmo"),
           ("^transformer_blocks_#_attn#_add_", "^transformer_blocks_#_attn#_to_add",
            "^blocks_#_attn_qkv_x", "^blocks_#_attn_qkv_y", "^blocks_#_attn_proj_x")),
    Family("Qwen-Image", ("qwen",),
           ("^transformer_blocks_#_img_m", "^transformer_blocks_#_txt_m",
            "^transformer_blocks_20_attn_", "^transformer_blocks_40_attn_",
            "^transformer_blocks_59_attn_")),
    Family("HiDream", ("hidream",), ("double_stream_blocks", "single_stream_blocks", "^lora_te4_")),
    Family("Flux", ("flux",),
           ("_mod_lin$", "^single_blocks_#_modulation", "^single_blocks_#_processor",
            "^double_blocks_#_processor", "^single_transformer_blocks_#_norm_",
            "^transformer_blocks_#_norm#_context", "guidance_in_", "vector_in_")),
    Family("Flex", ("flex",)),
    Family("Flux or Chroma", (), ("^double_blocks_#_img_mlp_#", "^double_blocks_#_txt_mlp_#")),
    Family("Flux, Chroma or HunyuanVideo", (),
           ("^double_blocks_#", "^single_blocks_#", "^single_transformer_blocks_#")),
    Family("Flux, SD 3 or Qwen-Image", (), ("^transformer_blocks_#_attn_",)),
    # Transformers with attention to pictures and to texts in turn.
    Family("LTX 2", ("ltx2", "ltxv2"), ("audio_attn#", "audio_to_video", "video_to_audio")),
    Family("HunyuanDiT", ("hunyuandit", "hunyuan1", "hunyuan"),
           ("^blocks_#_attn#_wqkv", "^blocks_#_attn#_q_proj", "^blocks_#_attn#_kv_proj",
            "^blocks_#_attn#_out_proj", "skip_linear", "default_modulation", "blocks_#_attn#=1408",
            "attention_self_query")),
    Family("Sana", ("sana",),
           ("inverted_conv", "conv_inverted", "^transformer_blocks_#_attn#=2240",
            "^blocks_#_attn_=2240", "^blocks_#_cross_attn_=2240")),
    Family("PixArt", ("pixart",),
           ("^blocks_#_cross_attn_q_linear", "^blocks_#_cross_attn_kv_linear",
            "^transformer_blocks_#_attn#=1152", "^blocks_#_attn_qkv=1152")),
    Family("CogVideoX", ("cogvideo",),
           ("^layers_#_attention_query_key_value", "^transformer_blocks_#_attn#=1920")),
    Family("CogVideoX or Mochi", (), ("^transformer_blocks_#_attn#=3072",)),
    Family("CogView", ("cogview",), ("^transformer_blocks_#_attn#=2560",)),
    Family("Cosmos", ("cosmos",),
           ("^transformer_blocks_#_attn#_to=1024", "^blocks_block#_blocks",
            "^blocks_#_self_attn_q_proj=5120", "^blocks_#_self_attn_q_proj=4096")),
    Family("Anima", ("anima",), ("llm_adapter",)),
    Family("Anima or Cosmos", (),
           ("^blocks_#_cross_attn_q_p", "^blocks_#_cross_attn_k_p", "^blocks_#_cross_attn_v_p",
            "^blocks_#_cross_attn_output", "^blocks_#_self_attn_q_p", "^blocks_#_self_attn_k_p",
            "^blocks_#_self_attn_v_p", "^blocks_#_self_attn_output", "^blocks_#_mlp_layer#",
            "^blocks_#_adaln_modulation_")),
    Family("LTX", ("ltx", "lightricks"),
           ("^transformer_blocks_#_attn#=2048", "^transformer_blocks_#_attn#=4096")),
    Family("Wan", ("wan",),
           ("^blocks_#_cross_attn", "^blocks_#_self_attn", "^blocks_#_ffn", "^blocks_#_attn#_to",
            "^blocks_#_attn#_add", "^vace_blocks")),
    # Transformers with plain layers.
    Family("Z-Image", ("zimage",), ("layers_#=3840", "refiner_#=3840")),
    Family("Lumina 2", ("lumina", "neta"), ("layers_#=2304", "refiner_#=2304")),
    Family("OmniGen", ("omnigen",), ("layers_#=2520", "refiner_#=2520", "^layers_#_self_attn_qkv")),
    Family("Ideogram", ("ideogram",), ("layers_#=4608",)),
    Family("ERNIE-Image", ("ernie",), ("^layers_#_self_attention_to",)),
    Family("ACE-Step", ("acestep",), ("^layers_#_cross_attn_to",)),
    Family("Bria", ("bria", "fibo"), ("perceiver_layers", "^layers_#_cross_attention")),
    Family("Z-Image or Lumina 2", (), ("noise_refiner", "context_refiner")),
    # What is left: text encoders, and transformers that no row above names.
    Family("SD 3", (), ("^lora_te3_", "^oft_te3_", "^text_encoder_3_")),
    Family("a model with a T5 text encoder", (), ("selfattention_", "densereludense")),
    Family("a model with a language model for its texts", (),
           ("mlp_gate_proj", "^layers_#_self_attn_q_proj", "te_layers_#_self_attn",
            "te#_layers_#_self_attn", "te_model_layers_#", "te#_model_layers_#",
            "text_encoder_layers_#", "text_encoder_model_layers_#")),
    Family("a diffusion transformer", (),
           ("^transformer_blocks_#_", "^blocks_#_", "^layers_#_att", "^layers_#_adaln",
            "^img_in$", "^txt_in$", "^x_embedder$", "^context_embedder$", "^time_text_embed_",
            "^cap_embedder_", "^head_head$", "^final_layer_", "^patch_embedding$",
            "^text_embedding_#$", "^caption_projection_", "^proj_out$")),
)  # fmt: skip
"""In the order in which marks are looked for: the first row with a mark in the file wins."""

SDXL_SHAPED = ("Kolors", "Playground", "SSD-1B", "Segmind Vega", "Koala")
"""Families whose UNet has SDXL's names and widths: only words tell them from SDXL."""

VARIANTS = (
    ("Pony", ("pony",)),
    ("Illustrious", ("illustrious",)),
    ("NoobAI", ("noob", "naixl")),
    ("Animagine", ("animagine",)),
)
"""Models trained on from SDXL so far that people name them beside it, and words that tell them."""

SAYS_NOTHING = ("", "none", "null", "unknown", "other", "na", "custom", "undefined", "unspecified",
                "model", "base", "checkpoint", "lora", "diffusion", "stablediffusion")  # fmt: skip
"""Values that programs write where they know no base model, as `folded` writes them."""


_XL = re.compile(r"(?<![A-Z])XL(?![a-z])|(?<![a-z])xl(?![a-z])")
"""As people end the names of models that they trained on from SDXL: `juggernautXL_v9`."""


def folded(text: str) -> str:
    """A name without what its writers differ in: letter case, spaces and signs."""
    return "".join(char for char in text.casefold() if char.isalnum())


@lru_cache(maxsize=1024)
def family_called(words: str) -> str:
    """The family whose name a text begins with; empty when it is none of the table."""
    text = folded(words)
    length, found = max(
        (
            (len(start), family.name)
            for family in FAMILIES
            for start in family.called
            if text.startswith(start)
        ),
        default=(0, ""),
    )
    # Models trained on from SDXL have names of any kind: `wanderlust_xl` is not Wan.
    is_xl = "sdxl" in text or text.endswith("xl") or _XL.search(words) or variant_called(words)
    is_cut = text[length:] != "xl" and _ends_within_a_word(words, length)
    return "SDXL" if is_xl and (not found or is_cut) else found


def _ends_within_a_word(words: str, letters: int) -> bool:
    """Whether a name goes on with a letter right behind so many letters and digits."""
    for place, char in enumerate(words):
        letters -= len(folded(char))
        if letters <= 0:
            return words[place + 1 : place + 2].isalpha()
    return False


@lru_cache(maxsize=1024)
def variant_called(words: str) -> str:
    """The variant of SDXL that a text names; empty when it names none."""
    text = folded(words)
    return next((name for name, marks in VARIANTS if any(mark in text for mark in marks)), "")
