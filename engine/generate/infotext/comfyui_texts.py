"""The texts behind an input of ComfyUI's nodes: typed, combined, put together, left out."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from engine.generate.infotext.comfyui_nodes import Nodes

_NAMES = ("text", "text_g", "prompt", "positive", "string", "value", "populated_text",
          "wildcard_text", "Text", "text_l", "t5xxl", "String", "positive_prompt")  # fmt: skip
_NEGATIVE_NAMES = ("negative", "negative_prompt")
_JOINED = (
    ("string_a", "string_b", "delimiter"), ("string1", "string2", "delimiter"),
    ("text_a", "text_b", "delimiter"), ("text1", "text2", "separator"),
)  # fmt: skip
"""The inputs of nodes that put two texts together, and what comes between."""
_ZEROS = "ConditioningZeroOut"
"""The node that gives zeros, whatever text stands behind it."""
_NO_TEXTS = ("clip", "vae", "control_net", "image", "model")
_DEEPEST = 50
"""Texts that are put together out of texts that are put together."""


class GraphTexts:
    """Reads what stands for the prompts of a node."""

    def __init__(self, nodes: Nodes) -> None:
        self._nodes = nodes
        self._put_together: dict[str, str] = {}

    def prompt(self, place: str) -> str:
        """The texts behind the positive input, those of a combination one after the other."""
        return self._behind(place, ("positive", "conditioning", "positive_prompt"), _NAMES)

    def negative(self, place: str) -> str:
        """The same of the negative one."""
        return self._behind(place, _NEGATIVE_NAMES, (*_NEGATIVE_NAMES, *_NAMES))

    def is_zeros(self, place: str) -> bool:
        """Whether zeros stand for the negative prompt, and not the empty text."""
        source = self._nodes.source(self._nodes.inputs(place).get("negative"))
        return source is not None and self._nodes.kind(source) == _ZEROS

    def _behind(self, place: str, links: tuple[str, ...], names: tuple[str, ...]) -> str:
        inputs = self._nodes.inputs(place)
        for link in links:
            value = inputs.get(link)
            if isinstance(value, str):
                return value.strip()
            if (source := self._nodes.source(value)) is not None:
                found = dict.fromkeys(self._texts(source, names, link))
                if found:
                    return ", ".join(found)
        return ""

    def _texts(
        self, start: str, names: tuple[str, ...], side: str = "", depth: int = 0
    ) -> Iterator[str]:
        waiting, seen = deque([start]), {start}
        while waiting:
            id = waiting.popleft()
            inputs = self._nodes.inputs(id)
            if self._nodes.kind(id) == _ZEROS:
                continue
            if any(first in inputs and second in inputs for first, second, _ in _JOINED):
                yield self._joined(id, depth)
                continue
            own = [inputs[name] for name in names if isinstance(inputs.get(name), str)]
            if own:
                yield own[0].strip()
                continue
            # Through controls and the like: on the side that was asked for, where there are two.
            follow = [side] if side in inputs else [*inputs]
            for name in follow:
                source = self._nodes.source(inputs[name])
                if source is not None and source not in seen and name not in _NO_TEXTS:
                    seen.add(source)
                    waiting.append(source)

    def _joined(self, id: str, depth: int) -> str:
        """The text of a node that puts two together; each is read once."""
        if id not in self._put_together:
            # Until it is known: a node may be linked to itself.
            self._put_together[id] = ""
            if depth < _DEEPEST:
                self._put_together[id] = self._put(id, depth + 1)
        return self._put_together[id]

    def _put(self, id: str, depth: int) -> str:
        inputs = self._nodes.inputs(id)
        first, second, between = next(names for names in _JOINED if {*names[:2]} <= {*inputs})
        separator = inputs.get(between)
        parts = []
        for value in (inputs[first], inputs[second]):
            source = self._nodes.source(value)
            text = value if source is None else next(self._texts(source, _NAMES, "", depth), "")
            parts.append(text if isinstance(text, str) else "")
        return (separator if isinstance(separator, str) else " ").join(parts).strip()
