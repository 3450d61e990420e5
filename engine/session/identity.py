"""Which model this is, by its weights and by how they are used, wherever its file lies."""

from __future__ import annotations

import hashlib
import json

from engine.checkpoint import Checkpoint
from engine.switch.fingerprint import fingerprints, joined

_LATENTS = ("scaling_factor", "latents_mean", "latents_std")
_SCHEDULE = ("num_train_timesteps", "beta_start", "beta_end", "beta_schedule")


def decoder_fingerprint(checkpoint: Checkpoint) -> str:
    """Of the weights of the VAE, which the switcher does not know."""
    names, weights = zip(*checkpoint.pipeline.vae.named_parameters(), strict=True)
    return joined(zip(names, weights, fingerprints(weights), strict=True))


def model_fingerprint(checkpoint: Checkpoint, base: str, decoder: str) -> str:
    """One for all that a model adds to a picture, in hex.

    `base` and `decoder` are the fingerprints of its weights.
    """
    scheduler = checkpoint.pipeline.scheduler.config
    vae = checkpoint.pipeline.vae.config
    facts = {
        "base": base,
        "decoder": decoder,
        "prediction": checkpoint.prediction,
        "schedule": {name: scheduler[name] for name in _SCHEDULE},
        "latents": {name: vae.get(name) for name in _LATENTS},
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
