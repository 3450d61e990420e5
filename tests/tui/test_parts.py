"""The parts without a screen: state, form, gauges, pictures, words."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs
from PIL import Image

from engine.errors import EngineError, FileFormatError
from engine.monitor.reading import GpuReading, Reading
from engine.protocol.jobs import Job
from engine.protocol.refs import LoraRef
from engine.protocol.reports import MemoryReport
from engine.protocol.request import GenerateRequest
from engine.protocol.text import duration, file_size, stack_words
from engine.protocol.view import EngineView
from tui_loraswitch.config.ui_state import MAX_STATE_BYTES, UiState, load_state, save_state
from tui_loraswitch.control.stack_view import StackView
from tui_loraswitch.images.fit import fit_half_cells, fit_protocol
from tui_loraswitch.images.terminal import TerminalImages
from tui_loraswitch.panes.gauge_lines import Figures, gauge_line, gauge_lines, sparkline
from tui_loraswitch.screens.settings_form import read_form

GIB = 1 << 30
A = LoraRef(Path("a.safetensors"))


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
    | st.fixed_dictionaries({}, optional={"prompt": st.text(), "seed": st.integers() | st.text()})
)
def test_any_state_file_gives_a_state(tmp_path_factory, value):
    path = tmp_path_factory.mktemp("state") / "state.json"
    path.write_text(json.dumps(value))
    state = load_state(path)
    assert isinstance(state.prompt, str)
    assert type(state.seed) is int
    save_state(path, state)
    assert load_state(path) == state


def test_a_state_file_may_spell_samplers_as_elsewhere(tmp_path):
    path = tmp_path / "state.json"
    path.write_text('{"sampler": "dpmpp_2m_sde_gpu", "schedule": "exponential"}')
    state = load_state(path)
    assert (state.sampler, state.schedule) == ("DPM++ 2M SDE", "Exponential")
    path.write_text('{"noise": "TPU"}')
    assert load_state(path).noise == "CPU"
    path.write_text('{"sampler": "Euler a Karras", "empty_negative": "encoded"}')
    state = load_state(path)
    assert (state.sampler, state.schedule) == ("Euler a", "Karras")
    assert state.empty_negative == "zeros", "the config file says it"


def test_no_state_file_gives_the_defaults(tmp_path):
    assert load_state(tmp_path / "missing.json") == UiState()


@pytest.mark.parametrize("content", [b'{"prompt": "x', b"[1]", b"\0" * 90, b"", b"[" * 100_000])
def test_a_state_file_that_cannot_be_read_is_set_aside(tmp_path, caplog, content):
    path = tmp_path / "state.json"
    path.write_bytes(content)
    assert load_state(path) == UiState()
    assert (tmp_path / "state.unreadable.json").read_bytes() == content
    assert not path.exists()
    assert "state.json cannot be read" in caplog.text
    assert "kept as state.unreadable.json" in caplog.text


def test_a_state_file_that_is_too_large_outlasts_the_next_save(tmp_path, caplog):
    path = tmp_path / "state.json"
    for content in (b"1" * (MAX_STATE_BYTES + 1), b"2" * (MAX_STATE_BYTES + 1), b"{"):
        path.write_bytes(content)
        save_state(path, load_state(path))
    kept = {file.name: file.read_bytes()[:1] for file in tmp_path.glob("*.unreadable*")}
    assert kept == {
        "state.unreadable.json": b"1",
        "state.unreadable-2.json": b"2",
        "state.unreadable-3.json": b"{",
    }
    assert "kept as state.unreadable-2.json: " in caplog.text
    assert "too large" in caplog.text


def test_a_pipe_in_the_place_of_the_state_is_not_waited_for(tmp_path, caplog):
    os.mkfifo(tmp_path / "state.json")
    assert load_state(tmp_path / "state.json") == UiState()
    assert "not a file but a pipe" in caplog.text


FORM = {
    "steps": "20", "sampler": "Euler", "schedule": "Automatic", "cfg_scale": "5,5",
    "seed": "-1", "size": "1216 × 832", "batch": "2", "clip_skip": "3",
    "noise": "GPU", "empty_negative": "encoded", "styles": "", "variation_seed": "-1",
    "variation_strength": "0", "region_ratios": "", "region_masks": "", "start_picture": "",
    "denoising": "0.75", "resize": "crop", "mask": "", "mask_blur": "4", "hires_scale": "1",
    "hires_denoising": "0.7", "hires_upscaler": "Latent", "hires_steps": "0", "hires_prompt": "",
}  # fmt: skip


def test_the_form_reads_what_people_type():
    state = read_form(FORM, UiState(prompt="kept"))
    assert (state.steps, state.cfg_scale, state.width, state.height) == (20, 5.5, 1216, 832)
    assert (state.clip_skip, state.noise, state.empty_negative) == (3, "GPU", "encoded")
    assert state.request(Path("/out")).noise == "GPU"
    assert state.prompt == "kept"
    assert read_form(FORM | {"seed": str(2**64 - 1), "batch": "1"}, state).seed == 2**64 - 1
    assert read_form(FORM | {"size": "auto"}, state).width == 0


@pytest.mark.parametrize(
    ("field", "text", "words"),
    [
        ("steps", "many", "must be a whole number"),
        ("steps", "9999", "steps, not 9999"),
        ("size", "1000x1001", "multiple of 8"),
        ("size", "big", "1216x832"),
        ("cfg_scale", "nan", "CFG scale"),
        ("seed", "-2", "seed -2"),
        ("seed", str(2**64), "seed 18446744073709551616"),
        ("seed", "1" * 5000, "must be a whole number"),
        ("clip_skip", "0", "Clip skip starts at 1"),
        ("clip_skip", "two", "clip skip must be a whole number"),
        ("batch", "65", "at most 64"),
        ("schedule", "Steep", "no schedule “Steep”"),
    ],
)
def test_the_form_says_what_is_wrong(field, text, words):
    with pytest.raises(EngineError, match=words):
        read_form(FORM | {field: text}, UiState())


GPU = GpuReading("RTX 4090", int(11.2 * GIB), 24 * GIB, 97, 71, 312.4, 450.0)


def figures(gpu: GpuReading | None, on_gpu: bool, note: str = "", tier="device") -> Figures:
    reading = Reading(0.0, int(9.8 * GIB), 64 * GIB, int(3.2 * GIB), gpu, note)
    there = int(4.1 * GIB) if tier == "device" else 0
    memory = MemoryReport(
        int(6.6 * GIB), int(4.1 * GIB), tier, int(0.4 * GIB), GIB, 2 * GIB, backup_on_gpu=there
    )
    return Figures(reading, memory, on_gpu, (0.0, 0.5, 1.0))


def test_the_gauges_split_the_memory_of_the_gpu():
    lines = [line.plain for line in gauge_lines(figures(GPU, True), 41)]
    assert lines[0].startswith("VRAM █")
    assert lines[0].endswith("11.2/24.0 GiB")
    assert lines[0].count("█") > lines[0].count("▓") >= 1
    assert "▒" not in lines[0]
    assert lines[2].count("▒") == 1
    assert lines[1] == " █ model 6.6 ▓ backup 4.1 ▒ LoRA 0.4".rjust(41)[-len(lines[1]) :]
    assert lines[3] == "GPU  97 %  71 °C  312/450 W"
    assert "process 3.2 GiB" in lines[4]
    assert lines[4].endswith("▁▅█") or lines[4].endswith("▁▄█")


def test_loras_sent_ahead_are_drawn_on_the_gpu():
    there = figures(GPU, True)
    there = structs.replace(there, memory=structs.replace(there.memory, lora_on_gpu=GIB))
    assert "▒" in gauge_lines(there, 41)[0].plain


def test_a_backup_in_main_memory_is_not_drawn_on_the_gpu():
    lines = [line.plain for line in gauge_lines(figures(GPU, True, tier="cpu"), 46)]
    assert "▓" not in lines[0]
    assert "▓" in lines[2]


def test_a_backup_that_the_gpu_has_no_room_for_is_drawn_where_it_is():
    there = figures(GPU, True)
    there = structs.replace(there, memory=structs.replace(there.memory, backup_on_gpu=2 * GIB))
    vram, _, ram, *_ = (line.plain for line in gauge_lines(there, 60))
    assert 0 < vram.count("▓") < gauge_lines(figures(GPU, True), 60)[0].plain.count("▓")
    assert "▓" in ram


def test_a_backup_in_the_file_is_said_to_be_there():
    memory = MemoryReport(int(6.6 * GIB), 0, "file", int(0.4 * GIB))
    in_file = structs.replace(figures(GPU, True), memory=memory)
    lines = [line.plain for line in gauge_lines(in_file, 52)]
    assert lines[1].strip() == "█ model 6.6 ▓ backup 0 in the file ▒ LoRA 0.4"
    assert "▓" not in lines[0] + lines[2]
    narrow = [line.plain for line in gauge_lines(in_file, 41)]
    assert narrow[1].strip() == "█ model 6.6 ▓ backup 0 in file ▒ LoRA 0.4"
    narrower = [line.plain for line in gauge_lines(in_file, 40)]
    assert narrower[1].strip() == "█model 6.6 ▓backup 0 in file ▒LoRA 0.4"


def test_without_nvml_a_word_says_so_and_ram_is_shown():
    lines = [line.plain for line in gauge_lines(figures(None, False, "no NVML"), 41)]
    assert lines[0].startswith("RAM  █")
    assert lines[2] == "GPU  no NVML"
    assert "no NVML" in gauge_line(figures(None, False, "no NVML"), 78).plain
    narrow = gauge_line(figures(None, False, "no NVML"), 42).plain
    assert "GiB  process" in narrow
    assert "no NVML" not in narrow
    assert "…" not in narrow + gauge_line(figures(GPU, True), 44).plain, "a figure is whole"
    on_gpu = [line.plain for line in gauge_lines(figures(None, True, "no NVML"), 41)]
    assert on_gpu[0] == "VRAM 2.0 GiB reserved · no NVML"


def test_readings_a_driver_does_not_give_are_na():
    gpu = GpuReading("x", None, None, None, 71, None, None)
    lines = [line.plain for line in gauge_lines(figures(gpu, True), 41)]
    assert lines[0] == "VRAM n/a, shared with RAM"
    assert lines[3] == "GPU  n/a  71 °C  n/a"


@given(
    st.integers(20, 120),
    st.integers(0, 1 << 42),
    st.integers(0, 1 << 42),
    st.booleans(),
    st.integers(0, 1 << 42),
)
def test_gauges_fit_their_width_whatever_is_read(width, used, total, on_gpu, model):
    gpu = GpuReading("x", used, total, 100, 100, 999.0, 999.0)
    reading = Reading(0.0, used, total, used, gpu)
    wild = Figures(reading, MemoryReport(model, model, "device", model), on_gpu, (2.0, -1.0))
    assert gauge_line(wild, width).cell_length <= width
    bars = [line for line in gauge_lines(wild, 60) if "GiB" in line.plain]
    assert all(line.cell_length <= 75 for line in bars)


def test_the_history_is_drawn_in_eight_heights():
    assert sparkline([0, 1 / 7, 1, 5, -1]) == "▁▂██▁"


@given(st.integers(1, 300), st.integers(1, 300), st.integers(1, 90), st.integers(1, 60))
def test_pictures_keep_their_shape_and_fit(width, height, max_width, max_rows):
    cells = fit_half_cells((width, height, bytes(3 * width * height)), max_width, max_rows)
    assert 1 <= cells.width <= max_width
    assert 1 <= cells.rows <= max_rows
    assert len(cells.rgb) == cells.width * cells.rows * 2 * 3


def test_a_protocol_picture_fills_whole_cells(tmp_path):
    path = tmp_path / "x.png"
    Image.new("RGB", (100, 50)).save(path)
    fitted = fit_protocol(path, 40, 40, TerminalImages("kitty", 10, 20))
    assert (fitted.width, fitted.rows) == (40, 10)
    assert fitted.image.size == (400, 200)


def test_what_is_no_picture_is_refused(tmp_path):
    path = tmp_path / "x.png"
    path.write_text("no picture")
    with pytest.raises(FileFormatError, match=r"x\.png: this is no PNG, JPEG"):
        fit_half_cells(path, 10, 10)


def test_the_app_starts_without_torch_and_without_pictures():
    code = (
        "import sys, tui_loraswitch.app as a; "
        "heavy = {'torch', 'diffusers', 'transformers', 'PIL', 'psutil', 'numpy'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "[]"


def test_words_for_amounts():
    assert [duration(s) for s in (0.006, 3.14, 125)] == ["6 ms", "3.1 s", "2 min 05 s"]
    assert [file_size(n) for n in (0, 9_000, 2_340_000, 228_000_000, 6_940_000_000)] == [
        "0 kB", "9 kB", "2.3 MB", "228 MB", "6.94 GB",
    ]  # fmt: skip
    assert stack_words(()) == "base"
    assert stack_words((A, LoraRef("c.safetensors", 0.8, 0.6))) == "a 1.00 + c 0.80/0.60"
    weighed = LoraRef("c.safetensors", 0.8, 0.8, 0.5, (("MID", 0.0),))
    assert stack_words((A, weighed), (A,)) == "<a> 1.00 + c 0.80/0.80/0.50 lbw"


@pytest.mark.parametrize("prompt", ["<lora:x:loud>", "a ADDCOL b ADDBASE c", "ADDCOL " * 99])
def test_a_prompt_of_another_client_that_cannot_be_read_is_shown_without_tags(prompt):
    member = LoraRef("/loras/ink.safetensors")
    job = Job("1", GenerateRequest(prompt, Path("/out")), (member,), state="running")
    shown = StackView.of(EngineView(wanted=(member,), live=(member,), jobs=(job,)))
    assert (shown.wanted, shown.tagged) == ((member,), ())
