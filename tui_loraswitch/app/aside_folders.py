"""The hidden folders of files that were deleted, until the system's trash has them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from engine.errors import EngineError

if TYPE_CHECKING:
    from engine.store.aside import AsideStore


class AsideFolders:
    """Written down before a file goes there: should the app die, the next start throws it away."""

    def __init__(self, on_problem: Callable[[str], object]) -> None:
        self._on_problem = on_problem
        self.store: AsideStore | None = None
        """None until it is open, and where it cannot be."""

    def note(self, lora: Path) -> None:
        """A file is about to be set aside. Raises `EngineError`."""
        from engine.library.arrange import ASIDE

        if self.store is None:
            raise EngineError("Nothing is deleted, since the store cannot be opened.")
        self.store.add(lora.parent / ASIDE)

    def empty(self, owned: bool) -> None:
        """Give what this app has set aside to the trash, or what those have that are gone."""
        from engine.library.arrange import empty

        if self.store is None:
            return
        try:
            folders = self.store.all()
            for problem in empty(folders, owned):
                self._on_problem(problem)
            for folder in folders:
                if not folder.exists():
                    self.store.drop(folder)
        except EngineError as error:
            self._on_problem(str(error))
