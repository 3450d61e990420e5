"""The figures of `loraswitch bench` as text."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from engine.protocol.text import GIB, plural
from engine.words.clean import clean_line

if TYPE_CHECKING:
    from engine.bench.results import BenchReport, Peer, Switching

_WIDTH = 79
_SWITCH_WIDTHS = (34, 6, 8, 8, 12)
_PEER_WIDTHS = (37, 9, 8, 12)
_MEMORY_WIDTHS = (34, 6, 10, 10, 10)
_FLOOR = "× floor    ±"
_MIB = 1 << 20


class LiveTable:
    """Writes the figures of a run as they come, at most 79 columns wide.

    `write` takes one line.
    """

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write = write
        self._switches = self._peers = 0
        """How many rows of each are written."""
        self._has_begun = False

    def show(self, report: BenchReport) -> None:
        """Write what is new. Others' rows come when they have made all their runs."""
        if not self._has_begun:
            self._has_begun = True
            self._lines(_head(report))
        if report.switches and not self._switches:
            self._lines(["", _row(_SWITCH_WIDTHS, "switch", "backup", "median", "fastest", _FLOOR)])
        for switching in report.switches[self._switches :]:
            self._lines([_switching_row(switching)])
        self._switches = len(report.switches)
        if all(peer.runs == report.repeat for peer in report.peers):
            self._show_peers(report)

    def finish(self, report: BenchReport) -> None:
        """Write the rest, of an interrupted run as well."""
        self.show(report)
        self._show_peers(report)
        self._lines(_memory(report))
        self._lines([""])
        for sentence in _sentences(report):
            self._lines(textwrap.wrap(clean_line(sentence, 400), _WIDTH))

    def _show_peers(self, report: BenchReport) -> None:
        if report.peers and not self._peers:
            self._lines(["", _row(_PEER_WIDTHS, "in other ways", "like", "median", "× ours   ±")])
        for peer in report.peers[self._peers :]:
            self._lines([_peer_row(report, peer)])
        self._peers = len(report.peers)

    def _lines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self._write(line)


def _head(report: BenchReport) -> Iterator[str]:
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


def _switching_row(switching: Switching) -> str:
    return _row(
        _SWITCH_WIDTHS,
        switching.name,
        switching.tier,
        _seconds(switching.seconds),
        _seconds(switching.fastest),
        _with_spread(switching.ratio, switching.spread),
    )


def _peer_row(report: BenchReport, peer: Peer) -> str:
    ratio = report.faster_than(peer)
    times = "" if ratio is None else _with_spread(ratio, peer.spread)
    return _row(_PEER_WIDTHS, peer.name, peer.against, _seconds(peer.seconds), times)


def _memory(report: BenchReport) -> Iterator[str]:
    if report.memory:
        yield ""
        head = ("memory of “base to A” at its peak", "backup", "device", "host", "kept")
        yield _row(_MEMORY_WIDTHS, *head)
    for memory in report.memory:
        sizes = map(_size, (memory.device_bytes, memory.host_bytes, memory.backup_bytes))
        yield _row(_MEMORY_WIDTHS, "", memory.tier, *sizes)


def _row(widths: Sequence[int], *cells: str) -> str:
    """The first two columns to the left, numbers to the right."""
    return "  ".join(
        f"{cell:{'<' if number < 2 else '>'}{width}}"
        for number, (cell, width) in enumerate(zip(cells, widths, strict=True))
    ).rstrip()


def _sentences(report: BenchReport) -> Iterator[str]:
    if report.different is not None:
        yield f"After our switches {report.different} base tensors differ."
    if report.peers_different is not None:
        yield (
            f"After diffusers fused and unfused, {report.peers_different} of "
            f"{plural(report.limits.tensors, 'touched tensor')} differ."
        )
    yield from report.notes
    if not report.is_complete:
        yield "Interrupted: this is what was measured before."


def _with_spread(ratio: float, spread: float) -> str:
    return f"{ratio:.{1 if ratio >= 1 else 2}f} ±{spread:>4.0%}"


def _seconds(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds >= 1 else f"{seconds * 1000:.1f} ms"


def _size(count: int) -> str:
    return f"{count / GIB:.2f} GiB" if count >= GIB else f"{count / _MIB:.1f} MiB"
