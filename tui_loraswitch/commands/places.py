"""Where things are kept between runs: the XDG folders, or what the platform has in their place."""

from __future__ import annotations

from pathlib import Path

import platformdirs

_NAME = "loraswitch"


def config_path() -> Path:
    """The config file, written by hand or by the last start."""
    return platformdirs.user_config_path(_NAME) / "config.toml"


def index_path() -> Path:
    """The library's index; it can be deleted, and is then built anew."""
    return platformdirs.user_cache_path(_NAME) / "library.sqlite"


def state_path() -> Path:
    """Prompt and settings of the app."""
    return platformdirs.user_state_path(_NAME) / "state.json"


def store_path() -> Path:
    """The store: what was drawn, written and set, in one SQLite file."""
    return platformdirs.user_state_path(_NAME) / "loraswitch.db"


def host_state_path(name: str) -> Path:
    """The file in which the host of this name keeps its model, stack, queue and draft."""
    return platformdirs.user_state_path(_NAME) / f"host-{name}.json"


def host_log_path(name: str) -> Path:
    """What a host that was started in the background prints where nobody looks."""
    return platformdirs.user_state_path(_NAME) / f"host-{name}.log"


def log_path() -> Path:
    """The log file."""
    return platformdirs.user_state_path(_NAME) / "loraswitch.log"
