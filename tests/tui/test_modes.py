"""The memory mode on the screen: status line, log, gauges."""

from __future__ import annotations

from msgspec import structs

from engine.monitor.reading import GpuReading, Reading
from engine.protocol.events import EventMessage, MemoryChanged, ModelLoaded
from engine.protocol.log_words import log_lines
from engine.protocol.modes import MODE_WORDS, MODES, OFFLOADED
from engine.protocol.reports import MemoryReport
from tui_loraswitch.panes.gauge_lines import BACKUP, MODEL, Figures, gauge_lines

from .conftest import MODEL as SDXL

GIB = 2**30


async def test_a_mode_that_is_not_the_usual_one_is_shown(start):
    async with start() as driver:
        await driver.load(structs.replace(SDXL, mode="model-offload"))
        await driver.emit(MemoryChanged(MemoryReport(model=1, model_offloaded=1)))
        assert "float16 · cuda:0 RTX 4090 · model-offload" in driver.screen[0]
        assert "the networks take turns on the device" in "\n".join(driver.log)


def test_every_mode_has_words():
    for mode in MODES:
        loaded = ModelLoaded(structs.replace(SDXL, mode=mode), 1.0)
        lines = log_lines(EventMessage(1, "", None, 0.0, loaded))
        shown = [line.text for line in lines[1:]]
        assert shown == ([] if mode == "resident" else [f"mode {mode}: {MODE_WORDS[mode]}"])
    assert set(MODE_WORDS) == set(MODES) == set(OFFLOADED)


def test_weights_that_rest_in_main_memory_are_drawn_there():
    gpu = GpuReading("RTX 3060", 2 * GIB, 8 * GIB, 50, 60, 100.0, 170.0)
    reading = Reading(0.0, 16 * GIB, 32 * GIB, 12 * GIB, gpu)
    memory = MemoryReport(6 * GIB, backup=4 * GIB, backup_tier="cpu", model_offloaded=6 * GIB)
    vram, _, ram, *_ = (line.plain for line in gauge_lines(Figures(reading, memory, True), 60))
    assert MODEL not in vram
    assert ram.count(MODEL) > ram.count(BACKUP) > 0
    staying = structs.replace(memory, model_offloaded=0)
    vram, _, ram, *_ = (line.plain for line in gauge_lines(Figures(reading, staying, True), 60))
    assert MODEL in vram
    assert MODEL not in ram
    partly = structs.replace(memory, model_offloaded=2 * GIB)
    less, _, ram, *_ = (line.plain for line in gauge_lines(Figures(reading, partly, True), 60))
    assert 0 < less.count(MODEL) < vram.count(MODEL)
    assert 0 < ram.count(MODEL) < ram.count(BACKUP)
