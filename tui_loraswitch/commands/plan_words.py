"""What the words of a plan mean with a user's library, styles and wildcards."""

from __future__ import annotations

import argparse
from dataclasses import replace

from engine.block_weights import BlockWeights, parse_block_weights
from engine.errors import EngineError
from engine.protocol.refs import LoraRef
from engine.protocol.request import GenerateRequest
from tui_loraswitch.commands.lora_names import Library, parse_wanted
from tui_loraswitch.commands.outcome import UsageError
from tui_loraswitch.commands.picture_options import add_picture_options, wanted_pictures
from tui_loraswitch.config.settings import AppSettings


class LibraryWords:
    """Resolves names, presets and prompts as `generate` does. Raises `EngineError`."""

    def __init__(self, settings: AppSettings, library: Library) -> None:
        self._settings = settings
        self._library = library
        parser = argparse.ArgumentParser()
        add_picture_options(parser)
        self._defaults = vars(parser.parse_args([]))

    def lora(self, name: str) -> LoraRef:
        """The file of a name, with the strengths behind it."""
        try:
            (ref,) = self._library.resolve([parse_wanted(name)], self._settings.block_weights)
        except UsageError as error:
            raise EngineError(str(error)) from error
        except ValueError as error:
            raise EngineError(f"“{name[:60]}” names no LoRA.") from error
        return ref

    def blocks(self, text: str) -> BlockWeights:
        """Block weights, or a preset of the configuration."""
        return parse_block_weights(text, self._settings.block_weights)

    def picture(
        self, request: GenerateRequest, stack: tuple[LoraRef, ...]
    ) -> tuple[GenerateRequest, tuple[LoraRef, ...]]:
        """The request as it is drawn, with what chance and the prompt's tags come to."""
        options = self._defaults | {
            "prompt": request.prompt,
            "negative": request.negative_prompt,
            "seed": request.seed,
            "steps": request.steps,
            "cfg": request.cfg_scale,
            "width": request.width or None,
            "height": request.height or None,
            "sampler": request.sampler,
            "schedule": request.schedule,
            "clip_skip": request.clip_skip,
            "noise": request.noise,
            "variation_seed": request.variation_seed,
            "variation_strength": request.variation_strength,
        }
        try:
            (wanted,) = wanted_pictures(
                argparse.Namespace(**options), self._settings, self._library
            )
        except UsageError as error:
            raise EngineError(str(error)) from error
        whole = (*stack, *wanted.stack)
        named = self._library.written((*whole, *wanted.request.own_loras))
        return replace(wanted.request, lora_names=named), whole
