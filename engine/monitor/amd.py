"""One GPU of AMD through the files of its driver in /sys; whatever they do not tell is None."""

from __future__ import annotations

from pathlib import Path

from engine.monitor.reading import GpuReading

CARDS = Path("/sys/class/drm")
_VENDOR = "0x1002"


def read_amd_gpu(cards: Path | None = None) -> GpuReading | None:
    """The GPU of AMD with the most memory, now; None where there is none, or several such.

    Which of several equal ones is in use its driver's files do not say.
    """
    found = [device for device in (cards or CARDS).glob("card[0-9]*/device") if _is_amd(device)]
    sizes = [_number(device / "mem_info_vram_total") or 0 for device in found]
    if sizes.count(max(sizes, default=0)) != 1:
        return None
    device = found[sizes.index(max(sizes))]
    return GpuReading(
        name=_text(device / "product_name") or "AMD GPU",
        memory_used=_number(device / "mem_info_vram_used"),
        memory_total=_number(device / "mem_info_vram_total"),
        utilisation=_number(device / "gpu_busy_percent"),
        temperature=_rounded(_sensor(device, "temp1_input"), 1000),
        power=_watts(_sensor(device, "power1_average") or _sensor(device, "power1_input")),
        power_limit=_watts(_sensor(device, "power1_cap")),
    )


def _is_amd(device: Path) -> bool:
    return _text(device / "vendor") == _VENDOR


def _sensor(device: Path, name: str) -> int | None:
    values = (_number(path) for path in sorted(device.glob(f"hwmon/hwmon*/{name}")))
    return next((value for value in values if value is not None), None)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        # Not told by this card or this driver, or the card is asleep.
        return ""


def _number(path: Path) -> int | None:
    text = _text(path)
    return int(text) if text.isdecimal() else None


def _rounded(value: int | None, unit: int) -> int | None:
    return None if value is None else round(value / unit)


def _watts(microwatts: int | None) -> float | None:
    return None if microwatts is None else microwatts / 1_000_000
