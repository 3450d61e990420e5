"""Weights of offloaded and compiled modules: where a write reaches what runs, and where not."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from torch import nn

from engine.errors import EngineError
from engine.switch.visits import visits_of

_HOOKS = "_diffusers_hook"
"""The attribute of a module that diffusers keeps its hooks in."""
_GROUP_OFFLOADING = "group_offloading"
"""What diffusers calls its hook."""


class ReachableWeights:
    """Sees to it that what is written to the parameters of a model is what its next run reads.

    Offloading may begin after the model was given, so it is looked for before every switch.
    """

    def __init__(self, parts: Mapping[str, nn.Module]) -> None:
        # Hooks come and go, the modules stay; walking the tree anew would take milliseconds.
        self._modules = [module for part in parts.values() for module in part.modules()]
        self._attributes = [vars(module) for module in self._modules]
        self._networks = [getattr(part, "_orig_mod", part) for part in parts.values()]
        # Offloading layer by layer takes all parameters of a module together: one will tell.
        self._parameters = {
            part: [
                (module._parameters, name)
                for module in parts[part].modules()
                for name in _first_parameter(module)
            ]
            for part in parts
        }

    def require(self) -> None:
        """Bring weights that an unfinished run left on the device back to where they count.

        Raises `EngineError` where a write to the parameters would be lost.
        """
        # Quick expressions, since a switch on a GPU takes milliseconds.
        for part, parameters in self._parameters.items():
            if any(held[name].is_meta for held, name in parameters):  # type: ignore[union-attr]
                raise EngineError(
                    f"The {part} is offloaded layer by layer (its weights are on the meta "
                    "device), so a switch would change nothing; use model or group offload instead."
                )
        hooked = any(_HOOKS in attributes for attributes in self._attributes)
        groups = list(_groups(self._modules)) if hooked else []
        if any(group.offload_to_disk_path is not None for group in groups):
            raise EngineError(
                "The model is offloaded to disk, from where its weights are read anew for every "
                "step, so a switch would change nothing; offload it to main memory instead."
            )
        if _freezes_weights() and any(map(_is_compiled, self._modules)):
            raise EngineError(
                "The model is compiled with its weights frozen into the code "
                "(torch._inductor.config.freezing), so a switch would change nothing; compile it "
                "without freezing."
            )
        _bring_home(groups)
        _end_visits(self._networks)


def _first_parameter(module: nn.Module) -> list[str]:
    """The name of a module's first own parameter, if it has one."""
    return [name for name, p in module._parameters.items() if p is not None][:1]


def bring_home(modules: Iterable[nn.Module]) -> None:
    """Put weights that visit a device back into main memory.

    Of diffusers' groups with a stream, what counts is a group's copies in main memory: a parameter
    is one of them until its group is onloaded, and then a copy on the device whose changes are
    dropped. Groups are back after a run, but not when an error ended it.
    """
    modules = tuple(modules)
    _bring_home(_groups(modules))
    _end_visits(modules)


def _end_visits(modules: Iterable[nn.Module]) -> None:
    for module in modules:
        if (visits := visits_of(module)) is not None:
            visits.go_home()


def _bring_home(groups: Iterable[Any]) -> None:
    for group in groups:
        if group.stream is not None:
            # Copies to the device may still be on their way.
            group.stream.synchronize()
        group.offload_()


def _groups(modules: Iterable[nn.Module]) -> Iterator[Any]:
    for module in modules:
        registry = vars(module).get(_HOOKS)
        hook = None if registry is None else registry.get_hook(_GROUP_OFFLOADING)
        if hook is not None:
            yield hook.group


def _freezes_weights() -> bool:
    # Where nothing is compiled it is not imported, and need not be.
    inductor = sys.modules.get("torch._inductor.config")
    return inductor is not None and bool(inductor.freezing)


def _is_compiled(module: nn.Module) -> bool:
    return module._compiled_call_impl is not None or "_orig_mod" in module._modules
