"""Read the graph that ComfyUI puts into its pictures: which nodes made them, with which values.

`prompt` has the nodes by id, each with its class and inputs; an input that comes from another node
is `[id, output]`. `workflow` is what the editor shows, with values in the order of its fields.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engine.generate.infotext.comfyui_loras import loras_of
from engine.generate.infotext.comfyui_nodes import Nodes
from engine.generate.infotext.comfyui_texts import GraphTexts
from engine.generate.infotext.fields import file_name
from engine.generate.infotext.numbers import real, whole
from engine.generate.infotext.picture_info import Infotext
from engine.words.lora_tags import LoraTag, tag_names
from engine.words.sampler_spellings import read_sampler, read_schedule

MOST_NODES = 20_000
_SEEDS = ("seed", "noise_seed", "value", "int", "seed_num")
_MODELS = ("ckpt_name", "unet_name", "model_name", "base_ckpt_name")
_SIDES = ("width", "empty_latent_width"), ("height", "empty_latent_height")
_LATENTS = ("latent_image", "latent", "latent_image_opt", "samples", "pipe")
_NOT_MODELS = frozenset(
    ("positive", "negative", "clip", "vae", "latent_image", "latent", "image", "images", "samples",
     "pixels", "mask", "control_net", "conditioning", "seed", "noise_seed")
)  # fmt: skip


def read_graph(graph: Mapping[str, Any]) -> Infotext | None:
    """What a graph in the form of `prompt` says; None where it draws nothing with a sampler.

    Of several passes the first counts: its seed and size are those that people type.
    """
    nodes = Nodes(graph)
    return _Graph(nodes).read() if 0 < len(nodes) <= MOST_NODES else None


class _Graph:
    """Follows links from a sampler to what stands behind its inputs."""

    def __init__(self, nodes: Nodes) -> None:
        self._nodes = nodes
        self._texts = GraphTexts(nodes)

    def read(self) -> Infotext | None:
        sampler = self._sampler()
        if sampler is None:
            return None
        # A guider of its own has model, prompts and scale; so have pipes and loaders.
        place = self._first_with(sampler, ("positive", "conditioning"), ("guider", "pipe"))
        prompt, negative = self._texts.prompt(place), self._texts.negative(place)
        empty = "zeros" if self._texts.is_zeros(place) else "encoded"
        model, loras = self._model(place)
        named = self._value(sampler, ("sampler_name", "sampler"), ("sampler",))
        schedule = self._value(sampler, ("scheduler",), ("sigmas",))
        name, own = read_sampler(named) if isinstance(named, str) else (None, None)
        width, height = (self._number(sampler, side, _LATENTS) for side in _SIDES)
        layer = self._number(place, ("stop_at_clip_layer", "clip_skip"), None)
        cfg = self._value(sampler, ("cfg", "cfg_scale", "guidance"), ("guider",))
        return Infotext(
            prompt=prompt,
            negative_prompt=negative,
            steps=self._number(sampler, ("steps",), ("sigmas",)),
            sampler=name,
            schedule=own or (read_schedule(schedule) if isinstance(schedule, str) else None),
            cfg_scale=real(cfg),
            seed=self._number(sampler, _SEEDS[:2], ("noise", "seed", "noise_seed")),
            width=width,
            height=height,
            model=model,
            clip_skip=abs(layer) if layer else None,
            empty_negative=None if negative else empty,
            rng="ComfyUI",
            # A node may give its text to the prompt and its tags to the model.
            loras=tuple(lora for lora in loras if lora.name not in tag_names(prompt)),
            extra=self._extra(sampler),
            version="ComfyUI",
        )

    def _extra(self, sampler: str) -> tuple[tuple[str, str], ...]:
        denoise = real(self._value(sampler, ("denoise",), ("sigmas",)))
        is_part = denoise is not None and denoise < 1
        return (("Denoising strength", f"{denoise:g}"),) if is_part else ()

    def _sampler(self) -> str | None:
        """The first pass behind what is saved: the last sampler that is found going back."""
        saves = [id for id in self._nodes if _is_save(self._nodes.kind(id))]
        found = [id for save in saves for id in self._nodes.behind(save) if self._is_sampler(id)][
            -1:
        ]
        every = found or [id for id in self._nodes if self._is_sampler(id)]
        return every[0] if every else None

    def _is_sampler(self, id: str) -> bool:
        """A node that gets a seed or noise, and steps or their noise levels."""
        inputs = self._nodes.inputs(id)
        draws = "steps" in inputs or "sigmas" in inputs
        return draws and any(name in inputs for name in ("seed", "noise_seed", "noise"))

    def _model(self, place: str) -> tuple[str | None, list[LoraTag]]:
        """The model's name and the LoRAs on the way to it, in the order of their loaders."""
        loras: list[LoraTag] = []
        name = None
        for id in self._nodes.behind(place, _NOT_MODELS):
            inputs = self._nodes.inputs(id)
            loras[:0] = loras_of(inputs)
            for key in _MODELS:
                if name is None and (text := _choice(inputs.get(key))) is not None:
                    name = file_name(text.replace("\\", "/").rpartition("/")[2])
        return name, loras

    def _value(self, start: str, names: tuple[str, ...], links: tuple[str, ...]) -> object:
        """A value of a node, or of those that it is linked to for it."""
        inputs = self._nodes.inputs(start)
        for name in names:
            value = inputs.get(name)
            if isinstance(value, str | int | float) and not isinstance(value, bool):
                return value
            if (source := self._nodes.source(value)) is not None:
                return self._plain(source)
        for link in links:
            if (source := self._nodes.source(inputs.get(link))) is not None:
                for id in (source, *self._nodes.behind(source)):
                    for name in names:
                        value = self._nodes.inputs(id).get(name)
                        if isinstance(value, str | int | float) and not isinstance(value, bool):
                            return value
                        if (other := self._nodes.source(value)) is not None:
                            return self._plain(other)
        return None

    def _plain(self, id: str) -> object:
        """The value of a node that is nothing but one."""
        inputs = self._nodes.inputs(id)
        names = (*_SEEDS, "Value", "number", "string", "text", "sampler_name", "scheduler")
        found = (inputs[name] for name in names if isinstance(inputs.get(name), str | int | float))
        return next(found, None)

    def _number(
        self, start: str, names: tuple[str, ...], links: tuple[str, ...] | None
    ) -> int | None:
        if links is None:
            every = (
                self._nodes.inputs(id).get(name)
                for id in self._nodes.behind(start)
                for name in names
            )
            return next((n for value in every if (n := whole(value)) is not None), None)
        return whole(self._value(start, names, links))

    def _first_with(self, start: str, names: tuple[str, ...], links: tuple[str, ...]) -> str:
        """The node that has one of these inputs: this one, or one that it is linked to."""
        if not any(name in self._nodes.inputs(start) for name in names):
            for link in links:
                if (source := self._nodes.source(self._nodes.inputs(start).get(link))) is not None:
                    return source
        return start


def _is_save(kind: str) -> bool:
    return "save" in kind.lower() or "preview" in kind.lower()


def _choice(value: object) -> str | None:
    """A name that was chosen from a list, which some nodes have in an object."""
    if isinstance(value, dict):
        value = value.get("content", value.get("name"))
    return value if isinstance(value, str) and value and value != "None" else None
