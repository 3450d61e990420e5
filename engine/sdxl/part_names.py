"""To which network of a model a tensor of a file belongs, by the prefixes that programs write."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple, cast

if TYPE_CHECKING:
    from engine.sdxl.layout import Part


class PartName(NamedTuple):
    """A tensor's network, and its name within it; the network is None where no prefix tells."""

    part: Part | None
    name: str


_WRAPPERS = re.compile(
    r"(?<![^.])(?:_orig_mod|module|wrapped|_fsdp_wrapped_module|_checkpoint_wrapped_module"
    r"|_forward_module)\."
)
"""What torch.compile, parallel training and hooks put around a module, and saving leaves there."""

_OUTER = ("state_dict.", "model.", "pipeline.", "pipe.")
"""What may stand before all names of a file."""

_CLIP = r"(?:model\.)?(?:transformer\.(?!resblocks\.))?"
"""Between a text encoder's prefix and its own names, which are OpenCLIP's or transformers'."""

_PREFIX = re.compile(
    rf"""
      (?P<unet> (?:model\.)? diffusion_model\. | unet\. | unet_model\. )
    | (?P<text_encoder_2>
        (?: (?:conditioner|cond_stage_model)\.(?:embedders\.)?1
          | (?:(?:conditioner|cond_stage_model|text_encoders)\.)?clip_g
          | text_encoder_2 | te2 )\.{_CLIP}
      | cond_stage_model\.model\. )
    | (?P<text_encoder>
        (?: (?:conditioner|cond_stage_model)\.(?:embedders\.)?0
          | (?:(?:conditioner|cond_stage_model|text_encoders)\.)?clip_l
          | text_encoder(?:_1)? | te1 )\.{_CLIP}
      | cond_stage_model\.transformer\. )
    | (?P<vae> first_stage_model\. | vae\. )
    """,
    re.VERBOSE,
)

_BARE = re.compile(
    r"""
      (?P<unet> (?: input_blocks | middle_block | output_blocks | time_embed | label_emb | out
                  | down_blocks | mid_block | up_blocks | time_embedding | add_embedding
                  | conv_in | conv_out | conv_norm_out )\. )
    | (?P<vae> (?:encoder|decoder)\.(?: conv_in | conv_out | conv_norm_out | norm_out | down | up
                  | mid | down_blocks | up_blocks | mid_block )\.
      | (?:post_)?quant_conv\. )
    """,
    re.VERBOSE,
)
"""How names begin in a file that holds a UNet or a VAE alone."""


TEXT_ENCODERS = ("text_encoder", "text_encoder_2")


def unwrapped(name: str) -> str:
    """A tensor's name without what wraps its modules."""
    return _WRAPPERS.sub("", name)


def part_name(name: str) -> PartName:
    """Split a tensor's name in a file into its network and its name there.

    A text encoder's names within it keep `text_model.` where the file has it. Names of a text
    encoder alone begin as those of many other networks do, and are given no part.
    """
    rest = unwrapped(name)
    for _ in range(len(_OUTER)):
        if found := _PREFIX.match(rest):
            return PartName(_part(found), rest[found.end() :])
        if found := _BARE.match(rest):
            return PartName(_part(found), rest)
        outer = next((outer for outer in _OUTER if rest.startswith(outer)), None)
        if outer is None:
            break
        rest = rest.removeprefix(outer)
    return PartName(None, rest)


def _part(found: re.Match[str]) -> Part:
    return cast("Part", found.lastgroup)
