"""Which switcher a model belongs to: two on one model would destroy each other's base."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from weakref import WeakKeyDictionary, ref

from torch import nn

from engine.errors import SwitchError

_claims: WeakKeyDictionary[nn.Module, Claim] = WeakKeyDictionary()
_lock = threading.Lock()


class Claim:
    """A switcher's claim to the modules of a model; the newest one counts.

    It can be laid only while the former switcher has no LoRA on the modules, whose weights would
    be taken for the base's. The claim of a switcher that is gone stays in the way if it left LoRAs
    on them: their base is lost.
    """

    def __init__(self, modules: Iterable[nn.Module]) -> None:
        # The table must not keep a model alive that nobody else has.
        self._modules = tuple(map(ref, modules))
        self._changed = False
        self._changes = 0
        with _lock:
            self._former = {claim: claim._changes for claim in self._standing()}
            self._require_base()

    def lay(self) -> None:
        """Take the modules over, when the base was looked at.

        Raises `SwitchError` where another switcher has changed them meanwhile.
        """
        with _lock:
            self._require_base()
            for module in self._present():
                _claims[module] = self

    @property
    def is_lost(self) -> bool:
        """Whether a newer switcher has taken a module over."""
        return any(claim is not self for claim in self._standing())

    def require(self) -> None:
        """Raise `SwitchError` when a newer switcher has taken a module over."""
        if self.is_lost:
            raise SwitchError(
                "Another LoraSwitcher was made for this model since; use that one, and this one no "
                "more."
            )

    def change(self) -> None:
        """Say that the weights will be written to; raises what `require` does."""
        with _lock:
            self.require()
            self._changed = True
            self._changes += 1

    def release(self) -> None:
        """Say that the base is back."""
        self._changed = False

    def _present(self) -> Iterator[nn.Module]:
        return (module for there in self._modules if (module := there()) is not None)

    def _standing(self) -> Iterator[Claim]:
        """The claims that count now."""
        claims = (_claims.get(module) for module in self._present())
        return (claim for claim in claims if claim is not None)

    def _require_base(self) -> None:
        for claim in self._standing():
            if claim._changed or claim._changes != self._former.get(claim, 0):
                raise SwitchError(
                    "Another LoraSwitcher has LoRAs on this model. Bring the base back with it "
                    "first (apply([])), or load the model anew if it is gone."
                )
