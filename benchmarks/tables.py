"""The tables of the README beside this file, made of what lies in `results/`.

Each stands between `<!-- results: NAME -->` and `<!-- end -->`; one without results says so.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from benchmarks.gpu.report import as_markdown
from benchmarks.record import RESULTS

README = Path(__file__).parent / "README.md"
NOT_MEASURED = "(not measured yet)"

Figures = Mapping[str, Any]

_SECTION = re.compile(r"(<!-- results: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def write_tables() -> None:
    """Bring the README in line with the results."""
    README.write_text(filled(README.read_text(encoding="utf-8")), encoding="utf-8")


def filled(text: str) -> str:
    """A text with each of its sections made anew."""
    return _SECTION.sub(lambda m: m[1] + "\n" + section(m[2]) + "\n" + m[3], text)


def section(name: str) -> str:
    """The table of one benchmark, with the machine and the date below it."""
    path = RESULTS / f"{name}.json"
    if not path.exists():
        return NOT_MEASURED + "\n"
    result = json.loads(path.read_text(encoding="utf-8"))
    lines = _RENDERERS.get(name, _plain)(result["figures"])
    machine = result["machine"]
    versions = ", ".join(f"{k} {machine[k]}" for k in ("python", "torch", "diffusers", "textual"))
    return "\n".join(
        [
            *lines,
            "",
            f"{result['date']}: {machine['processor']}, {machine['cores']} cores, "
            f"{machine['memory_gib']} GiB; {versions}.",
            "",
        ]
    )


def _plain(figures: Figures) -> Iterator[str]:
    """One line per figure, nested ones under their path."""
    yield from _table(("figure", "value"), _flat("", figures))


def _flat(path: str, value: object) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for key, part in value.items():
            yield from _flat(f"{path} · {key}" if path else str(key), part)
    elif isinstance(value, list):
        for number, part in enumerate(value, 1):
            yield from _flat(f"{path} · {number}", part)
    else:
        yield path.replace("_", " "), f"{value:,}" if isinstance(value, int) else str(value)


def _switching(figures: Figures) -> Iterator[str]:
    limits = figures["limits"]
    copies = ", ".join(
        f"{tier} {limits['bytes'] / seconds / 2**30:.1f} GiB/s"
        for tier, seconds in limits["copy_seconds"].items()
    )
    yield (
        f"{figures['model']}, {figures['dtype']}, {figures['device_name']}, {figures['threads']} "
        f"threads, rank {figures['rank']}: {limits['tensors']} tensors, "
        f"{limits['bytes'] / 2**30:.2f} GiB touched. Bare copy: {copies}; float32 products of one "
        f"LoRA: {limits['product_seconds']:.3g} s."
    )
    yield ""
    yield from _table(
        ("switch", "backup", "seconds", "floor", "× floor"),
        (
            (
                s["name"],
                s["tier"],
                f"{s['seconds']:.3g}",
                f"{s['floor']:.3g}",
                f"{s['times_floor']:.2f}{_spread(s)}",
            )
            for s in figures["switches"]
        ),
    )
    yield ""
    yield from _table(
        ("in other ways", "like", "seconds", "× ours"),
        (
            (p["name"], p["against"], f"{p['seconds']:.3g}", _two(p["times_ours"]) + _spread(p))
            for p in figures["peers"]
        ),
    )
    yield ""
    yield from _table(
        ("memory of “base to A”", "on the device", "in main memory", "of it the backup"),
        (
            (m["tier"], _mib(m["device_bytes"]), _mib(m["host_bytes"]), _mib(m["backup_bytes"]))
            for m in figures["memory"]
        ),
    )
    yield ""
    yield f"Base tensors that differ after our switches: {figures['different']}; " + (
        f"after diffusers: {figures['peers_different']} of {limits['tensors']}."
        if figures["peers_different"] is not None
        else "diffusers did not run."
    )
    yield from (f"\n{note}" for note in figures["notes"])


def _merge_accuracy(figures: Figures) -> Iterator[str]:
    names = tuple(figures["stacks"][0]["share_equal"])
    yield from _table(
        ("LoRAs", *(f"{name.replace('_', ' ')}, equal" for name in names)),
        (
            (str(stack["loras"]), *(f"{100 * stack['share_equal'][name]:.4f} %" for name in names))
            for stack in figures["stacks"]
        ),
    )


def _stacks(figures: Figures) -> Iterator[str]:
    members = figures["members"]
    yield from _table(
        (
            "rank r",
            "one",
            f"{members} of them",
            "× one",
            "floors likewise",
            f"one of rank {members} r",
            f"{members} of them × that",
        ),
        (
            (
                str(row["rank"]),
                f"{row['one_seconds']:.3g} s",
                f"{row['eight_seconds']:.3g} s",
                f"{row['eight_to_one']:.2f}",
                f"{row['floor_of_eight_to_one']:.2f}",
                f"{row['one_of_eightfold_rank_seconds']:.3g} s",
                f"{row['eight_to_one_of_eightfold_rank']:.2f}",
            )
            for row in figures["stacks"]
        ),
    )


def _memory(figures: Figures) -> Iterator[str]:
    yield from _table(
        ("opening as", "model", "peak ÷ model", "seconds", "safetensors' own", "× that"),
        (
            (
                row["dtype"],
                f"{row['model_gib']} GiB",
                f"{row['peak_to_model']:.2f}",
                f"{row['open_and_read_seconds']:.3g}",
                f"{row['safetensors_seconds']:.3g}",
                f"{row['open_and_read_to_safetensors']:.2f}",
            )
            for row in figures["loading"]
        ),
    )
    yield ""
    yield from _table(
        (
            "backup",
            "touched",
            "backups",
            "beyond merged weights and LoRA cache",
            "after the restore",
        ),
        (
            (
                row["tier"],
                f"{row['touched_mib']:,} MiB",
                f"{row['backup_mib']:,} MiB",
                f"{row['beyond_merged_and_cache_after_switch_mib']:,} MiB",
                f"{row['beyond_merged_and_cache_after_restore_mib']:,} MiB",
            )
            for row in figures["switching"]
        ),
    )


def _library_growth(figures: Figures) -> Iterator[str]:
    yield from _table(
        (
            "files",
            "first scan ÷ bare reading",
            "list after the first frame",
            "memory more than without files",
            "key to its letter, median",
            "99th percentile",
            "to the painted list, median",
            "99th percentile",
        ),
        (
            (
                count,
                f"{row['first_scan_to_bare_reading']:.2f}",
                f"{row['list_after_first_frame_s']:.2f} s",
                f"{row['memory_more_than_without_files_mib']:.0f} MiB",
                f"{row['letter_painted_median_ms']:.0f} ms",
                f"{row['letter_painted_percentile_99_ms']:.0f} ms",
                f"{row['list_painted_median_ms']:.0f} ms",
                f"{row['list_painted_percentile_99_ms']:.0f} ms",
            )
            for count, row in figures.items()
        ),
    )


def _keys(figures: Figures) -> Iterator[str]:
    yield from _table(
        (f"with {figures['loras']:,} LoRAs", "keys", "median", "99th percentile", "slowest"),
        (
            (
                name.replace("_", " "),
                str(row["keys"]),
                *(f"{row[key]} ms" for key in ("median_ms", "percentile_99_ms", "slowest_ms")),
            )
            for name, row in figures.items()
            if name != "loras"
        ),
    )


def _table(head: tuple[str, ...], rows: Iterator[tuple[str, ...]]) -> Iterator[str]:
    yield _row(head)
    yield "|---|" + "--:|" * (len(head) - 1)
    yield from map(_row, rows)


def _row(cells: tuple[str, ...]) -> str:
    return f"| {' | '.join(cells)} |"


def _two(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def _spread(row: Mapping[str, Any]) -> str:
    """How steady the machine was meanwhile; results of before this was measured have none."""
    return f" ±{row['spread']:.0%}" if "spread" in row else ""


def _mib(count: int) -> str:
    return f"{count / 2**20:,.0f} MiB"


def _cluster_simulation(figures: Figures) -> Iterator[str]:
    names = ("work", "policy", "gpus", "seconds", "speed", "not drawing", "switches", "GB sent")
    yield from _table(names, (tuple(map(str, run.values())) for run in figures["runs"]))


_RENDERERS: Mapping[str, Callable[[Figures], Iterator[str]]] = {
    "cluster_simulation": _cluster_simulation,
    "switching": _switching,
    "stacks": _stacks,
    "memory": _memory,
    "merge_accuracy": _merge_accuracy,
    "library_growth": _library_growth,
    "keys": _keys,
    "gpu": lambda figures: as_markdown(figures["results"]),
}


if __name__ == "__main__":
    write_tables()
