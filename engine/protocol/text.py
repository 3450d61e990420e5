"""Words and numbers as log, screen and command line show them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from engine.block_weights import BlockWeights, format_block_weights, parse_block_weights
from engine.protocol.refs import LoraRef
from engine.protocol.reports import Tier
from engine.words.clean import clean_line

GIB = 1 << 30

TIER_WORDS: Mapping[Tier, str] = {
    "device": "on the device",
    "cpu": "in main memory",
    "file": "in the file",
}


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
    """`0.80`, or `0.80/0.60` where UNet and text encoders differ; a third for the second one."""
    numbers = [ref.unet, ref.text_encoder, ref.text_encoder_2_strength]
    while len(numbers) > 1 and numbers[-1] == numbers[-2]:
        numbers.pop()
    return "/".join(map(decimals, numbers))


def decimals(number: float) -> str:
    """A strength with two decimals, or with as many as it was typed with."""
    short = f"{number:.2f}"
    return short if float(short) == number else f"{number:.6g}"


def block_words(blocks: BlockWeights, presets: Mapping[str, str]) -> str:
    """The name of the preset that block weights are, else block by block; empty for none."""
    if not blocks:
        return ""
    named = (name for name in presets if parse_block_weights(name, presets) == blocks)
    return clean_line(next(named, format_block_weights(blocks)))


def member_name(ref: LoraRef, is_tagged: bool = False) -> str:
    """The name of a stack's member, in the brackets of a tag where the prompt names it."""
    name = clean_line(ref.name, 60)
    return f"<{name}>" if is_tagged else name


def stack_words(stack: Sequence[LoraRef], tagged: Iterable[LoraRef] = ()) -> str:
    """A stack in one line: `neon 0.80 + ink 0.40 lbw + <wash> 1.00`; the base by its name."""
    words = []
    left = list(tagged)
    # Tagged members are the last: one of the same file and strength before them is the user's own.
    for ref in reversed(stack):
        if is_tagged := ref in left:
            left.remove(ref)
        words.append(f"{member_name(ref, is_tagged)} {strength(ref)}{' lbw' if ref.blocks else ''}")
    return " + ".join(reversed(words)) or "base"


def plural(count: int, one: str, many: str | None = None) -> str:
    """A count with its noun: `1 module`, `722 modules`."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def bar(fraction: float, width: int, full: str = "━", empty: str = "─") -> str:
    """A horizontal bar of `width` cells."""
    filled = round(max(0.0, min(1.0, fraction)) * width)
    return full * filled + empty * (width - filled)
