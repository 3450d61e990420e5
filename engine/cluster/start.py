"""Finding a Ray cluster, or starting Ray on this machine; nothing is sent to anybody."""

from __future__ import annotations

import io
import logging
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any

from engine.errors import EngineError

log = logging.getLogger(__name__)

AUTO = "auto"
_LOCALHOST = "127.0.0.1"
_QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_DISABLE_IMPORT_WARNING": "1",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_DEDUP_LOGS": "0",
}
_STORE_BYTES = 512 << 20


def import_ray() -> Any:
    """Ray's module; raises `EngineError` with what to install where it is missing."""
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    if _has_token():
        # Clusters begun by `ray start` ask for it; given their address, Ray shows none of itself.
        os.environ.setdefault("RAY_AUTH_MODE", "token")
    try:
        import ray
    except ImportError as error:
        raise EngineError("Ray is not installed: pip install 'loraswitch[ray]' adds it.") from error
    return ray


@contextmanager
def cluster(address: str, cpus: int | None = None) -> Iterator[Any]:
    """Attach to a cluster, or start Ray here and end it again; gives Ray's module.

    `auto` attaches to the cluster that this machine belongs to, and starts one where it belongs to
    none; `local` starts one in any case. A cluster that was there goes on. Raises `EngineError`.
    """
    ray = import_ray()
    # Its own threads print of workers that die, whatever it is told.
    with redirect_stdout(_IntoLog()):
        yield from _attached_or_started(ray, address, cpus)


def _attached_or_started(ray: Any, address: str, cpus: int | None) -> Iterator[Any]:
    folder: str | None = None
    try:
        if address != "local" and _attached(ray, address):
            yield ray
            return
        # A short one: the paths of its sockets end at 107 bytes.
        folder = tempfile.mkdtemp(prefix="lsr-", dir="/tmp")
        try:
            ray.init(
                address="local",
                num_cpus=cpus,
                include_dashboard=False,
                object_store_memory=_STORE_BYTES,
                log_to_driver=False,
                logging_level="error",
                _node_ip_address=_LOCALHOST,
                _temp_dir=folder,
            )
        # Ray raises what its parts do: runtime errors, those of the system, those of gRPC.
        except Exception as error:
            raise EngineError(f"Ray cannot be started here: {_short(error)}") from error
        yield ray
    finally:
        ray.shutdown()
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)


def _attached(ray: Any, address: str) -> bool:
    try:
        ray.init(address=address, log_to_driver=False, logging_level="error")
    except ConnectionError as error:
        if address == AUTO:
            return False
        raise EngineError(f"No Ray cluster answers at {address}: {_short(error)}") from error
    except (ValueError, RuntimeError) as error:
        raise EngineError(f"“{address}” is no address of a Ray cluster: {_short(error)}") from error
    return True


def _has_token() -> bool:
    """Whether there is a token for clusters, in one of the places that Ray knows."""
    named = os.environ.get("RAY_AUTH_TOKEN") or os.environ.get("RAY_AUTH_TOKEN_PATH")
    return bool(named) or (Path.home() / ".ray" / "auth_token").is_file()


class _IntoLog(io.TextIOBase):
    """Takes what is printed into the log file."""

    def write(self, text: str) -> int:
        if text.strip():
            log.info("%s", text.strip())
        return len(text)


def _short(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:300] if lines else type(error).__name__
