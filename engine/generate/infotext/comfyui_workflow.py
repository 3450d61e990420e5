"""ComfyUI's `workflow`, the editor's form of a graph, as its `prompt` would have it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from engine.generate.infotext.json_values import json_list

_FIELDS: Mapping[str, tuple[str, ...]] = {
    "KSampler": ("seed", "", "steps", "cfg", "sampler_name", "scheduler", "denoise"),
    "KSamplerAdvanced": ("add_noise", "noise_seed", "", "steps", "cfg", "sampler_name",
                         "scheduler"),
    "CLIPTextEncode": ("text",),
    "CLIPTextEncodeSDXL": ("width", "height", "", "", "", "", "text_g", "text_l"),
    "LoraLoader": ("lora_name", "strength_model", "strength_clip"),
    "LoraLoaderModelOnly": ("lora_name", "strength_model"),
    "CheckpointLoaderSimple": ("ckpt_name",),
    "UNETLoader": ("unet_name",),
    "EmptyLatentImage": ("width", "height", "batch_size"),
    "CLIPSetLastLayer": ("stop_at_clip_layer",),
    "RandomNoise": ("noise_seed",),
    "KSamplerSelect": ("sampler_name",),
    "BasicScheduler": ("scheduler", "steps", "denoise"),
    "CFGGuider": ("cfg",),
    "SamplerCustom": ("add_noise", "noise_seed", "", "cfg"),
}  # fmt: skip
"""What the values of a node stand for, in the order in which the editor shows them."""
_MUTED = (2, 4)
"""The modes of nodes that do nothing, or let through what they get."""


def graph_of(workflow: Mapping[str, Any]) -> dict[str, Any]:
    """The nodes whose fields are known here, by id."""
    links = dict(_links(workflow))
    graph: dict[str, Any] = {}
    for node in json_list(workflow.get("nodes")):
        if not isinstance(node, dict) or node.get("mode") == _MUTED[0]:
            continue
        inputs: dict[str, Any] = {}
        is_passed = node.get("mode") == _MUTED[1]
        values = node.get("widgets_values")
        names = () if is_passed else _FIELDS.get(str(node.get("type")), ())
        if isinstance(values, list):
            inputs = {name: value for name, value in zip(names, values, strict=False) if name}
        elif isinstance(values, dict) and not is_passed:
            inputs = dict(values)
        for slot in json_list(node.get("inputs")):
            if isinstance(slot, dict) and isinstance(slot.get("link"), int):
                link = links.get(slot["link"])
                if link is not None and isinstance(slot.get("name"), str):
                    inputs[slot["name"]] = link
        graph[str(node.get("id"))] = {"class_type": node.get("type"), "inputs": inputs}
    return graph


def _links(workflow: Mapping[str, Any]) -> Iterator[tuple[int, list[Any]]]:
    """The node and the output that each link comes from; newer editors name their fields."""
    for link in json_list(workflow.get("links")):
        match link:
            case [int(number), source, output, *_]:
                yield number, [str(source), output]
            case {"id": int(number), "origin_id": source, "origin_slot": output}:
                yield number, [str(source), output]
