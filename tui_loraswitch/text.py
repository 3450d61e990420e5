"""Words and numbers as the screen shows them."""

from __future__ import annotations

from collections.abc import Sequence

from engine.library.text import clean_line
from engine.refs import LoraRef

GIB = 1 << 30


def gib(count: int) -> str:
    """Bytes in GiB with one decimal, without the unit."""
    return f"{count / GIB:.1f}"


def file_size(count: int) -> str:
    """A file's size as download pages write it: kB, MB, GB."""
    if count < 1_000_000:
        return f"{max(1, round(count / 1000))} kB" if count else "0 kB"
    if count < 1_000_000_000:
        return f"{count / 1e6:.{1 if count < 10_000_000 else 0}f} MB"
    return f"{count / 1e9:.2f} GB"


def duration(seconds: float) -> str:
    """Seconds with as many digits as they deserve: `6 ms`, `3.1 s`, `2 min 05 s`."""
    if seconds < 0.1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s"


def strength(ref: LoraRef) -> str:
    """`0.80`, or `0.80/0.60` where UNet and text encoders differ."""
    if ref.unet == ref.text_encoder == ref.text_encoder_2_strength:
        return f"{ref.unet:.2f}"
    return f"{ref.unet:.2f}/{ref.text_encoder:.2f}"


def stack_words(stack: Sequence[LoraRef]) -> str:
    """A stack in one line: `neon 0.80 + ink 0.40`; the base by its name."""
    if not stack:
        return "base"
    return " + ".join(f"{clean_line(ref.name, 60)} {strength(ref)}" for ref in stack)


def plural(count: int, one: str, many: str | None = None) -> str:
    """A count with its noun: `1 module`, `722 modules`."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def bar(fraction: float, width: int, full: str = "━", empty: str = "─") -> str:
    """A horizontal bar of `width` cells."""
    filled = round(max(0.0, min(1.0, fraction)) * width)
    return full * filled + empty * (width - filled)
