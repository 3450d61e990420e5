"""What the palette finds besides the keys: LoRAs, models, recipes, settings."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial

from textual.command import CommandList, CommandPalette, Hit, Hits, Provider
from textual.content import Content
from textual.markup import escape
from textual.widgets import Input

from engine.errors import StoreError
from engine.words.clean import clean_line
from tui_loraswitch.app.app_base import AppBase
from tui_loraswitch.app.dialogs import edit_settings
from tui_loraswitch.app.recipe_keys import RecipeKeys
from tui_loraswitch.control.model_files import ModelFile, demo_model, find_models
from tui_loraswitch.panes.background import in_background

log = logging.getLogger(__name__)

MOST = 20
"""LoRAs shown for some words."""
MODELS_SECONDS = 0.2
"""How long a search waits at most for folders of models that are still being looked into."""
SETTINGS = {
    "steps": "steps", "sampler": "sampler, sampling method", "schedule": "schedule, scheduler",
    "cfg_scale": "cfg scale", "seed": "seed", "size": "size, width and height", "batch": "batch",
    "clip_skip": "clip skip", "empty_negative": "empty negative", "noise": "noise",
    "styles": "styles", "variation_strength": "variation strength",
    "variation_seed": "variation seed", "region_ratios": "region ratios",
    "region_masks": "region masks", "start_picture": "img2img: the picture to begin with",
    "denoising": "denoising strength", "resize": "resize mode", "mask": "inpaint: the mask",
    "mask_blur": "mask blur", "hires_scale": "hires fix: times larger",
    "hires_denoising": "hires fix: denoising strength", "hires_upscaler": "hires fix: upscaler",
    "hires_steps": "hires fix: steps", "hires_prompt": "hires fix: prompt",
}  # fmt: skip
"""Words for the fields of the settings' form, by the ids they have there."""


class _Search(Provider):
    """Asks the app, of which it is sure."""

    @property
    def loraswitch(self) -> AppBase:
        """The app."""
        assert isinstance(self.app, AppBase)
        return self.app

    def hit(
        self, query: str, words: str, help: str, run: Callable[[], object], least: float = 0.0
    ) -> Iterator[Hit]:
        """A hit, where the words are like the query; words and help may be a stranger's."""
        matcher = self.matcher(query)
        score, offsets = matcher.fuzzy_search.match(query, words)
        score = max(least, score)
        if score > 0:
            # Textual's own `highlight` would take brackets for markup.
            shown = Content(words)
            for at in offsets:
                shown = shown.stylize(matcher.match_style, at, at + 1)
            yield Hit(score, shown, partial(_ignoring, run), words, escape(help))


def _ignoring(run: Callable[[], object]) -> None:
    run()


class LoraSearch(_Search):
    """LoRAs by all that the filter of the list knows."""

    async def search(self, query: str) -> Hits:
        """Those found, as many as are worth showing."""
        app = self.loraswitch
        for entry in app.main.library.view.matching(query, MOST):
            run = partial(app.attempt, partial(app.control.choose, entry))
            name, help = clean_line(entry.name), f"switch to this LoRA · {clean_line(entry.key)}"
            for hit in self.hit(query, name, help, run, least=0.1):
                yield hit


class ModelSearch(_Search):
    """The models in the user's folders, and the demo."""

    async def startup(self) -> None:
        """Begin to look into the folders; the palette opens without waiting for them."""
        self._closed = threading.Event()
        self._models: list[ModelFile] = [demo_model()]
        self._is_short = False
        self._looking = asyncio.create_task(self._look())

    async def _look(self) -> None:
        control = self.loraswitch.control
        try:
            await in_background(
                find_models,
                control.settings.models,
                control.last_file,
                self._models.append,
                self._closed.is_set,
            )
        # A fault of this program: what is found by then is shown all the same.
        except Exception:
            log.exception("looking for models has failed")
        if self._is_short:
            self._search_again()

    def _search_again(self) -> None:
        """Show the rest. The cursor goes to the first hit, so not once it was moved."""
        palette = self.app.screen
        if isinstance(palette, CommandPalette) and not palette.query_one(CommandList).highlighted:
            words = palette.query_one(Input)
            words.post_message(Input.Changed(words, words.value))

    async def shutdown(self) -> None:
        """Look no further."""
        self._closed.set()
        self._looking.cancel()

    async def search(self, query: str) -> Hits:
        """Models by name, of those that are found by now."""
        app = self.loraswitch
        await asyncio.wait((self._looking,), timeout=MODELS_SECONDS)
        self._is_short = not self._looking.done()
        for model in tuple(self._models):
            run = partial(app.attempt, partial(app.control.load, model.path))
            where = clean_line(str(model.path or "embedded"))
            for hit in self.hit(query, clean_line(model.name), f"open this model · {where}", run):
                yield hit


class SettingSearch(_Search):
    """The settings of the next picture, by their names."""

    async def search(self, query: str) -> Hits:
        """Settings by name; each opens the form at its field."""
        app = self.loraswitch
        for name, words in SETTINGS.items():
            run = partial(edit_settings, app, app.services, name)
            for hit in self.hit(query, words, "a setting of the next picture", run):
                yield hit


class RecipeSearch(_Search):
    """Named stacks with their prompts."""

    async def startup(self) -> None:
        """Read their names."""
        recipes = self.loraswitch.services.recipes
        self._names: list[str] = []
        if recipes is not None:
            with suppress(StoreError):  # the key for recipes says why
                self._names = [recipe.name for recipe in await in_background(recipes.all)]

    async def search(self, query: str) -> Hits:
        """Recipes by name."""
        app = self.loraswitch
        if not isinstance(app, RecipeKeys):
            return
        for name in self._names:
            run = partial(app.apply_recipe, name)
            for hit in self.hit(query, clean_line(name), "have this recipe's stack", run):
                yield hit
