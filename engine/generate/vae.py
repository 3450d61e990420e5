"""Run a VAE either way, in fp32 where half precision overflows, in tiles where memory runs out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import torch

from engine.host_memory import is_out_of_memory

Work = Callable[[torch.Tensor], torch.Tensor]


def through_vae(
    vae: Any, given: torch.Tensor, work: Work, verb: Literal["decode", "encode"]
) -> tuple[torch.Tensor, str | None]:
    """What `work` makes of a tensor with the VAE, and a warning.

    A half-precision VAE that gives NaN is run once more in fp32; one that says `force_upcast` runs
    in fp32 at once. Where memory runs out, it works in tiles. Its dtype is the same afterwards.
    """
    try:
        return _in_range(vae, given, work, verb)
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error) or vae.use_tiling:
            raise
    # Not while the error is handled: it keeps alive what the failed try has made.
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    vae.enable_tiling()
    try:
        made, warning = _in_range(vae, given, work, verb)
    finally:
        vae.disable_tiling()
    words = f"There was not enough memory to {verb} the picture at once; it was {verb}d in tiles."
    return made, f"{words} {warning}" if warning else words


def _in_range(
    vae: Any, given: torch.Tensor, work: Work, verb: str
) -> tuple[torch.Tensor, str | None]:
    """In fp32 where the VAE's own precision overflows; and a warning if it did."""
    dtype = vae.dtype
    if dtype == torch.float16 and vae.config.force_upcast:
        return _in_fp32(vae, given, work), None
    made = work(given.to(dtype))
    overflowed = not made.isfinite().all() and bool(given.isfinite().all())
    if not overflowed or dtype == torch.float32:
        return made, None
    name = str(dtype).removeprefix("torch.")
    warning = f"The VAE overflowed in {name}; the picture was {verb}d again in float32."
    return _in_fp32(vae, given, work), warning


def _in_fp32(vae: Any, given: torch.Tensor, work: Work) -> torch.Tensor:
    dtype = vae.dtype
    vae.to(dtype=torch.float32)
    try:
        return work(given.float())
    finally:
        vae.to(dtype=dtype)


def scaled(latents: torch.Tensor, config: Any) -> torch.Tensor:
    """Latents as the UNet has them, from the VAE's own; as diffusers' pipeline does it."""
    scale = float(config.scaling_factor)
    if (moments := _moments(latents, config)) is None:
        return latents * scale
    mean, deviation = moments
    return (latents - mean) * scale / deviation


def unscaled(latents: torch.Tensor, config: Any) -> torch.Tensor:
    """The VAE's own latents, from those of the UNet."""
    scale = float(config.scaling_factor)
    if (moments := _moments(latents, config)) is None:
        return latents / scale
    mean, deviation = moments
    return latents * deviation / scale + mean


def _moments(latents: torch.Tensor, config: Any) -> tuple[torch.Tensor, torch.Tensor] | None:
    """Mean and deviation of each channel, for VAEs that have them in their config."""
    if config.get("latents_mean") is None or config.get("latents_std") is None:
        return None
    mean, deviation = (
        torch.tensor(values).view(1, -1, 1, 1).to(latents.device, latents.dtype)
        for values in (config.latents_mean, config.latents_std)
    )
    return mean, deviation
