"""Which base model a LoRA or a checkpoint is for, with the reason in words."""

from engine.lora.base_model.decide import Base, base_by_names, base_of_file, weigh
from engine.lora.base_model.families import SDXL_SHAPED, family_called, variant_called

__all__ = [
    "SDXL_SHAPED",
    "Base",
    "base_by_names",
    "base_of_file",
    "family_called",
    "variant_called",
    "weigh",
]
