"""The figures of `loraswitch bench` as text."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from engine.library.text import clean_line
from tui_loraswitch.text import GIB, plural

if TYPE_CHECKING:
    from engine.bench.results import BenchReport, Peer

_WIDTH = 79
_MIB = 1 << 20


def table(report: BenchReport) -> str:
    """Everything a reader wants at once, at most 79 columns wide."""
    return "\n".join(_lines(report))


def _lines(report: BenchReport) -> Iterator[str]:
    limits = report.limits
    tier, copied = limits.copy_seconds[0]
    threads = f", {plural(report.threads, 'thread')}" if report.device == "cpu" else ""
    yield (
        f"{clean_line(report.model, 60)} · {report.dtype} · {report.device_name}{threads} · "
        f"{plural(len(report.loras), 'LoRA')} · median of {report.repeat}"
    )
    yield (
        f"touched: {plural(limits.tensors, 'tensor')}, {_size(limits.bytes)} · bare copy "
        f"{_seconds(copied)}, {limits.copy_rate(tier) / GIB:.1f} GiB/s"
    )
    yield (
        f"products of A: {_seconds(limits.product_seconds)} in float32, "
        f"{limits.product_rate / 1e9:,.0f} GFLOP/s"
    )
    yield ""
    yield from _columns(
        ("switch", "backup", "median", "fastest", "× floor"),
        [
            (s.name, s.tier, _seconds(s.seconds), _seconds(s.fastest), f"{s.ratio:.1f}")
            for s in report.switches
        ],
    )
    if report.peers:
        yield ""
        yield from _columns(
            ("in other ways", "like", "median", "fastest", "× ours"),
            [
                (p.name, p.against, _seconds(p.seconds), _seconds(p.fastest), _times(report, p))
                for p in report.peers
            ],
        )
    yield ""
    yield from _columns(
        ("memory of “base to A” at its peak", "backup", "device", "host", "kept"),
        [
            ("", m.tier, _size(m.device_bytes), _size(m.host_bytes), _size(m.backup_bytes))
            for m in report.memory
        ],
    )
    yield ""
    for sentence in _sentences(report):
        yield textwrap.fill(clean_line(sentence, 400), _WIDTH)


def _columns(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """The first two columns to the left, numbers to the right."""
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    for row in (head, *rows):
        cells = [
            f"{cell:{'<' if number < 2 else '>'}{width}}"
            for number, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        yield "  ".join(cells).rstrip()


def _sentences(report: BenchReport) -> Iterator[str]:
    yield f"After our switches {report.different} base tensors differ."
    if report.peers_different is not None:
        yield (
            f"After diffusers fused and unfused, {report.peers_different} of "
            f"{plural(report.limits.tensors, 'touched tensor')} differ."
        )
    yield from report.notes


def _times(report: BenchReport, peer: Peer) -> str:
    ratio = report.faster_than(peer)
    return "" if ratio is None else f"{ratio:.{1 if ratio >= 1 else 2}f}"


def _seconds(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds >= 1 else f"{seconds * 1000:.1f} ms"


def _size(count: int) -> str:
    return f"{count / GIB:.2f} GiB" if count >= GIB else f"{count / _MIB:.1f} MiB"
