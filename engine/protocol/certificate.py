"""A picture's certificate: by which weights and which request it was drawn, and where."""

from __future__ import annotations

from dataclasses import dataclass

from engine.sdxl.prediction import Prediction


@dataclass(frozen=True)
class Machine:
    """What was computed with: it does not say what a picture is, but may change its last bits."""

    device: str
    """Its kind and hardware, such as `cuda NVIDIA GeForce RTX 4090`."""
    mode: str
    threads: int
    """Of PyTorch on the CPU."""
    versions: tuple[tuple[str, str], ...]
    """Of the libraries that compute, by name."""


@dataclass(frozen=True)
class Certificate:
    """Digests of what a picture was drawn by; equal ones give equal pixels on equal machines."""

    weights: str
    """Of the effective weights: the base's, and what the stack makes of them."""
    request: str
    """Of all that was asked for, the LoRAs of regions in it."""
    base: str
    """`ModelInfo.fingerprint`."""
    model: str
    """The path of the model's file or folder."""
    contents: tuple[tuple[str, str], ...]
    """Path of each LoRA, and a digest of all in it that the weights depend on."""
    merge: int
    """`MERGE_VERSION`."""
    loop: int
    """`LOOP_VERSION`."""
    machine: Machine
    dtype: str = ""
    """The model's, such as `float16`."""
    prediction: Prediction = "epsilon"
    vae: str = ""
    """The path of another VAE than the model's own."""
    parts_from: str = ""
    """The path of the model whose text encoders or VAE were used."""
    vae_dtype: str = "float32"
    """The VAE's; in pictures that do not say it, it was float32."""
