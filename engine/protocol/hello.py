"""The first words between client and host: JSON that stays the same across versions.

So a host of another version can still be asked how it is, and be stopped.
"""

from __future__ import annotations

import json
from typing import Any, Literal

from engine.protocol.codec import VERSION, ProtocolError
from engine.version import VERSION as PROGRAM_VERSION

Want = Literal["attach", "status", "stop"]
WANTS: tuple[Want, ...] = ("attach", "status", "stop")


def client_hello(want: Want) -> bytes:
    """What a client says first."""
    return json.dumps({"loraswitch": PROGRAM_VERSION, "protocol": VERSION, "want": want}).encode()


def host_hello(**facts: Any) -> bytes:
    """What a host answers: its version, and `refused` with words or what was asked for."""
    return json.dumps({"loraswitch": PROGRAM_VERSION, "protocol": VERSION, **facts}).encode()


def read_hello(data: bytes) -> dict[str, Any]:
    """The table that the other side said; raises `ProtocolError` for anything else."""
    try:
        table = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ProtocolError("This is no greeting of loraswitch.") from error
    if not isinstance(table, dict) or type(table.get("protocol")) is not int:
        raise ProtocolError("This is no greeting of loraswitch.")
    return table
