"""What scans, start, keys and memory take from 1,000 files to 300,000; writes the plot."""

from __future__ import annotations

import tempfile
from math import log10
from pathlib import Path
from typing import Any

from benchmarks.large_library import scans
from benchmarks.library_app import figures_of_app, index_of
from benchmarks.many_loras import write_many_loras

COUNTS = (1_000, 3_000, 10_000, 30_000, 100_000, 300_000)
PLOT = Path(__file__).parent / "library-growth.svg"
SHOWN = {
    "list_after_first_frame_s": ("list after the first frame, ms", 1000.0),
    "list_painted_median_ms": ("from a key to the painted list, median, ms", 1.0),
    "letter_painted_percentile_99_ms": ("from a key to its letter, 99th percentile, ms", 1.0),
    "memory_more_than_without_files_mib": ("memory more than without files, MiB", 1.0),
}


def measure(*, quick: bool) -> dict[str, Any]:
    """The figures of the app at each size."""
    found = {f"{count:,}": of_count(count) for count in ((50, 100) if quick else COUNTS)}
    if not quick:
        plot(found, PLOT)
    return found


def of_count(count: int) -> dict[str, Any]:
    """Of one size: the scans, and the app once the files are in the index."""
    with tempfile.TemporaryDirectory() as name:
        home, loras = Path(name, "home"), Path(name, "loras")
        write_many_loras(loras, count)
        return scans(loras, index_of(home), 1) | figures_of_app(home, loras, count)


def plot(found: dict[str, dict[str, Any]], path: Path) -> None:
    """Figures over sizes as an SVG, both on scales of tens."""
    width, height, left, low = 640, 420, 60, 360
    colours = ("#d08a2e", "#2e8ad0", "#8a8f98", "#3a9a5b")
    counts = [int(count.replace(",", "")) for count in found]
    most = 1000.0

    def x(count: float) -> float:
        return left + (width - left - 30) * log10(count / counts[0]) / log10(counts[-1] / counts[0])

    def y(value: float) -> float:
        return low - (low - 50) * max(0.0, log10(max(value, 1.0))) / log10(most)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        'font-family="sans-serif" font-size="13">',
        f'<rect width="{width}" height="{height}" fill="white"/>',
        f'<text x="{left}" y="24" font-size="15">A library of so many files</text>',
    ]
    for step in (1, 10, 100, 1000):
        parts.append(f'<text x="{left - 8}" y="{y(step) + 4}" text-anchor="end">{step}</text>')
        at = f'x1="{left}" y1="{y(step)}" x2="{width - 30}" y2="{y(step)}"'
        parts.append(f'<line {at} stroke="#ddd"/>')
    for count in counts:
        parts.append(
            f'<text x="{x(count):.1f}" y="{low + 18}" text-anchor="middle">{count:,}</text>'
        )
    for number, (name, (words, factor)) in enumerate(SHOWN.items()):
        values = [factor * figures[name] for figures in found.values()]
        line = " ".join(f"{x(c):.1f},{y(v):.1f}" for c, v in zip(counts, values, strict=True))
        colour = colours[number]
        parts.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts.append(f'<text x="{left + 20}" y="{60 + 18 * number}" fill="{colour}">{words}</text>')
    path.write_text("\n".join((*parts, "</svg>", "")), encoding="utf-8")
