"""The recipes screen: save the stack of now under a name, or take one of before."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from engine.protocol.text import decimals
from engine.store.recipes import Recipe
from engine.words.clean import clean_line
from tui_loraswitch.look.theme import MUTED
from tui_loraswitch.screens.framed import Framed
from tui_loraswitch.screens.list_dialog import ListDialog

_NAME_WIDTH = 26


class RecipesScreen(ListDialog[tuple[str, str] | None]):
    """Gives back `("save", name)` or `("apply", name)`; None when left by Escape.

    What is typed finds recipes by name, prompt and members, and is the name of a new one.
    """

    DEFAULT_CSS = """
    RecipesScreen {
        & OptionList { min-height: 1; max-height: 50vh; margin-top: 1; }
        & #recipe-note { height: auto; max-height: 4; padding-top: 1; color: $text-muted; }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss(None)", "close", id="recipes.close",
                tooltip="Leave the stack as it is"),
        Binding("down", "list('cursor_down')", "down", show=False, id="recipes.down",
                tooltip="Next recipe"),
        Binding("up", "list('cursor_up')", "up", show=False, id="recipes.up",
                tooltip="Previous recipe"),
        Binding("ctrl+s", "save", "save", id="recipes.save", priority=True,
                tooltip="Save the stack of now under the name that is typed"),
        Binding("ctrl+d", "drop", "delete", id="recipes.delete", priority=True,
                tooltip="Delete the highlighted recipe"),
    ]  # fmt: skip

    def __init__(
        self, recipes: Sequence[Recipe], can_save: bool, delete: Callable[[Recipe], object]
    ) -> None:
        super().__init__()
        self._recipes = list(recipes)
        self._shown: list[Recipe] = []
        self._can_save = can_save
        self._delete = delete

    def compose(self) -> ComposeResult:
        """A line for the name, the recipes, and what the highlighted one is."""
        with Framed("^d deletes · ^s saves · Enter applies · Escape closes"):
            field = Input(placeholder="find, or a name for the stack of now", compact=True)
            field.cursor_blink = False
            yield field
            recipes = OptionList(markup=False)
            recipes.can_focus = False
            yield recipes
            yield Static(id="recipe-note", markup=False)

    def on_mount(self) -> None:
        """Show all."""
        self._show()

    @on(Input.Changed)
    def find(self) -> None:
        """Show those that match what is typed."""
        self._show()

    @on(Input.Submitted)
    def take_first(self) -> None:
        """Apply the highlighted recipe; where none is found, save under the name."""
        if self._highlighted is not None:
            self._apply()
        else:
            self.action_save()

    @on(OptionList.OptionSelected)
    def _apply(self) -> None:
        if (recipe := self._highlighted) is not None:
            self.dismiss(("apply", recipe.name))

    @on(OptionList.OptionHighlighted)
    def follow_cursor(self) -> None:
        """Show what is in the recipe under the cursor."""
        self._show_note()

    def action_list(self, movement: str) -> None:
        """Move through the recipes without leaving the line that is typed in."""
        getattr(self.query_one(OptionList), f"action_{movement}")()

    def action_save(self) -> None:
        """Hand the name back, for the stack of now."""
        name = clean_line(self.query_one(Input).value, 100)
        if name and self._can_save:
            self.dismiss(("save", name))

    def action_drop(self) -> None:
        """Delete the highlighted recipe."""
        if (recipe := self._highlighted) is not None:
            self._delete(recipe)
            self._recipes.remove(recipe)
            self._show()

    @property
    def _highlighted(self) -> Recipe | None:
        number = self.query_one(OptionList).highlighted
        return self._shown[number] if number is not None and number < len(self._shown) else None

    def _show(self) -> None:
        words, options = self.query_one(Input).value, self.query_one(OptionList)
        self.query_one(Framed).border_title = f"Recipes {len(self._recipes)}"
        self._shown = [recipe for recipe in self._recipes if recipe.matches(words)]
        options.clear_options()
        options.add_options(Option(_row(recipe)) for recipe in self._shown)
        options.highlighted = 0 if self._shown else None
        self._show_note()

    def _show_note(self) -> None:
        recipe = self._highlighted
        if recipe is not None:
            words = clean_line(recipe.prompt, 300) or "without a prompt"
        elif not self._can_save:
            words = "The stack is empty: there is nothing to save."
        else:
            words = "A name and Enter save the stack of now, with the prompt."
        self.query_one("#recipe-note", Static).update(Content(words))


def _row(recipe: Recipe) -> Content:
    members = " + ".join(
        f"{clean_line(member.name, 40).rpartition('/')[2]} {decimals(member.unet)}"
        for member in recipe.members
    )
    name = Content(clean_line(recipe.name)).truncate(_NAME_WIDTH, ellipsis=True, pad=True)
    return Content.assemble(name, " ", (members, MUTED))
