"""What kind of file a table of tensor names belongs to; torch is not needed to tell."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal, NamedTuple

from engine.files.header import TensorInfo
from engine.sdxl.part_names import TEXT_ENCODERS, part_name

Kind = Literal[
    "lora", "checkpoint", "unet", "vae", "text encoder", "embedding", "controlnet", "ip-adapter",
    "t2i-adapter", "other", "unknown",
]  # fmt: skip


class FileKind(NamedTuple):
    """A kind of file, and what to call it in a sentence: `an IP-Adapter`."""

    kind: Kind
    words: str


class _Row(NamedTuple):
    """A kind with parts of names that each tell it; `\\n` is where a name begins or ends."""

    kind: Kind
    words: str
    marks: tuple[str, ...]


LORA = FileKind("lora", "a LoRA")
STRANGE_LORA = FileKind("lora", "a LoRA in a form that is not known here")
UNKNOWN = FileKind("unknown", "a file of an unknown kind")
_CHECKPOINT = FileKind("checkpoint", "a whole model")
_UNET = FileKind("unet", "a UNet alone")
_UNET_AND_VAE = FileKind("unet", "a UNet with a VAE, but without text encoders")
_WITHOUT_UNET = FileKind("checkpoint", "a model without its UNet")
_CLIP = FileKind("text encoder", "a text encoder (CLIP)")
_VAE = FileKind("vae", "a VAE")
_EMBEDDING = FileKind("embedding", "a textual inversion (an embedding)")

_FOREIGN = (
    _Row("controlnet", "a control-LoRA (a ControlNet in low rank)", ("\nlora_controlnet\n",)),
    _Row("controlnet", "a ControlNet (LLLite)", ("\nlllite_",)),
    _Row("controlnet", "a ControlNet",
         ("\ncontrol_model.", "controlnet_cond_embedding.", "controlnet_down_blocks.",
          "controlnet_mid_block.", "controlnet_blocks.", "controlnet_x_embedder.",
          "input_hint_block.", "zero_convs.")),
    _Row("ip-adapter", "a PuLID adapter (for faces)", ("\nid_adapter", "pulid_")),
    _Row("ip-adapter", "a PhotoMaker adapter (for faces)", ("\nid_encoder.",)),
    _Row("ip-adapter", "an IP-Adapter",
         ("\nimage_proj.", "\nimage_proj_model.", "ip_adapter", "to_k_ip.", "to_v_ip.")),
    _Row("t2i-adapter", "a T2I adapter",
         ("adapter.body.", "\nbody.0.block1.", "\nbody.0.in_conv.", "\nbody.0.resnets.0.block1.")),
)  # fmt: skip
"""What may hold LoRA tensors besides its own, as IP-Adapter FaceID does, and is no LoRA."""

_UNSUPPORTED = (
    _Row("lora", "a VeRA adapter (PEFT)", (".vera_lambda_", "\nvera_A", ".vera_A")),
    _Row("lora", "a PVeRA adapter (PEFT)", (".pvera_lambda_",)),
    _Row("lora", "a VB-LoRA adapter (PEFT)", (".vblora_logits_",)),
    _Row("lora", "a RandLoRA adapter (PEFT)", (".randlora_",)),
    _Row("lora", "a FourierFT adapter (PEFT)", (".fourierft_spectrum",)),
    _Row("lora", "a WaveFT adapter (PEFT)", (".waveft_spectrum",)),
    _Row("lora", "a C3A adapter (PEFT)", (".c3a_kernel",)),
    _Row("lora", "a SHiRA adapter (PEFT)", (".shira_weight",)),
    _Row("lora", "a MiSS adapter (PEFT)", (".miss_block", ".bone_")),
    _Row("lora", "a RoAd adapter (PEFT)", (".road_theta", ".road_alpha")),
    _Row("lora", "a GraLoRA adapter (PEFT)", (".gralora_",)),
    _Row("lora", "a GLoRA adapter in PEFT's form", (".glora_A.", ".glora_B.")),
    _Row("lora", "a DeLoRA adapter (PEFT)", (".delora_",)),
    _Row("lora", "a DEFT adapter (PEFT)", (".deft_",)),
    _Row("lora", "a PSOFT adapter (PEFT)", (".psoft_",)),
    _Row("lora", "an OSF adapter (PEFT)", (".osf_svd_params",)),
    _Row("lora", "a Poly adapter (PEFT)", (".poly_lora_",)),
    _Row("lora", "a Lily adapter (PEFT)", (".lily_",)),
    _Row("lora", "a PEANuT adapter (PEFT)", (".peanut_",)),
    _Row("lora", "a FRoD adapter (PEFT)", (".frod_",)),
    _Row("lora", "a TinyLoRA adapter (PEFT)", (".tinylora_",)),
    _Row("lora", "a UniLoRA adapter (PEFT)", (".unilora_",)),
    _Row("lora", "an AdaMSS adapter (PEFT)", (".adamss_",)),
    _Row("lora", "a set of trained layer norms (PEFT)", (".ln_tuning_layers.",)),
    _Row("lora", "a set of trained biases (PEFT's BEFT)", (".beft_bias",)),
    _Row("lora", "a set of trained tokens (PEFT)", (".trainable_tokens_",)),
    _Row("lora", "a supertuning adapter (PEFT)", (".supertuning_",)),
    _Row("lora", "a LayerDiffuse patch (for transparent pictures)", ("::lora::", "::diff::")),
    _Row("lora", "a set of Custom Diffusion weights", ("_custom_diffusion.",)),
)  # fmt: skip
"""Adapters that are not merged here: most need numbers that their files do not hold."""

_ADAPTER_WORDS = ("lora", "loha", "lokr", "hada_w", ".oft_", "oft_unet", "oft_te")
_LIKE_OTHERS = (
    _Row("other", "an AnimateDiff motion module", ("motion_modules.",)),
    _Row("text encoder", "a text encoder (T5)", ("\nblocks.0.pos_embedding.embedding.",)),
    _Row("vae", "a VAE of another model (Stable Cascade)", ("\nvquantizer.",)),
)  # fmt: skip
"""What has blocks of the same names as networks that denoise, and is none."""

_TRANSFORMERS = (
    "\ndouble_blocks.", "\nsingle_blocks.", "\ntransformer_blocks.", "\nsingle_transformer_blocks.",
    "\nvisual_transformer_blocks.", "\njoint_transformer_blocks.", "\njoint_blocks.",
    "\ndouble_layers.", "\nsingle_layers.", "\ndouble_stream_blocks.", "\nblocks.0.cross_attn.",
    "\nblocks.0.self_attn.", "\nblocks.0.adaln", "\nblocks.0.attn1.", "\nblocks.0.attn.",
    "\nblocks.0.attention.", "\nlayers.0.adaLN_modulation.", "\nlayers.0.attention.",
    "\ntransformer.transformer_blocks.", "\ncap_embedder.", "\nx_embedder.", "\npatch_embedding.",
)  # fmt: skip
"""Networks that denoise, as a UNet does, in other models."""

_PARTS = (
    _Row("text encoder", "a text encoder (T5)", ("SelfAttention.q.",)),
    _Row("text encoder", "a language model (another model's text encoder)",
         ("\nmodel.layers.0.", "\nlayers.0.self_attn.", "embed_tokens.", "language_model.")),
    _Row("other", "an image encoder (CLIP Vision)",
         ("vision_model.", "visual.transformer.", "\nvisual.", "\nimage_encoder.")),
    _Row(*_CLIP, ("text_model.", "transformer.resblocks.", "token_embedding.")),
    _Row("other", "a face restorer", ("stylegan_decoder", "\nquantize.embedding.")),
    _Row(*_VAE, ("\ndecoder.upsamples.", "\ndecoder.conv1.", "\nencoder.conv1.")),
    _Row("vae", "a small VAE for previews (TAESD)",
         ("taesd_", "\ndecoder.layers.", "\n1.conv.0.", "\n3.conv.0.")),
    _Row("other", "an upscaler",
         ("conv_first.", ".rdb1.", ".RDB1.", "\nmodel.1.sub.", "residual_group.",
          "relative_position_bias_table", "residual_layer.", "\nupsampler.", "\nfeats.0.",
          "\nbody.0.weight", "block_1.c1_r.", "\nto_img.")),
    _Row("other", "a hypernetwork", ("\n320.0.", "\n640.0.", "\n768.0.", "\n1280.0.")),
    _Row("other", "a detector, which finds things in pictures",
         ("\nmodel.0.conv.", "mask_decoder.", ".dfl.conv.")),
)  # fmt: skip

_EMBEDDING_KEYS = ("clip_l", "clip_g", "clip_l_out", "clip_g_out", "text_encoders_0",
                   "text_encoders_1", "emb_params", "t5xxl")  # fmt: skip
_EMBEDDING_MAX_TENSORS = 8
_TEXT_WIDTHS = (768, 1024, 1280)
"""Of the vectors of SD 1.x, SD 2 and SDXL."""


def foreign_kind(names: Iterable[str]) -> FileKind | None:
    """The kind of a file that is no LoRA whatever adapters lie in it; None for all others."""
    return _first(_FOREIGN, _joined(names))


def kind_without_adapters(tensors: Mapping[str, TensorInfo]) -> FileKind:
    """The kind of a file in which no adapter of a known form lies, and which is not foreign."""
    if _is_embedding(tensors):
        return _EMBEDDING
    if unsupported := _first(_UNSUPPORTED, _joined(tensors)):
        return unsupported
    strange = sum(any(word in name.lower() for word in _ADAPTER_WORDS) for name in tensors)
    if strange and 2 * strange >= len(tensors):
        return STRANGE_LORA
    split = [part_name(name) for name in tensors]
    parts = {found.part for found in split} - {None}
    encoders = parts & set(TEXT_ENCODERS)
    text = _joined(found.name for found in split)
    if found := _first(_LIKE_OTHERS, text):
        return found
    if any(mark in text for mark in _TRANSFORMERS):
        return _CHECKPOINT
    if "unet" in parts:
        # Other networks that denoise lie under the same prefix.
        is_unet = any(f.part == part_name(f.name).part == "unet" for f in split)
        if encoders or not is_unet:
            return _CHECKPOINT
        return _UNET_AND_VAE if "vae" in parts else _UNET
    if encoders and "vae" in parts:
        return _WITHOUT_UNET
    if parts:
        return _CLIP if encoders else _VAE
    return _first(_PARTS, text) or _first(_PARTS, _joined(tensors)) or UNKNOWN


def _first(rows: Iterable[_Row], text: str) -> FileKind | None:
    for row in rows:
        if any(mark in text for mark in row.marks):
            return FileKind(row.kind, row.words)
    return None


def _joined(names: Iterable[str]) -> str:
    """All names in one text, in which a mark is found in one go however many there are."""
    return "\n".join(("", *names, ""))


def _is_embedding(tensors: Mapping[str, TensorInfo]) -> bool:
    if not 0 < len(tensors) <= _EMBEDDING_MAX_TENSORS:
        return False
    if all(name in _EMBEDDING_KEYS or name.startswith("string_to_param") for name in tensors):
        return True
    # diffusers names the one tensor after the word that it teaches: `<cat-toy>`.
    ((name, info), *others) = tensors.items()
    is_vectors = 1 <= len(info.shape) <= 2 and info.shape[-1] in _TEXT_WIDTHS
    return not others and "." not in name and is_vectors
