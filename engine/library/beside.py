"""Which files of a folder belong to which LoRA: its sidecars and its previews."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from engine.library.previews import PREVIEW_ENDINGS
from engine.library.sidecars import SIDECAR_ENDINGS

_ENDINGS = (*SIDECAR_ENDINGS, *PREVIEW_ENDINGS)
_SIDECARS = len(SIDECAR_ENDINGS)

Neighbours = tuple[tuple[tuple[str, Path], ...], tuple[Path, ...]]
"""Sidecars as ending and path, and previews, the preferred one first."""

_NONE: Neighbours = (), ()


class Beside:
    """A folder's file names by the LoRAs that they belong to, whatever their case.

    One name may belong to two: `X.preview.png` to `X` and to `X.preview`.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self._by_stem: dict[str, list[tuple[int, str]]] = {}
        for name in names:
            folded = name.casefold()
            if folded.endswith(_ENDINGS):
                for order, ending in enumerate(_ENDINGS):
                    if folded.endswith(ending):
                        stem = folded[: -len(ending)]
                        self._by_stem.setdefault(stem, []).append((order, name))

    def paths_of(self, folder: Path, stem: str) -> Neighbours:
        """What belongs to the LoRA of this name (without its ending) in the folder.

        Of several writings of one name the exact one comes first; a sidecar is only that one.
        """
        found = self._by_stem.get(stem.casefold())
        if found is None:
            return _NONE
        found.sort(key=lambda one: (one[0], one[1] != stem + _ENDINGS[one[0]], one[1]))
        sidecars: dict[str, Path] = {}
        previews: list[Path] = []
        for order, name in found:
            if order >= _SIDECARS:
                previews.append(folder / name)
            elif _ENDINGS[order] not in sidecars:
                sidecars[_ENDINGS[order]] = folder / name
        return tuple(sidecars.items()), tuple(previews)


def find_previews(lora: Path) -> list[Path]:
    """The pictures beside a LoRA file, whatever the case of their names, the preferred one first.

    None when the folder cannot be read.
    """
    try:
        names = [path.name for path in lora.parent.iterdir()]
    except OSError:
        return []
    return list(Beside(names).paths_of(lora.parent, lora.stem)[1])
