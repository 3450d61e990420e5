"""Sets of characters that show two colours in finer shapes than half a cell."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

SymbolSet = Literal["quadrants", "sextants", "octants"]
GRIDS: Mapping[SymbolSet, tuple[int, int]] = {
    "quadrants": (2, 2),
    "sextants": (2, 3),
    "octants": (2, 4),
}
"""Places of a cell: columns and rows."""
