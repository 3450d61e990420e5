"""A GPU of AMD by the files of its driver."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.monitor.amd import read_amd_gpu
from engine.monitor.nvml import Nvml
from engine.monitor.sampler import Sampler


def write_card(folder: Path, number: int, **files: str) -> None:
    """A card as Linux shows it: `vendor`, `mem_info_vram_total`, ...; sensors by their names."""
    device = folder / f"card{number}" / "device"
    (device / "hwmon" / "hwmon3").mkdir(parents=True)
    for name, text in files.items():
        is_sensor = name.startswith(("temp", "power"))
        ((device / "hwmon" / "hwmon3" if is_sensor else device) / name).write_text(f"{text}\n")


def amd(total: int, **more: str) -> dict[str, str]:
    return {"vendor": "0x1002", "mem_info_vram_total": str(total)} | more


def test_all_that_the_driver_tells(tmp_path: Path) -> None:
    write_card(tmp_path, 0, vendor="0x8086", mem_info_vram_total="999999999999")
    write_card(tmp_path, 1, **amd(512 << 20))
    card = amd(
        24 << 30,
        mem_info_vram_used=str(6 << 30),
        gpu_busy_percent="97",
        product_name="Radeon RX 7900 XTX",
        temp1_input="61499",
        power1_average="303500000",
        power1_cap="327000000",
    )
    write_card(tmp_path, 2, **card)
    (tmp_path / "card2-DP-1").mkdir()
    found = read_amd_gpu(tmp_path)
    assert found is not None
    assert (found.name, found.memory_used, found.memory_total) == (
        "Radeon RX 7900 XTX", 6 << 30, 24 << 30,
    )  # fmt: skip
    assert (found.utilisation, found.temperature) == (97, 61)
    assert (found.power, found.power_limit) == (303.5, 327.0)


def test_what_is_not_told_is_none_and_two_of_a_kind_are_not_guessed(tmp_path: Path) -> None:
    assert read_amd_gpu(tmp_path) is None
    write_card(tmp_path, 0, **amd(8 << 30), gpu_busy_percent="?", temp1_input="")
    found = read_amd_gpu(tmp_path)
    assert found is not None
    assert (found.name, found.memory_total) == ("AMD GPU", 8 << 30)
    assert (found.memory_used, found.utilisation, found.temperature, found.power) == (None,) * 4
    write_card(tmp_path, 1, **amd(8 << 30))
    assert read_amd_gpu(tmp_path) is None


def test_it_is_read_where_there_is_no_gpu_of_nvidia(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from engine.monitor import amd as module

    class NoNvml(Nvml):
        def read(self) -> None:
            self.note = "no NVIDIA driver"

    monkeypatch.setattr(module, "CARDS", tmp_path)
    sampler = Sampler(1.0, lambda reading: None, make_nvml=NoNvml)
    assert (sampler.read_once().gpu, sampler.read_once().gpu_note) == (None, "no NVIDIA driver")
    write_card(tmp_path, 0, **amd(8 << 30))
    reading = sampler.read_once()
    assert reading.gpu is not None
    assert (reading.gpu.memory_total, reading.gpu_note) == (8 << 30, "")
