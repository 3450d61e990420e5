"""Which model this is, by its weights and by how they are used, wherever its file lies."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from engine.checkpoint import Checkpoint
from engine.switch.fingerprint import fingerprints, joined

_NOT_OF_PICTURES = frozenset({"transformers_version", "dtype", "torch_dtype"})


def decoder_fingerprint(checkpoint: Checkpoint) -> str:
    """Of the weights of the VAE, which the switcher does not know."""
    names, weights = zip(*checkpoint.pipeline.vae.named_parameters(), strict=True)
    return joined(zip(names, weights, fingerprints(weights), strict=True))


def model_fingerprint(checkpoint: Checkpoint, base: str, decoder: str) -> str:
    """One for all that a model adds to a picture, in hex.

    `base` and `decoder` are the fingerprints of its weights.
    """
    pipeline = checkpoint.pipeline
    tokenizer = pipeline.tokenizer.backend_tokenizer.to_str()
    facts = {
        "base": base,
        "decoder": decoder,
        "prediction": checkpoint.prediction,
        "scheduler": _settings(pipeline.scheduler.config),
        "vae": _settings(pipeline.vae.config),
        "unet": _settings(pipeline.unet.config),
        "text_encoder": _settings(pipeline.text_encoder.config.to_dict()),
        "text_encoder_2": _settings(pipeline.text_encoder_2.config.to_dict()),
        "tokenizer": hashlib.sha256(tokenizer.encode()).hexdigest(),
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode()).hexdigest()


def _settings(config: Mapping[str, Any]) -> dict[str, Any]:
    """Of a network, by which it computes; not where it was found, nor what wrote it."""
    return {
        name: value
        for name, value in config.items()
        if not name.startswith("_") and name not in _NOT_OF_PICTURES
    }
