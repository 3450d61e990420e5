"""Make SDXL's four networks as a configuration says, without weights."""

from __future__ import annotations

from accelerate import init_empty_weights
from diffusers import AutoencoderKL, UNet2DConditionModel
from torch import nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection
from transformers.initialization import no_init_weights

from engine.checkpoint.config import Config, refuse_nonsense
from engine.sdxl.layout import Part


def make_networks(name: str, config: Config) -> dict[Part, nn.Module]:
    """The networks with their parameters on the meta device, and their buffers on the CPU.

    Raises `CheckpointError` naming the model when its configuration makes no sense.
    """
    # What is not there need not be filled with random numbers: that would take a third of the time.
    empty = init_empty_weights(include_buffers=False)
    with refuse_nonsense(name), no_init_weights(), empty:
        return {
            "unet": UNet2DConditionModel.from_config(config["unet"]),
            "text_encoder": CLIPTextModel(CLIPTextConfig.from_dict(config["text_encoder"])),
            "text_encoder_2": CLIPTextModelWithProjection(
                CLIPTextConfig.from_dict(config["text_encoder_2"])
            ),
            "vae": AutoencoderKL.from_config(config["vae"]),
        }
