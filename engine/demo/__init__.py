"""The embedded demo: a tiny SDXL, its LoRAs, and how they are made."""
