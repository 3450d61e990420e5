"""Keys for recipes: named stacks with their prompt."""

from __future__ import annotations

from collections.abc import Coroutine
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec import structs

from engine.errors import EngineError
from engine.words.clean import clean_line
from tui_loraswitch.app.app_base import AppBase
from tui_loraswitch.app.state_undo import note_state_and_stack
from tui_loraswitch.panes.background import in_background

if TYPE_CHECKING:
    from engine.protocol.stack_edits import Stack
    from engine.store.recipes import Member, Recipe


class RecipeKeys(AppBase):
    """Saves the stack under a name, and has one of before again; the store may be slow."""

    def action_recipes(self) -> None:
        """Show the recipes."""
        from tui_loraswitch.screens.recipes import RecipesScreen

        recipes = self.services.recipes
        if recipes is None:
            self.toast("The store cannot be opened; the log says why.", "warning")
            return

        def take(chosen: tuple[str, str] | None) -> None:
            if chosen is not None:
                what, name = chosen
                self._work(self._save(name) if what == "save" else self._apply(name))

        async def show() -> None:
            found = await in_background(recipes.all)
            can_save = bool(self.control.view.wanted)
            self.push_screen(RecipesScreen(found, can_save, self._delete), take)

        self._work(show())

    def apply_recipe(self, name: str) -> None:
        """Have the stack and the prompt of a recipe."""
        self._work(self._apply(name))

    def _work(self, work: Coroutine[Any, Any, None]) -> None:
        self.run_worker(self.attempt_slow(work), name="recipes", group="recipes")

    async def _save(self, name: str) -> None:
        from engine.store.recipes import Member, Recipe

        recipes, library = self.services.recipes, self.services.library
        if recipes is None:
            return
        wanted, state = self.control.view.wanted, self.control.state
        name_of = self.control.prompt_loras.name_of

        def save() -> Recipe | None:
            members = tuple(
                Member.of(ref, name_of(ref.path), library.tensors_of(ref.path) if library else "")
                for ref in wanted
            )
            before = next((one for one in recipes.all() if one.name == name), None)
            recipes.save(Recipe(name, members, state.prompt, state.negative_prompt))
            return before

        before = await in_background(save)
        take_back = partial(recipes.save, before) if before else partial(recipes.delete, name)
        words = f"saving the recipe {clean_line(name)}"
        self.undo.add(words, partial(in_background, take_back))
        self.toast(f"Saved: {clean_line(name)}.", "information")

    async def _apply(self, name: str) -> None:
        recipes = self.services.recipes

        def find() -> tuple[Recipe, Stack]:
            found = recipes.all() if recipes is not None else []
            recipe = next((one for one in found if one.name == name), None)
            if recipe is None:
                raise EngineError(f"The recipe {clean_line(name)} is no longer there.")
            return recipe, recipe.resolve(self._find)

        recipe, stack = await in_background(find)
        before = self.control.state
        self.control.have_stack(stack)
        self._take_prompt_of(recipe)
        note_state_and_stack(self, f"taking the recipe {clean_line(name)}", before)
        self.toast(f"Stack and prompt are those of {clean_line(name)}.", "information")

    def _take_prompt_of(self, recipe: Recipe) -> None:
        if recipe.prompt:
            self.control.state = structs.replace(
                self.control.state,
                prompt=recipe.prompt,
                negative_prompt=recipe.negative_prompt,
            )
            self.control.share_draft()
            self.show_state()

    def _find(self, member: Member) -> Path | None:
        """The file of a member: where it was, else by its tensors, else by its name."""
        library = self.services.library
        if member.path and Path(member.path).is_file():
            return Path(member.path)
        if library is not None and (found := library.with_tensors(member.tensors_sha256)):
            return found
        try:
            return self.control.prompt_loras.entry(member.name).path
        except EngineError:
            return None

    def _delete(self, recipe: Recipe) -> None:
        self._work(self._drop(recipe))

    async def _drop(self, recipe: Recipe) -> None:
        recipes = self.services.recipes
        if recipes is not None:
            await in_background(recipes.delete, recipe.name)
            words = f"deleting the recipe {clean_line(recipe.name)}"
            self.undo.add(words, partial(in_background, recipes.save, recipe))
