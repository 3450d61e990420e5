"""The nodes of a graph of ComfyUI, by id, and the links between them."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any

from engine.generate.infotext.json_values import json_object


class Nodes:
    """Those that have inputs; an input that comes from another node is `[id, output]`."""

    def __init__(self, graph: Mapping[str, Any]) -> None:
        self._nodes = {str(id): node for id, node in graph.items() if _inputs(node) is not None}

    def __len__(self) -> int:
        return len(self._nodes)

    def __iter__(self) -> Iterator[str]:
        return iter(self._nodes)

    def kind(self, id: str) -> str:
        """The class of a node."""
        return str(self._nodes[id].get("class_type", ""))

    def inputs(self, id: str) -> dict[str, Any]:
        """The inputs of a node: values and links."""
        return _inputs(self._nodes[id]) or {}

    def source(self, value: object) -> str | None:
        """The node that an input is linked to; None for a plain value."""
        if isinstance(value, list) and len(value) == 2 and str(value[0]) in self._nodes:
            return str(value[0])
        return None

    def behind(self, start: str, without: frozenset[str] = frozenset()) -> Iterator[str]:
        """A node and all that it is made from, the nearest first."""
        waiting, seen = deque([start]), {start}
        while waiting:
            id = waiting.popleft()
            yield id
            for name, value in self.inputs(id).items():
                source = self.source(value)
                if source is not None and source not in seen and name not in without:
                    seen.add(source)
                    waiting.append(source)


def _inputs(node: object) -> dict[str, Any] | None:
    return json_object(node.get("inputs")) if isinstance(node, dict) else None
