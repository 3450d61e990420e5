"""Which memory mode a model gets on a device: from bytes to a mode, or to a refusal."""

from __future__ import annotations

from collections.abc import Sequence

from engine.errors import EngineError
from engine.modes.size import ModelBytes
from engine.protocol.modes import MODES, OFFLOADED, Mode

TILE = 512
"""Side in pixels of the tiles that pictures are decoded in."""

UNET_BYTES_PER_PIXEL = 1024
"""What the UNet computes with at float16 and with guidance; twice ComfyUI's estimate for SDXL."""

VAE_BYTES_PER_PIXEL = 2200
"""What the VAE decodes with for each byte of its dtype; ComfyUI and InvokeAI: 2178 and 2200."""


def device_weights(mode: Mode, model: ModelBytes) -> int:
    """Bytes of weights that are on the device at once, at most."""
    match mode:
        case "encoder-offload":
            return model.unet + model.vae + model.encoder
        case "model-offload":
            return model.largest
        case "group-offload":
            return model.vae
        case _:
            return model.total


def device_need(mode: Mode, model: ModelBytes) -> int:
    """Bytes that drawing a picture of the model's own size takes on the device, about.

    Backups of base weights come on top; they go where there is room.
    """
    decoded = model.pixels if mode == "resident" else min(model.pixels, TILE * TILE)
    drawing = UNET_BYTES_PER_PIXEL * model.pixels
    decoding = VAE_BYTES_PER_PIXEL * model.vae_itemsize * decoded
    if mode == "encoder-offload":
        return model.unet + model.vae + max(drawing, decoding, model.encoder)
    if mode == "model-offload":
        return max(model.unet + drawing, model.vae + decoding, model.encoder)
    return device_weights(mode, model) + max(drawing, decoding)


def choose_mode(free: int, model: ModelBytes, modes: Sequence[Mode] = MODES) -> Mode:
    """The first (fastest) of `modes` that fits into `free` bytes of the device, else the last."""
    return next((mode for mode in modes if device_need(mode, model) <= free), modes[-1])


def require_fit(
    name: str,
    mode: Mode,
    model: ModelBytes,
    *,
    free: int,
    free_host: int,
    device: str,
    modes: Sequence[Mode] = MODES,
) -> None:
    """Raise `EngineError` with numbers, and a way out, when the weights alone do not fit.

    What computing takes beside them is an estimate, and refuses nothing.
    """
    needed = device_weights(mode, model)
    if needed > free:
        fitting = choose_mode(free, model, modes)
        if device_weights(fitting, model) <= free:
            way_out = f"it fits in the mode {fitting}"
        elif device == "cpu":
            way_out = "open it in the type that its file is in, which takes no memory of its own"
        else:
            way_out = "run it on the CPU"
        raise EngineError(
            f"{name} takes {_gib(needed)} of {device} in the mode {mode}, and {_gib(free)} are "
            f"free: {way_out}, or end what else takes memory there."
        )
    if (resting := model.of(OFFLOADED[mode])) > free_host:
        raise EngineError(
            f"{name} takes {_gib(resting)} of main memory in the mode {mode}, for weights that "
            f"rest there, and {_gib(free_host)} are free: end what else takes memory there, or "
            "choose the mode tiled if the device has room."
        )


def _gib(count: int) -> str:
    return f"{count / 2**30:.1f} GiB"
