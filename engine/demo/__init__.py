"""The embedded demo: a tiny SDXL, its LoRAs, and how they are made."""

from pathlib import Path

DEMO_MODEL = Path(__file__).parent / "loraswitch_demo.safetensors"
DEMO_LORAS = Path(__file__).parent / "loras"
