"""SDXL and LoRA: open a checkpoint, switch LoRAs on it in place and exactly, draw pictures.

The public names are imported on first use, so that `engine.protocol` costs no torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from engine.checkpoint import open_checkpoint
    from engine.errors import EngineError
    from engine.protocol.refs import LoraRef
    from engine.protocol.request import GenerateRequest
    from engine.session import Session
    from engine.switch.switcher import LoraSwitcher

_HOMES = {
    "EngineError": "engine.errors",
    "GenerateRequest": "engine.protocol.request",
    "LoraRef": "engine.protocol.refs",
    "LoraSwitcher": "engine.switch.switcher",
    "Session": "engine.session",
    "open_checkpoint": "engine.checkpoint",
}

__all__ = [
    "EngineError",
    "GenerateRequest",
    "LoraRef",
    "LoraSwitcher",
    "Session",
    "open_checkpoint",
]


def __getattr__(name: str) -> Any:
    try:
        return getattr(import_module(_HOMES[name]), name)
    except KeyError as error:
        raise AttributeError(f"module 'engine' has no attribute {name!r}") from error
