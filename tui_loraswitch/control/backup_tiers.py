"""The places a backup may be in, as keys and screen treat them."""

from __future__ import annotations

from engine.protocol.reports import Tier


def next_tier(device: str, current: Tier, asked: Tier | None) -> Tier:
    """The tier after the one last asked for, or after `current`; never `current` itself.

    `asked` may have failed, and is passed over then. On a CPU, device and main memory are the same.
    """
    tiers: list[Tier] = ["device", "file"] if device == "cpu" else ["device", "cpu", "file"]
    here = "device" if device == "cpu" and current == "cpu" else current
    start = tiers.index(asked if asked in tiers else here)
    return next(tier for tier in (*tiers[start + 1 :], *tiers) if tier != here)
