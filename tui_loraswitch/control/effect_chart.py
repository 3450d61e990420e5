"""Which blocks a LoRA changes, as a row of bars."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from engine.lora.effect import Effect

_BARS = "▁▂▃▄▅▆▇█"


def chart(effect: Effect, *, with_shares: bool = False) -> str:
    """The share of each block in the change, beside the largest; with the sums of parts in percent.

    As it stands in forty cells: `TE1▃ TE2█ IN▁▂▄▃ MID▄ OUT▃▃▃▃▃▃`.
    """
    most = max((share for _, share in effect.blocks), default=0.0)
    if not most:
        return "nothing: all of it is zero"
    parts = []
    for part, blocks in groupby(effect.blocks, key=lambda item: _part(item[0])):
        shares = [share for _, share in blocks]
        bars = "".join(_BARS[round(share / most * (len(_BARS) - 1))] for share in shares)
        parts.append(f"{part} {bars} {sum(shares):.0%} " if with_shares else f"{part}{bars}")
    return " ".join(parts).strip()


def _part(block: str) -> str:
    return block.rstrip("0123456789") if block.startswith(("IN", "OUT")) else block
