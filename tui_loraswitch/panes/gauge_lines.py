"""Readings of memory and GPU as lines of text: bars, legend, history."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from msgspec import Struct
from textual.content import Content

from engine.monitor.reading import GpuReading, Reading
from engine.protocol.reports import MemoryReport
from engine.protocol.text import TIER_WORDS, gib
from tui_loraswitch.look.theme import FAINT, MUTED

MODEL, BACKUP, LORA, OTHER, FREE = "█", "▓", "▒", "░", "─"
_SPARKS = "▁▂▃▄▅▆▇█"
_COLOURS = {
    MODEL: "$primary",
    BACKUP: "$secondary-lighten-1",
    LORA: "$accent",
    OTHER: "$foreground 45%",
    FREE: "$foreground 20%",
}

_NARROWEST = 24
"""Cells of a bar beside which there are other figures."""


class Figures(Struct, frozen=True):
    """All that the gauges draw from."""

    reading: Reading
    memory: MemoryReport
    on_gpu: bool
    """The model lives on a GPU, not in main memory."""
    history: tuple[float, ...] = ()
    """Past GPU utilisation, or use of main memory without one: 0 to 1, oldest first."""


def gauge_lines(figures: Figures, width: int) -> list[Content]:
    """The lines of the gauges pane, each at most `width` cells."""
    reading = figures.reading
    machine = (reading.ram_used, reading.ram_total)
    ram = _bar("RAM", _parts(figures, on_device=False), *machine, width)
    legend = _legend(figures, width)
    memory = [_vram(figures, width), legend, ram] if figures.on_gpu else [ram, legend]
    return [*memory, _gpu(reading.gpu, reading.gpu_note), _last(figures, width)]


def gauge_line(figures: Figures, width: int) -> Content:
    """The most needed figures in one line, for the folded screen: as many as there is room for."""
    reading, gpu = figures.reading, figures.reading.gpu
    if figures.on_gpu and gpu and gpu.memory_used is not None and gpu.memory_total:
        others = [f"RAM {gib(reading.ram_used)}/{gib(reading.ram_total)}"]
        others.append(f"GPU {_gpu_words(gpu)}")
        name, used, total, widest = "VRAM", gpu.memory_used, gpu.memory_total, 34
    else:
        others = [f"process {gib(reading.process_rss)} GiB", *filter(None, [reading.gpu_note])]
        name, used, total, widest = "RAM", reading.ram_used, reading.ram_total, 42
    while others and width - _length(others) < _NARROWEST:
        others.pop()
    room = min(widest, width - _length(others))
    head = _bar(name, _parts(figures, on_device=name == "VRAM"), used, total, room)
    tail = "".join(f"  {words}" for words in others)
    return Content.assemble(head, (tail, MUTED)).truncate(width, ellipsis=True)


def _length(words: Sequence[str]) -> int:
    return sum(len(word) + 2 for word in words)


def sparkline(values: Iterable[float]) -> str:
    """Values from 0 to 1 as small blocks."""
    top = len(_SPARKS) - 1
    return "".join(_SPARKS[round(max(0.0, min(1.0, value)) * top)] for value in values)


def _vram(figures: Figures, width: int) -> Content:
    gpu, note = figures.reading.gpu, figures.reading.gpu_note
    if gpu is None:
        torch = f"{gib(figures.memory.torch_reserved)} GiB reserved"
        return Content.assemble(("VRAM ", MUTED), torch, (f" · {note}", FAINT))
    if gpu.memory_used is None or not gpu.memory_total:
        return Content.assemble(("VRAM ", MUTED), ("n/a, shared with RAM", FAINT))
    return _bar("VRAM", _parts(figures, on_device=True), gpu.memory_used, gpu.memory_total, width)


def _parts(figures: Figures, on_device: bool) -> list[tuple[str, int]]:
    """The engine's shares of the GPU's memory, or of the machine's.

    LoRAs are cached in the machine's, the last ones on the GPU too; backups may lie in both.
    Without a GPU all is there.
    """
    memory, together = figures.memory, not figures.on_gpu
    offloaded = memory.model_offloaded
    model = memory.model - offloaded if on_device else offloaded
    shares = [(MODEL, memory.model if together else model)]
    backup = memory.backup_on_gpu if on_device else memory.backup - memory.backup_on_gpu
    shares.append((BACKUP, memory.backup if together else backup))
    shares.append((LORA, memory.lora_on_gpu if on_device else memory.lora_cache))
    return shares


def _bar(
    label: str, parts: Sequence[tuple[str, int]], used: int, total: int, width: int
) -> Content:
    """`VRAM ███▓▒░──── 11.2/24.0 GiB`, with what the parts do not explain as OTHER."""
    figure = f" {gib(used)}/{gib(total)} GiB"
    cells = max(4, width - 5 - len(figure))
    pieces: list[tuple[str, str]] = []
    drawn, sum_so_far = 0, 0
    for sign, count in (*parts, (OTHER, max(0, used - sum(count for _, count in parts)))):
        sum_so_far += count
        end = min(cells, round(sum_so_far / total * cells)) if total else 0
        if end == drawn and count > total / 1000 and drawn < cells and sign != OTHER:
            end = drawn + 1  # what is there shall be seen
        pieces.append((sign * (end - drawn), _COLOURS[sign]))
        drawn = max(drawn, end)
    pieces.append((FREE * (cells - drawn), _COLOURS[FREE]))
    shown = [piece for piece in pieces if piece[0]]
    return Content.assemble((f"{label:<5}", MUTED), *shown, figure)


def _legend(figures: Figures, width: int) -> Content:
    words = _legend_words(figures.memory, " ")
    if figures.memory.backup_tier == "file":
        for gap, where in ((" ", TIER_WORDS["file"]), (" ", "in file"), ("", "in file")):
            words = _legend_words(figures.memory, gap, f" {where}")
            if words.cell_length <= width:
                break
    return Content.assemble(" " * max(0, min(5, width - words.cell_length)), words)


def _legend_words(memory: MemoryReport, gap: str, where: str = "") -> Content:
    """Signs and what they stand for; `where` tells of a backup that is in no memory at all."""
    parts = (
        (MODEL, f"model {_short(memory.model)}"),
        (BACKUP, f"backup {_short(memory.backup)}{where}"),
        (LORA, f"LoRA {_short(memory.lora_cache)}"),
    )
    return Content(" ").join(
        Content.assemble((f"{sign}{gap}", _COLOURS[sign]), (text, MUTED)) for sign, text in parts
    )


def _short(count: int) -> str:
    """GiB with one decimal, or MiB where that would be 0.0; nothing is `0`."""
    if not count:
        return "0"
    return gib(count) if count >= 100 << 20 else f"{max(1, count >> 20)}M"


def _gpu(gpu: GpuReading | None, note: str) -> Content:
    if gpu is None:
        return Content.assemble(("GPU  ", MUTED), (note or "no NVML", FAINT))
    return Content.assemble(("GPU  ", MUTED), _gpu_words(gpu))


def _gpu_words(gpu: GpuReading) -> str:
    power = None if gpu.power is None else f"{gpu.power:.0f}"
    if power and gpu.power_limit:
        power += f"/{gpu.power_limit:.0f}"
    facts = ((gpu.utilisation, "%"), (gpu.temperature, "°C"), (power, "W"))
    return "  ".join("n/a" if value is None else f"{value} {unit}" for value, unit in facts)


def _last(figures: Figures, width: int) -> Content:
    """Memory of the process, and the history."""
    head = Content.assemble((f"     process {gib(figures.reading.process_rss)} GiB  ", MUTED))
    room = max(0, width - head.cell_length)
    sparks = sparkline(figures.history[-room:]) if room else ""
    return Content.assemble(head, (f"{sparks:>{room}}", "$primary"))
